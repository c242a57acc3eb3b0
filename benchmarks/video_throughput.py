"""How busy `leadline predict` keeps the machine on a video.

    python benchmarks/video_throughput.py [--model leadline-tract vda-tiny mine.safetensors] [--data DATA] [--rounds 3]

A real driving clip (221 frames of 960x540), shown --times over, becomes a colour video. Each part is first measured
alone in CPU seconds a frame: decoding, network, alignment of windows (where the model has them), colouring with
encoding. Cores / their sum is the most frames a second that can be had. What is printed is frames a second of the
whole, and their ratio to that most. An architecture, such as the one of windows (vda-tiny), gets random weights: they
do not change the time.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import leadline
from leadline.depth import DepthMap
from leadline.foundation.long_video import as_tensor, watch_video
from leadline.io.video import VideoReader, VideoWriter
from leadline.networks import names as architectures
from leadline.runtime.bench import untrained
from leadline.runtime.predictor import Predictor
from leadline.runtime.writing import ImageWriter, colour_range, predict_video

CORES = os.cpu_count() or 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["leadline-tract", "vda-tiny"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--times", type=int, default=2, help="at its start and end a video keeps fewer cores busy")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        clip = Path(made) / "clip.mp4"
        frames = repeated(options.data / "video" / "solidWhiteRight.mp4", clip, options.times)
        for name in options.model:
            file = untrained(name, Path(made)) if name in architectures() else name
            predictor = leadline.load(str(file))
            ratios = []
            for _ in range(options.rounds):
                parts = alone(predictor, clip, frames)
                most = CORES / sum(parts.values())
                with tempfile.TemporaryDirectory() as folder:
                    began = time.perf_counter()
                    writer = ImageWriter(Path(folder), ["colour"], "turbo")
                    count = predict_video(predictor, clip, "clip", writer, frames)
                    speed = count / (time.perf_counter() - began)
                ratios.append(speed / most)
                said = ", ".join(f"{part} {1000 * seconds:.1f} ms" for part, seconds in parts.items())
                print(
                    f"{name}: {said}; most {most:.1f}, whole {speed:.1f} frames/s, ratio {ratios[-1]:.2f}", flush=True
                )
            print(f"{name}: ratio {statistics.median(ratios):.2f}, least {min(ratios):.2f}")


def repeated(source: Path, clip: Path, times: int) -> int:
    """Write a video that shows another several times over; how many frames it has."""
    with VideoReader(source) as reader:
        images = [np.asarray(image) for image in reader]
    with VideoWriter(clip, 25, images[0].shape[:2]) as video:
        for image in images * times:
            video.write(image)
    return len(images) * times


def alone(predictor: Predictor, clip: Path, frames: int) -> dict[str, float]:
    """CPU seconds a frame of each part."""
    parts: dict[str, float] = {}

    def measured(part: str, work: Iterable[Any], count: int) -> list[Any]:
        began = time.process_time()
        made = list(work)
        parts[part] = (time.process_time() - began) / count
        return made

    with VideoReader(clip) as reader:
        images = [np.asarray(image) for image in measured("decoding", reader, frames)][:frames]
    model = predictor.model
    if model.window > 1:
        windows = [images[start : start + model.window] for start in range(0, len(images), model.window)]
        shown = sum(map(len, windows))
        seen, parts["network"] = [], 0.0
        for window in windows:
            tensor = as_tensor(window)  # belongs to what is around the network
            began = time.process_time()
            seen.append(model.watch(tensor).numpy())
            parts["network"] += (time.process_time() - began) / shown
        maps = [DepthMap(values, model.kind, model.unit) for values in np.concatenate(seen)]
        # Each frame is looked at about window / (window - 10) times.
        parts["network"] *= model.window / (model.window - 10)
        answered = copy.copy(model)
        answered.watch = lambda _: torch.from_numpy(seen[0])  # type: ignore[method-assign]
        measured("alignment", watch_video(answered, images), len(images))
    elif model.remembers:
        maps = measured("network", (depth for _, depth in predictor.stream(images, live=True)), len(images))
    else:
        maps = measured("network", (predictor.predict(image) for image in images), len(images))
    span = colour_range(maps[::10])
    drawer = ImageWriter(Path(), [], "turbo")
    with tempfile.TemporaryDirectory() as folder:
        pictures = (drawer.picture(*each, span) for each in zip(images, maps, strict=True))
        first = next(pictures)
        with VideoWriter(Path(folder) / "clip.mp4", 25, first.shape[:2]) as video:
            measured("drawing and encoding", (video.write(picture) for picture in pictures), len(images) - 1)
    return parts


if __name__ == "__main__":
    main()
