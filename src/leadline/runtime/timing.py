"""How long things take, compared fairly."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

K = TypeVar("K")
T = TypeVar("T")

#: What is said of a list of times: the least, the middle, and what one in ten and one in a hundred exceed.
PERCENTILES = {"min": 0, "p50": 50, "p90": 90, "p99": 99}


def measure(runs: Mapping[K, Callable[[], object]], rounds: int, iterations: int) -> dict[K, list[float]]:
    """Milliseconds of every call; compare minima.

    Args:
        runs: what to time, by name.
        rounds: see :func:`interleaved`.
        iterations: likewise.
    """
    return interleaved({key: partial(_timed, run) for key, run in runs.items()}, rounds, iterations)


def interleaved(runs: Mapping[K, Callable[[], T]], rounds: int, iterations: int) -> dict[K, list[T]]:
    """What every call gave.

    Every round calls everything once, so that a machine that slows down slows all of them.

    Args:
        runs: what to call, by name.
        rounds: how often each is come back to.
        iterations: calls in a row each time, after one that is not counted.
    """
    given: dict[K, list[T]] = {key: [] for key in runs}
    for _ in range(rounds):
        for key, run in runs.items():
            run()  # brings weights back into the caches
            given[key] += [run() for _ in range(iterations)]
    return given


def percentiles(times: Sequence[float]) -> dict[str, float]:
    """:data:`PERCENTILES` of times, by name.

    Example:
        >>> percentiles([3.0, 1.0, 2.0])["p50"]
        2.0
    """
    found = np.percentile(times, list(PERCENTILES.values()))
    return dict(zip(PERCENTILES, map(float, found), strict=True))


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)
