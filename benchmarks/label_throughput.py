"""Labelling 2,000 images by one process and by two of Ray: the same bytes, and how much faster.

    python benchmarks/label_throughput.py [--model leadline-tract] [--data ../shared/data] [--images 2000] [--workers 2]

The frames of 7-Scenes, over and over, at 160x120, packed as WebDataset shards of 100. Every process that labels has one
thread. Printed are images a second of either, their ratio, and how many shards differ, which is to be none; then what
ten million images take and cost by the rate of one worker (--price of its hour).
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from PIL import Image

from leadline.data.sevenscenes import SevenScenes
from leadline.data.shards import Shards

PER_SHARD = 100
SIZE = (160, 120)
MANY = 10_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="leadline-tract")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--price", type=float, default=0.05, help="of a worker for an hour, here of one core")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        shards = Path(made) / "shards"
        write(SevenScenes(options.data / "sevenscenes", split="all", truth="none").paths, options.images, shards)
        rates = {}
        for name, workers in (("one", 0), ("ray", options.workers)):
            command = [
                sys.executable, "-m", "leadline", "label", "--teacher", options.model, "--data", str(shards),
                "--out", str(Path(made) / name), "--workers", str(workers), "--threads", "1", "--device", "cpu",
            ]  # fmt: skip
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            said = done.stdout + done.stderr
            if done.returncode:
                sys.exit(said)
            rates[name] = {
                # from the first shard's report: what each worker does, without starting
                "worker": float(re.findall(r"([\d.]+) images/s a worker", said)[-1]),
                "all": float(re.findall(r"([\d.]+) a second", said)[-1]),
            }
            print(f"{name:>4}: {rates[name]['all']:.1f} images/s, start included; {rates[name]['worker']:.1f} a worker")
        tars = sorted((Path(made) / "one").glob("*.tar"))
        differ = [tar.name for tar in tars if tar.read_bytes() != (Path(made) / "ray" / tar.name).read_bytes()]
        images = len(Shards(Path(made) / "ray"))
    print(f"{images} images in {len(tars)} shards, {len(differ)} of them differ")
    speedup, workers = rates["ray"]["all"] / rates["one"]["all"], options.workers
    print(f"{workers} workers of Ray / one process: {speedup:.2f}, start included")
    hours = MANY / rates["one"]["worker"] / 3600
    cost = hours * options.price
    print(f"{MANY:,} images: {hours:,.0f} hours of such a worker, {cost:,.0f} at {options.price:g} an hour")


def write(paths: list[Path], count: int, out: Path) -> None:
    """So many images as shards."""
    out.mkdir()
    contents = []
    for path in paths[: min(count, len(paths))]:
        with Image.open(path) as image:
            buffer = io.BytesIO()
            image.convert("RGB").resize(SIZE).save(buffer, "JPEG", quality=90)
            contents.append(buffer.getvalue())
    for start in range(0, count, PER_SHARD):
        with tarfile.open(out / f"{start // PER_SHARD:06d}.tar", "w") as tar:
            for number in range(start, min(start + PER_SHARD, count)):
                member = tarfile.TarInfo(f"{number:08d}.jpg")
                member.size = len(contents[number % len(contents)])
                tar.addfile(member, io.BytesIO(contents[number % len(contents)]))


if __name__ == "__main__":
    main()
