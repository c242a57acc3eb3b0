"""Frames as they come: from webcams, streams and, on request, files, none of which waits for who looks at them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leadline.errors import InputError
from leadline.io.video import VideoReader


class Captured(NamedTuple):
    """A frame as it came.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        time: seconds since the first frame: of a file by its own clock, else when it came.
        at: ``time.monotonic()`` when it came, to tell how late an answer is.
    """

    image: NDArray[np.uint8]
    time: float
    at: float


@dataclass
class LiveStatistics:
    """What became of the frames of a live source.

    Attributes:
        seen: frames that came.
        dropped: of these, frames nobody was ready for before newer ones came.
        losses: how often the source was lost.
        latencies: seconds from a frame's coming to its answer, of the last ``most`` answers.
    """

    seen: int = 0
    dropped: int = 0
    losses: int = 0
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=1000))

    def __str__(self) -> str:
        text = f"{self.seen} frames seen, {self.dropped} dropped, source lost {self.losses} times"
        if self.latencies:
            middle, high = 1000 * np.percentile(self.latencies, (50, 95))
            text += f"; latency {middle:.0f} ms (median), {high:.0f} ms (95 %)"
        return text


@dataclass(frozen=True)
class Reconnect:
    """How a stream is come back to.

    Args:
        attempts: in a row, before it counts as ended.
        wait: seconds before the first attempt; twice as many before each other.
        longest: most seconds before one.
    """

    attempts: int = 5
    wait: float = 0.5
    longest: float = 10.0


class LiveSource:
    """The newest frames of a source, read by a thread of its own.

    A few frames wait at most; where more come than are taken the oldest is dropped, so that what is taken is never
    old. A webcam or stream that is lost is opened again; a file runs at its own speed, once. Use as a context manager;
    iterating ends when the source does, or when it did not come back.

    Args:
        reader: the source, open; it belongs to this from now on.
        waiting: frames that may wait.
        reconnect: how a lost source is come back to.
        report: is told of each loss, in one line.

    Attributes:
        statistics: what became of the frames, so far.
    """

    def __init__(
        self,
        reader: VideoReader,
        waiting: int = 2,
        reconnect: Reconnect = Reconnect(),
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.statistics = LiveStatistics()
        self._reader, self._reconnect, self._report = reader, reconnect, report
        self._frames: deque[Captured] = deque(maxlen=max(1, waiting))
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="leadline-capture")

    def __enter__(self) -> LiveSource:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join(1.0)  # one that waits for a silent stream ends when that times out

    def stop(self) -> None:
        """No more frames: who waits for one is told that the source ended."""
        self._stop.set()
        with self._changed:
            self._frames.clear()
            self._ended = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Captured]:
        """Yield the frames, oldest of those that wait first.

        Raises:
            InputError: a file is damaged or cut off, after its frames.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._frames or self._ended)
                if not self._frames:
                    if self._error is not None and not self._stop.is_set():
                        raise self._error
                    return
                frame = self._frames.popleft()
            yield frame

    def answered(self, frame: Captured) -> None:
        """Tell that a frame has its answer, for the statistics."""
        self.statistics.latencies.append(time.monotonic() - frame.at)

    def _work(self) -> None:
        try:
            if self._reader.live:
                self._watch()
            else:
                self._play()
        except BaseException as error:
            self._error = error
        finally:
            self._reader.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _play(self) -> None:
        """A file, at its own speed."""
        start = time.monotonic()
        for at, image in self._reader.timed():
            if self._stop.wait(max(0.0, start + at - time.monotonic())):
                return
            self._put(image, at)

    def _watch(self) -> None:
        """A webcam or stream, as often as it comes back."""
        start = time.monotonic()
        while True:
            before, reason = self.statistics.seen, "it ended"
            try:
                for _, image in self._reader.timed():
                    if self._stop.is_set():
                        return
                    self._put(image, time.monotonic() - start)
            except InputError as error:
                reason = str(error)
            if self._stop.is_set() or (self._reader.live and not self._reader.endless):
                return
            self.statistics.losses += 1
            came = self.statistics.seen - before
            self._report(f"{self._reader.name}: lost after {came} frames ({reason}); trying to come back to it")
            if not self._come_back():
                return

    def _come_back(self) -> bool:
        how, wait = self._reconnect, self._reconnect.wait
        self._reader.close()
        for _ in range(how.attempts):
            if self._stop.wait(min(wait, how.longest)):
                return False
            wait *= 2
            try:
                self._reader = VideoReader(self._reader.source)
                return True
            except InputError:
                continue
        self._report(f"{self._reader.name}: did not come back after {how.attempts} attempts")
        return False

    def _put(self, image: NDArray[np.uint8], at: float) -> None:
        with self._changed:
            self.statistics.seen += 1
            self.statistics.dropped += len(self._frames) == self._frames.maxlen
            if not self._stop.is_set():
                self._frames.append(Captured(image, at, time.monotonic()))
            self._changed.notify()
