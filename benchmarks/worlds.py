"""Frames a second of the worlds, every output, default sensor.

    python benchmarks/worlds.py [--world tract] [--clips 10] [--frames 48] [--processes 0]

Each clip is another place, so building the place is part of the time. Every process renders a clip before
the clock starts: starting processes is not what is measured.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

from leadline import worlds
from leadline.frame import Frame


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--world", default="tract", choices=worlds.names())
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--processes", type=int, default=0, help="0 takes every core")
    arguments = parser.parse_args()
    processes = arguments.processes or os.cpu_count() or 1
    world = worlds.create(arguments.world)
    results = worlds.each_clip(world, range(processes + arguments.clips), arguments.frames, look, processes)
    for _ in range(processes):
        next(results)
    start, count = time.perf_counter(), sum(results)
    seconds = time.perf_counter() - start
    print(
        f"{world.name} {world.height}x{world.width}: {count / seconds:.1f} frames a second "
        f"({processes} processes, {arguments.clips} places of {arguments.frames} frames)"
    )


def look(clip: Sequence[Frame]) -> int:
    """Render every frame; how many there were."""
    return sum(1 for frame in clip if frame.depth is not None)


if __name__ == "__main__":
    main()
