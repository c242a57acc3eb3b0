"""`leadline predict` on a 720p video file: how much of the machine it uses, and whether its memory stays flat.

    python benchmarks/video_end_to_end.py [--model leadline-tract] [--stabilise] [--data ../shared/data] [--rounds 3]
    python benchmarks/video_end_to_end.py --memory 5000

A real driving clip (highway.mp4, 1280x720), shown over and over. In each round decoding, network, post-processing (the
map back at its size, stabilising, drawing) and encoding are measured alone in CPU seconds a frame; cores / their sum is
the most frames a second there can be. Printed is what the whole reaches, as a part of it; asked for is 0.85. With
--memory the resident memory of one run over so many frames is read on the way: its growth after the first tenth.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import leadline
from leadline.io.video import VideoReader, VideoWriter
from leadline.runtime.predictor import Predictor
from leadline.runtime.stabilise import Steadiness, stabilised
from leadline.runtime.writing import ImageWriter, colour_range, predict_video
from video_throughput import CORES, repeated

#: Frames each part is measured on alone.
ALONE = 38


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="leadline-tract")
    parser.add_argument("--runtime", default="torch")
    parser.add_argument("--stabilise", action="store_true")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--times", type=int, default=12, help="how often the clip of 38 frames is shown")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, metavar="FRAMES", help="watch the memory of one run over so many frames")
    options = parser.parse_args()
    model = leadline.load(options.model, runtime=options.runtime).model
    predictor = Predictor(model, steadiness=Steadiness() if options.stabilise else None)
    with tempfile.TemporaryDirectory() as made:
        clip = Path(made) / "clip.mp4"
        times = -(-options.memory // ALONE) if options.memory else options.times
        frames = repeated(options.data / "video" / "highway.mp4", clip, times)
        if options.memory:
            print(memory(predictor, clip, frames))
            return
        ratios = []
        for _ in range(options.rounds):
            parts = alone(predictor, clip)
            most = CORES / sum(parts.values())
            began = time.perf_counter()
            speed = written(predictor, clip, frames) / (time.perf_counter() - began)
            ratios.append(speed / most)
            said = ", ".join(f"{part} {1000 * seconds:.1f} ms" for part, seconds in parts.items())
            print(f"{said}; most {most:.1f}, whole {speed:.1f} frames/s, ratio {ratios[-1]:.2f}", flush=True)
        print(f"{options.model}: ratio {statistics.median(ratios):.2f}, least {min(ratios):.2f} (asked for: 0.85)")


def alone(predictor: Predictor, clip: Path) -> dict[str, float]:
    """CPU seconds a frame of each part."""
    parts: dict[str, float] = {}

    def measured(part: str, work: Iterable[Any]) -> list[Any]:
        cpu = time.process_time()
        made = list(work)
        parts[part] = (time.process_time() - cpu) / max(1, len(made))
        return made

    with VideoReader(clip) as reader:
        images = measured("decoding", (image for _, image in zip(range(ALONE), reader, strict=False)))
    answers = measured("network", ((image, predictor.predict(image)) for image in images))
    if predictor.steadiness is not None:
        answers = measured("stabilising", stabilised(answers, predictor.steadiness))
    span = colour_range(depth for _, depth in answers[::10])
    drawer = ImageWriter(Path(), [], "turbo")
    pictures = measured("drawing", (drawer.picture(image, depth, span) for image, depth in answers))
    with tempfile.TemporaryDirectory() as folder:
        cpu = time.process_time()
        with VideoWriter(Path(folder) / "clip.mp4", 25, pictures[0].shape[:2]) as video:
            for picture in pictures:
                video.write(picture)
        parts["encoding"] = (time.process_time() - cpu) / len(pictures)
    return parts


def written(predictor: Predictor, clip: Path, frames: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        return predict_video(predictor, clip, "clip", ImageWriter(Path(folder), ["colour"], "turbo"), frames)


def memory(predictor: Predictor, clip: Path, frames: int) -> str:
    """What became of the resident memory (Linux)."""
    sizes: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            sizes.append(pages * 4096 / 2**20)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        count = written(predictor, clip, frames)
    finally:
        done.set()
        watcher.join()
    start = np.array(sizes[len(sizes) // 10 : max(len(sizes) // 5, 1)] or sizes)
    end = np.array(sizes[-max(len(sizes) // 10, 1) :])
    return (
        f"{count} frames: {start.mean():.0f} MiB after a tenth, {end.mean():.0f} MiB at the end, most {max(sizes):.0f}"
    )


if __name__ == "__main__":
    main()
