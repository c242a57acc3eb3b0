"""How long things take, compared fairly."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

K = TypeVar("K")


def measure(runs: Mapping[K, Callable[[], object]], rounds: int, iterations: int) -> dict[K, list[float]]:
    """Milliseconds of every call.

    Every round times everything once, so that a machine that slows down slows all of them; compare minima.

    Args:
        runs: what to time, by name.
        rounds: how often each is come back to.
        iterations: calls in a row each time, after one that is not counted.
    """
    times: dict[K, list[float]] = {key: [] for key in runs}
    for _ in range(rounds):
        for key, run in runs.items():
            run()  # brings weights back into the caches
            for _ in range(iterations):
                start = time.perf_counter()
                run()
                times[key].append(1000 * (time.perf_counter() - start))
    return times
