"""Frames a second of the worlds, and their memory: every output, default sensor.

    python benchmarks/worlds.py [--world tract] [--clips 10] [--frames 48] [--processes 0] [--memory 2000]

Each clip is another place, so building the place is part of the time. Every process renders a clip before
the clock starts: starting processes is not what is measured. Then the memory of one process that goes through so
many small frames of several places: in the first fifth of them, and at most after that.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence

from leadline import worlds
from leadline.frame import Frame
from leadline.worlds.base import cores


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--world", default=None, choices=worlds.names())
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--processes", type=int, default=0, help="0 takes every core")
    parser.add_argument("--memory", type=int, default=2000, help="frames; 0 leaves it out")
    arguments = parser.parse_args()
    for name in [arguments.world] if arguments.world else worlds.names():
        measure_speed(worlds.create(name), arguments)
        if arguments.memory:
            measure_memory(name, arguments.memory)


def measure_speed(world: worlds.World, arguments: argparse.Namespace) -> None:
    processes = arguments.processes or cores()
    results = worlds.each_clip(world, range(processes + arguments.clips), arguments.frames, look, processes)
    for _ in range(processes):
        next(results)
    start, count = time.perf_counter(), sum(results)
    seconds = time.perf_counter() - start
    print(
        f"{world.name} {world.height}x{world.width}: {count / seconds:.1f} frames a second "
        f"({processes} processes, {arguments.clips} places of {arguments.frames} frames)",
        flush=True,
    )


def measure_memory(name: str, frames: int, places: int = 20) -> None:
    world = worlds.create(name, height=64, width=80)
    peaks = []
    for seed in range(places):
        look(world.clip(seed, frames // places))
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(
        f"{name}: peak memory {peaks[places // 5]:.0f} MB after {frames // 5} frames, {peaks[-1]:.0f} MB after {frames}"
    )


def look(clip: Sequence[Frame]) -> int:
    """Render every frame; how many there were."""
    return sum(1 for frame in clip if frame.depth is not None)


if __name__ == "__main__":
    main()
