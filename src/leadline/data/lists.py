"""Lists of frames: the splits of data sets.

A list that leadline ships has one line a sequence::

    # whose list it is, and where from
    2011_09_26/2011_09_26_drive_0002_sync image_02: 69 54 0-20 30-60/3

sequence, camera (none where there is one only), a colon, and the numbers of its frames, ``a-b`` for all from a to b,
``a-b/s`` for every s-th of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from leadline.errors import InputError

#: A video is cut where more than so many of its usual steps are left out.
GAP = 3


@dataclass(frozen=True, order=True, slots=True)
class FrameId:
    """Which frame of a data set.

    Args:
        sequence: the recording, as the data set names it; it may hold slashes.
        number: of the frame in time.
        camera: which one, where there are several.

    Example:
        >>> str(FrameId("2011_09_26_drive_0002", 69, "image_02"))
        '2011_09_26_drive_0002/image_02/000069'
    """

    sequence: str
    number: int
    camera: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.sequence, self.camera, f"{self.number:06d}") if part)


def shipped(name: str) -> Path:
    """The file of a list that comes with leadline."""
    return Path(__file__).parent / "splits" / f"{name}.txt"


def read_list(path: Path) -> list[FrameId]:
    """The frames of a list in the form above, in its order.

    Raises:
        InputError: there is no such file, or a line does not fit.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a list of frames: {error}") from None
    ids = []
    for place, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        head, colon, numbers = line.rpartition(":")
        sequence, _, camera = head.strip().partition(" ")
        try:
            if not colon or not sequence:
                raise ValueError
            ids += [FrameId(sequence, number, camera) for item in numbers.split() for number in _numbers(item)]
        except ValueError:
            raise InputError(
                f"{path}: line {place} is not 'SEQUENCE CAMERA: 0 5 10-20 30-60/3' but '{line[:80]}'"
            ) from None
    return ids


def _numbers(item: str) -> Iterable[int]:
    span, _, step = item.partition("/")
    first, dash, last = span.partition("-")
    return range(int(first), int(last if dash else first) + 1, int(step or 1))


def digest(ids: Iterable[FrameId]) -> str:
    """16 hexadecimal digits of SHA-256 over the frames' names, a line each, in order."""
    return hashlib.sha256("".join(f"{id}\n" for id in ids).encode()).hexdigest()[:16]


def in_videos(ids: Sequence[FrameId]) -> list[list[FrameId]]:
    """Frames as videos: those of one camera, in order, without gaps of more than ``GAP`` times their usual step."""
    cameras: dict[tuple[str, str], list[FrameId]] = {}
    for id in ids:
        cameras.setdefault((id.sequence, id.camera), []).append(id)
    videos = []
    for frames in cameras.values():
        steps = [later.number - earlier.number for earlier, later in pairwise(frames)]
        usual = sorted(steps)[len(steps) // 2] if steps else 1
        cuts = [place for place, step in enumerate(steps, 1) if not 0 < step <= GAP * usual]
        videos += [frames[start:end] for start, end in pairwise([0, *cuts, len(frames)])]
    return videos
