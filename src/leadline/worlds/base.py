"""What every world has in common: a seed becomes a scene, a scene becomes a clip, clips are rendered side by side."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import numpy as np

from leadline.errors import ConfigError
from leadline.frame import Frame
from leadline.worlds.sensor import Sensor

T = TypeVar("T")

#: Most processes of a pool; Windows allows no more.
MOST = 61


@dataclass(frozen=True)
class World(ABC):
    """A kind of place, of which every seed is another one.

    The same seed gives the same bytes on one type of CPU; elsewhere images may differ by one grey level and depth by
    1e-4 of itself.

    Args:
        height: of the images, in pixels.
        width: of the images, in pixels.
        rate: frames a second.
        sensor: the video camera.

    Raises:
        ConfigError: the image is too small to show anything, or the rate is not positive.
    """

    #: What the command line calls it.
    name: ClassVar[str]
    #: Raised whenever the same seed gives another picture than before, so that old and new are not mixed.
    version: ClassVar[int]
    #: Unit of depth and of the poses' translation.
    unit: ClassVar[str]
    #: Names of the values of ``Frame.semantics``.
    classes: ClassVar[tuple[str, ...]]

    height: int = 256
    width: int = 320
    rate: float = 30.0
    sensor: Sensor = Sensor()

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 16:
            raise ConfigError(f"size: {self.height}x{self.width} (height x width) is too small, at least 16x16")
        if not self.rate > 0:
            raise ConfigError(f"rate: {self.rate:g} frames a second is not possible")

    @abstractmethod
    def clip(self, seed: int, frames: int) -> Sequence[Frame]:
        """The frames a camera sees on its way through the place of that seed, each rendered when it is asked for.

        Args:
            seed: of everything random.
            frames: how many.
        """


def each_clip(
    world: World, seeds: Sequence[int], frames: int, work: Callable[[Sequence[Frame]], T], processes: int = 0
) -> Iterator[T]:
    """Do ``work`` with the clip of every seed, several at a time; results come in the order of the seeds.

    Args:
        world: the kind of place.
        seeds: one clip each.
        frames: of each clip.
        work: gets a clip, in another process: a function of a module, or a partial of one.
        processes: how many; 0 takes every core.

    Raises:
        ConfigError: a process died.
    """
    processes = min(processes or cores(), len(seeds), MOST)
    if processes <= 1:
        for seed in seeds:
            yield work(world.clip(seed, frames))
        return
    # Spawned, not forked: torch's threads and the runtimes of the caller do not survive a fork.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _ignore_interrupts) as pool:
        try:
            with _single_threaded():
                results = pool.map(_Task(world, frames, work), seeds)  # starts the processes
            yield from results
        except BrokenProcessPool:
            raise ConfigError(
                "processes: one that was rendering died; a script that renders must do so under "
                "if __name__ == '__main__':, or with processes=1 (or the machine is out of memory)"
            ) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asked for the work answers Ctrl-C


@contextlib.contextmanager
def _single_threaded() -> Iterator[None]:
    """Processes started in here compute with one thread each: threads that fight for cores wait for each other."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    before = {name: os.environ.get(name) for name in limits}
    os.environ.update(limits)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@dataclass(frozen=True)
class _Task(Generic[T]):
    world: World
    frames: int
    work: Callable[[Sequence[Frame]], T]

    def __call__(self, seed: int) -> T:
        return self.work(self.world.clip(seed, self.frames))


def smooth(rng: np.random.Generator, at: np.ndarray, wavelength: float, terms: int = 4) -> np.ndarray:
    """A smooth random function with values about [-1, 1]: sines of about that wavelength and longer.

    Args:
        rng: decides the sines.
        at: (N,) where to evaluate.
        wavelength: of the shortest sine, in the unit of ``at``.
        terms: how many sines.

    Returns:
        (N,).
    """
    total = np.zeros(len(at))
    for term in range(terms):
        length = wavelength * (1 + term * rng.uniform(0.4, 0.9))
        total += np.sin(2 * np.pi * (at / length + rng.uniform())) * rng.uniform(0.4, 1.0)
    return total / np.sqrt(terms)
