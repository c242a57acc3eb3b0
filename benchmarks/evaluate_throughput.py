"""How busy `leadline evaluate` keeps the machine.

    python benchmarks/evaluate_throughput.py [--data ../shared/data] [--model leadline-tract]
                                              [--frames 180] [--rounds 3]

KITTI frames at full resolution under the protocol kitti-eigen: decoding, network, ground truth from the lidar's points
and metrics. Each part is first measured alone, on all cores, in CPU seconds; cores / their sum is the most frames a
second that can be had. Then the evaluation itself, once with every lidar sweep to be projected and once with the
projected maps in the cache. What is printed is frames a second, and their ratio to that most.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

import leadline
from leadline.data.kitti import Kitti
from leadline.protocols.candidate import Candidate, calibrated
from leadline.protocols.evaluation import Evaluation
from leadline.protocols.kitti import KITTI_EIGEN

CORES = os.cpu_count() or 1


def many(source: Path, root: Path, frames: int) -> Kitti:
    """The sample's drive as often as it takes, each time under another name, all linked."""
    day = next(path for path in sorted(source.iterdir()) if path.is_dir())
    drive = next(path for path in sorted(day.iterdir()) if path.is_dir())
    (root / day.name).mkdir(parents=True)
    for file in day.glob("calib_*.txt"):
        (root / day.name / file.name).symlink_to(file.resolve())
    each = len(list((drive / "image_02" / "data").iterdir()))
    for number in range(-(-frames // each)):
        copy = root / day.name / f"{day.name}_drive_{number:04d}_sync"
        for sensor in ("image_02", "velodyne_points"):
            for file in (drive / sensor / "data").iterdir():
                target = copy / sensor / "data" / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())  # copies: what is cached goes by the file it comes from
    data = Kitti(root, split="all", truth="velodyne")
    data.ids = [id for id in data.ids if id.camera == "image_02"][:frames]
    data.paths = [data.image(id) for id in data.ids]
    return data


def alone(work: Callable[[int], Any], frames: int) -> float:
    """CPU seconds a frame of one part, done by all cores at once, one thread each."""
    with ThreadPoolExecutor(CORES, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(work, range(min(frames, 2 * CORES))))  # warm
        began = time.process_time()
        list(pool.map(work, range(frames)))
        return (time.process_time() - began) / frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="leadline-tract")
    parser.add_argument("--frames", type=int, default=180)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    predictor = leadline.load(options.model)
    candidate = calibrated(predictor.model.name, predictor.predict, predictor.model.parallel)
    rounds: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["LEADLINE_CACHE"] = f"{folder}/cache"
            data = many(options.data / "kitti_raw", Path(folder, "kitti"), options.frames)
            height, width = data.size(0)
            for name, value in measure(candidate, data).items():
                rounds.setdefault(name, []).append(value)
    size = f"{width}x{height}"
    print(f"{options.frames} frames of {size}, model {predictor.model.name}, {CORES} cores")
    print(f"{'':<44}{'median':>10}{'least':>10}{'most':>10}")
    for name, values in rounds.items():
        print(f"{name:<44}{statistics.median(values):>10.4g}{min(values):>10.4g}{max(values):>10.4g}")


def measure(candidate: Candidate, data: Kitti) -> dict[str, float]:
    """Everything once, the evaluations last, so that the first of them meets an empty cache."""
    ids, rules, count = data.ids, KITTI_EIGEN, len(data)
    plain = without_depth(data)
    frames = [data.load(ids[index]) for index in range(8)]
    found: dict[str, float] = {}
    parts = {
        "decoding": alone(lambda index: plain.load(ids[index]), count),
        "network": alone(lambda index: candidate(ids[index], frames[index % 8]), count),
    }
    truths = [rules.truth_of(data, ids[index], frames[index]) for index in range(8)]
    answers = [candidate(ids[index], frames[index]) for index in range(8)]
    evaluation = Evaluation(rules, Candidate("", lambda id, _: answers[ids.index(id) % 8], True), data, CORES)

    def metrics(index: int) -> None:
        place = index % 8
        answer = evaluation._ask(place, frames[place].replace(depth=truths[place]))
        evaluation._judge(answer)

    parts["metrics"] = alone(metrics, count)
    forget()
    projecting = alone(lambda index: data.depth(ids[index]), count)  # fills the cache as it goes
    cached = alone(lambda index: data.depth(ids[index]), count)
    forget()
    for name, truth in (("projecting lidar", projecting), ("lidar from the cache", cached)):
        most = CORES / (sum(parts.values()) + truth)
        began = time.perf_counter()
        rules.evaluate(candidate, data)
        real = count / (time.perf_counter() - began)
        found |= {
            f"{name}: ground truth, CPU ms": 1000 * truth,
            f"{name}: most, frames/s": most,
            f"{name}: evaluate, frames/s": real,
            f"{name}: evaluate / most": real / most,
        }
    return {f"{name}, CPU ms": 1000 * value for name, value in parts.items()} | found


def without_depth(data: Kitti) -> Kitti:
    """The same frames without depth."""
    plain = Kitti(data.root, split="all", truth="none")
    plain.ids, plain.paths = data.ids, data.paths
    return plain


def forget() -> None:
    """Empty the cache of projected lidar."""
    shutil.rmtree(os.environ["LEADLINE_CACHE"], ignore_errors=True)


if __name__ == "__main__":
    main()
