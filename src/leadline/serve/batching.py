"""Requests that can run together do: a queue before one thread that has the network."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from leadline.serve.problems import Overloaded

T = TypeVar("T")
R = TypeVar("R")

#: How much of a newly measured time counts in the running mean.
NEWS = 0.1


@dataclass(eq=False)  # told apart by identity: items may be tensors
class _Asked(Generic[T, R]):
    key: Hashable
    item: T
    answer: asyncio.Future[R]
    since: float


class Batcher(Generic[T, R]):
    """Runs items together that have one key, in the order of the oldest; use it as an async context manager.

    The oldest item waits for mates until there are ``most`` of them or ``wait`` has passed since it came. While a batch
    runs, those that come gather for the next. An item whose asker has gone is not run.

    Args:
        run: gives the results of a batch, in order; only ever called by one thread at a time. Where it raises, each
            item is run alone, so that one that cannot be run harms no other.
        most: items of a batch.
        wait: in seconds.
        places: items in hand at once, see :meth:`place`.
        prepare: called once in the thread before any batch.
    """

    def __init__(
        self,
        run: Callable[[list[T]], Sequence[R]],
        most: int = 8,
        wait: float = 0.005,
        places: int = 64,
        prepare: Callable[[], object] = lambda: None,
    ) -> None:
        self.run, self.most, self.wait, self.places = run, most, wait, places
        self.taken = 0
        self._waiting: list[_Asked[T, R]] = []
        self._changed = asyncio.Event()
        self._closing = False
        self._mean = 0.0  # seconds of an item
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network", initializer=prepare)
        self._work: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._work = asyncio.create_task(self._go_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        """What was asked for is finished first."""
        self._closing = True
        self._changed.set()
        if self._work is not None:
            await self._work
        self._thread.shutdown()

    @property
    def alive(self) -> bool:
        """Whether what is asked will be answered."""
        return self._work is not None and not self._work.done() and not self._closing

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place for an item that will be asked for, taken before its bytes are read, so that memory is bounded.

        Raises:
            Overloaded: all are taken.
        """
        if self.taken >= self.places:
            raise Overloaded(f"{self.taken} images are in hand, which is the most", self.taken * self._mean)
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def ask(self, key: Hashable, item: T) -> R:
        """The result of an item.

        Args:
            key: items of one key may run together.
            item: what to run.

        Raises:
            Exception: what ``run`` raised of this item.
        """
        loop = asyncio.get_running_loop()
        asked: _Asked[T, R] = _Asked(key, item, loop.create_future(), loop.time())
        self._waiting.append(asked)
        self._changed.set()
        return await asked.answer

    async def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := await self._next():
            began = loop.time()
            results = await loop.run_in_executor(self._thread, self._results, [asked.item for asked in batch])
            spent = (loop.time() - began) / len(batch)
            self._mean += NEWS * (spent - self._mean) if self._mean else spent
            for asked, result in zip(batch, results, strict=True):
                if asked.answer.done():  # nobody waits any more
                    continue
                if isinstance(result, BaseException):
                    asked.answer.set_exception(result)
                else:
                    asked.answer.set_result(result)

    async def _next(self) -> list[_Asked[T, R]]:
        """The next batch; empty when closed and nothing waits."""
        loop = asyncio.get_running_loop()
        while True:
            self._waiting = [asked for asked in self._waiting if not asked.answer.done()]
            self._changed.clear()
            left = None
            if self._waiting:
                oldest = self._waiting[0]
                mates = [asked for asked in self._waiting if asked.key == oldest.key][: self.most]
                left = oldest.since + self.wait - loop.time()
                if len(mates) == self.most or left <= 0 or self._closing:
                    self._waiting = [asked for asked in self._waiting if asked not in mates]
                    return mates
            elif self._closing:
                return []
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    def _results(self, items: list[T]) -> list[R | Exception]:
        try:
            results = list(self.run(items))
            if len(results) != len(items):
                raise RuntimeError(f"{len(results)} results of {len(items)} items")
            return list(results)
        except Exception as error:
            if len(items) == 1:
                return [error]
            return [result for item in items for result in self._results([item])]
