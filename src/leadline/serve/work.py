"""One job, in a process of its own: a video becomes a colour video and, where asked for, its maps.

    python -m leadline.serve.work FOLDER < options

The options are one line of JSON. It says how far it is on its standard output, a line of JSON each: ``frames`` that are
done; at the end ``done``, or ``error``. It ends when its standard input does, with whoever wanted its work.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

import leadline
from leadline.depth import DepthMap
from leadline.errors import InputError, LeadlineError
from leadline.io.atomic import writing
from leadline.runtime.predictor import Lens
from leadline.runtime.writing import ImageWriter, predict_video
from leadline.serve.spool import DEPTH, SENT, VIDEO, line

#: So much less is a job's share of the processor than that of those who wait for an image.
NICE = 10


def main(arguments: list[str]) -> None:
    """Do the job in a folder."""
    # A service manager, or Ctrl-C in a terminal, signals all processes; this one is told by its parent.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    os.nice(NICE)
    said, sys.stdout = sys.stdout.buffer, sys.stderr  # so that nothing else gets between the lines
    options = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder = Path(arguments[0])
    try:
        _say(said, **work(folder, options, lambda done: _say(said, frames=done)))
    except LeadlineError as error:
        _say(said, error=str(error).replace(str(folder / SENT), "video"))
    os._exit(0)  # all is written: nothing that a library left behind is waited for


def work(folder: Path, options: dict[str, Any], tell: Callable[[int], None]) -> dict[str, Any]:
    """Make the results of a job in its folder.

    Args:
        folder: with the video as ``SENT``; gets ``VIDEO`` and, where asked for, ``DEPTH``.
        options: ``load``, arguments of ``leadline.load``; ``batch``; ``lens``, arguments of ``Lens``; ``depth``,
            whether the maps are wanted; ``most`` frames.
        tell: is told how many frames are done.

    Returns:
        ``done``, how many frames, and ``problem``, what is missing, if anything.

    Raises:
        LeadlineError: nothing could be made of it, or it has too many frames.
    """
    made = folder / VIDEO.removesuffix(".mp4")
    shutil.rmtree(made, ignore_errors=True)  # of an attempt that was cut off
    predictor = leadline.load(**options["load"])
    predictor.batch, predictor.lens = options["batch"], Lens(**options["lens"])
    count = Counted(options["most"], tell)
    formats = ["colour", "npz"] if options["depth"] else ["colour"]
    problem = ""
    try:
        predict_video(predictor, folder / SENT, made.name, CountedWriter(folder, formats, "turbo", count=count))
    except InputError as error:
        if not (folder / VIDEO).is_file() or count.over:
            raise
        problem = str(error).replace(str(folder / SENT), "video")
    if options["depth"]:
        with writing(folder / DEPTH) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(made.iterdir()):
                archive.write(file, file.name)  # compressed already
    shutil.rmtree(made, ignore_errors=True)
    return {"done": count.done, "problem": problem}


class Counted:
    """Counts frames, from several threads, and has enough at some time."""

    def __init__(self, most: int, tell: Callable[[int], None]) -> None:
        self.done, self.over = 0, False
        self._most, self._tell, self._lock = most, tell, threading.Lock()

    def __call__(self) -> None:
        """One more is done.

        Raises:
            InputError: these are too many.
        """
        with self._lock:
            self.done += 1
            self.over = self.done > self._most
            if self.over:
                raise InputError(f"video: more than {self._most} frames")
            self._tell(self.done)


@dataclass(frozen=True)
class CountedWriter(ImageWriter):
    """Says when a frame is written.

    Args:
        count: is called after each.
    """

    count: Callable[[], None] = lambda: None

    def write_values(self, name: str, image: np.ndarray, depth: DepthMap) -> None:
        """See :class:`leadline.runtime.writing.ImageWriter`."""
        super().write_values(name, image, depth)
        self.count()


def _say(said: BinaryIO, **entries: object) -> None:
    said.write(line(**entries))
    said.flush()


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
