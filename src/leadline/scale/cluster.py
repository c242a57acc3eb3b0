"""Work spread over processes and machines by Ray Data (docs.ray.io)."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from leadline.errors import ConfigError

Row = dict[str, Any]


def spread(
    make: Callable[[], Callable[[Row], Row]],
    rows: Iterable[Row],
    workers: int,
    threads: int = 0,
    device: str = "cpu",
    address: str | None = None,
) -> Iterator[Row]:
    """What workers give of rows, in the order in which they are done.

    A worker that dies, with its machine or alone, is started again, and its row given to another: so what is done of a
    row must be the same, however often.

    Args:
        make: makes a worker, in each process once.
        rows: one piece of work each, minutes long.
        workers: how many.
        threads: cores each of them takes, at least 1.
        device: ``cuda`` gives each a GPU of its own.
        address: of a cluster; None starts one on this machine.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster.
    """
    try:
        ray: Any = importlib.import_module("ray")
        data: Any = importlib.import_module("ray.data")
    except ImportError:
        raise ConfigError("workers: needs Ray; pip install 'leadline[scale]', or leave --workers out") from None
    rows = list(rows)
    cores = max(1, threads)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    own = {} if address else {"num_cpus": workers * cores, "include_dashboard": False}
    try:
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **own)
    except ConnectionError as error:
        raise ConfigError(f"address: no Ray cluster at {address} ({error})") from None

    class Actor:
        """A process with a worker of its own. A class of its own for each call, because one with arguments could not be
        started again once they are gone from Ray's memory (ray-project/ray, issue 53727)."""

        def __init__(self) -> None:
            self.work = make()

        def __call__(self, row: Row) -> Row:
            return self.work(row)

    try:
        data.DataContext.get_current().enable_progress_bars = False
        done = data.from_items(rows, override_num_blocks=len(rows)).map(
            Actor,
            compute=data.ActorPoolStrategy(size=min(workers, len(rows))),
            num_cpus=cores,
            num_gpus=1 if device == "cuda" else 0,
        )
        yield from done.iter_rows()
    finally:
        ray.shutdown()
