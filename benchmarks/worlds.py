"""Frames a second of the worlds, or the memory they take: every output, default sensor.

    python benchmarks/worlds.py [--world tract] [--clips 10] [--frames 48] [--processes 0]
    python benchmarks/worlds.py --memory 400

Each clip is another place, so building the place is part of the time. Every process renders a clip before the clock
starts: starting processes is not what is measured. With --memory instead, a process of its own for each world goes
through so many frames of 64x80, of twenty places: the most memory it held until a fifth of them, and in the end
(Linux).
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import time
from collections.abc import Sequence
from pathlib import Path

from leadline import worlds
from leadline.frame import Frame
from leadline.worlds.base import cores

PLACES = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default=None, choices=worlds.names())
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--processes", type=int, default=0, help="0 takes every core")
    parser.add_argument("--memory", type=int, metavar="FRAMES", help="measure memory, over so many frames")
    arguments = parser.parse_args()
    for name in [arguments.world] if arguments.world else worlds.names():
        if arguments.memory:
            with multiprocessing.get_context("spawn").Pool(1) as alone:
                print(alone.apply(measured_memory, (name, arguments.memory)), flush=True)
        else:
            measure_speed(worlds.create(name), arguments)


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


def measured_memory(name: str, frames: int) -> str:
    world = worlds.create(name, height=64, width=80)
    peaks = []
    for seed in range(PLACES):
        look(world.clip(seed, frames // PLACES))
        peaks.append(int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024)
    return f"{name}: {peaks[PLACES // 5 - 1]:.0f} MB after {frames // 5} frames, {peaks[-1]:.0f} MB after {frames}"


def look(clip: Sequence[Frame]) -> int:
    """Render every frame; how many there were."""
    return sum(1 for frame in clip if frame.depth is not None)


if __name__ == "__main__":
    main()
