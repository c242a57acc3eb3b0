"""Work done ahead of who wants it, in threads of its own."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
U = TypeVar("U")

#: How long, in seconds, a thread waits before it looks whether anyone still wants its work.
PATIENCE = 0.1


def ahead(items: Iterable[T], count: int = 4) -> Generator[T, None, None]:
    """The same items, in order, taken by a thread of its own, at most ``count`` ahead of who asks for them.

    What goes wrong there is raised here, after the items before it. When nobody asks any more (the generator is closed
    or forgotten), the thread ends after the item it is at, and closes what it took from, if that can be closed.

    Args:
        items: taken in the thread, and nowhere else.
        count: how many may wait, at least 1.

    Example:
        >>> list(ahead(x * x for x in range(4)))
        [0, 1, 4, 9]
    """
    waiting: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(max(1, count))
    wanted = threading.Event()
    wanted.set()

    close: Callable[[], None] | None = getattr(items, "close", None)

    def put(item: tuple[T] | BaseException | None) -> bool:
        while wanted.is_set():
            try:
                waiting.put(item, timeout=PATIENCE)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item,)):
                    return
            put(None)
        except BaseException as error:
            put(error)
        finally:
            if close is not None:
                close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (found := waiting.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found[0]
    finally:
        wanted.clear()
        thread.join()


def in_parallel(function: Callable[[T], U], items: Iterable[T]) -> Generator[U, None, None]:
    """What a function gives of each item, in order, by as many threads as torch may use, with one of them each: several
    items at a time keep cores busier than several threads at one item.

    At most two items a thread are in hand beyond what was asked for. What goes wrong, in the function or with the
    items, is raised after the results before it.

    Args:
        function: may be called by several threads at once.
        items: taken by who asks.

    Example:
        >>> list(in_parallel(abs, [3, -2, -1]))
        [3, 2, 1]
    """
    threads = torch.get_num_threads()
    waiting: deque[Future[U]] = deque()
    source, error = iter(items), None
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            while error is None:
                try:
                    waiting.append(pool.submit(function, next(source)))
                except BaseException as stopped:
                    error = stopped
                while len(waiting) > (2 * threads if error is None else 0):
                    yield waiting.popleft().result()
            if not isinstance(error, StopIteration):
                raise error
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)
            close: Callable[[], None] | None = getattr(items, "close", None)
            if close is not None:
                close()
