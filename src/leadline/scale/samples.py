"""Samples of WebDataset shards, whoever wrote them, in order and one at a time."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from leadline.camera import Camera
from leadline.data.lists import FrameId
from leadline.data.packing import ORDINARY
from leadline.errors import InputError
from leadline.io.images import IMAGE_SUFFIXES, decode_image

#: Bytes a file of a shard may have, and pixels a picture: more is a mistake or an attack.
LARGEST = 256 << 20
PIXELS = 100_000_000


@dataclass(frozen=True)
class Sample:
    """The files of one key.

    Args:
        shard: where it is.
        place: of the sample in it.
        key: with which the names of its files begin.
        files: by what follows the key and a dot; None for one that is larger than ``LARGEST``.
    """

    shard: Path
    place: int
    key: str
    files: dict[str, bytes | None]

    @cached_property
    def picture(self) -> str:
        """Name of the file that is its picture.

        Raises:
            InputError: it has none.
        """
        pictures = [name for name in self.files if f".{name.removeprefix('image.')}" in IMAGE_SUFFIXES]
        if not pictures:
            raise InputError(f"{self}: has no picture, such as image.jpg or jpg; it has {', '.join(self.files)}")
        return min(pictures, key=lambda name: not name.startswith("image."))

    @cached_property
    def pixels(self) -> np.ndarray:
        """Its picture, (H, W, 3) uint8 RGB.

        Raises:
            InputError: it has none, or one that cannot be read.
        """
        try:
            return decode_image(self.read(self.picture), PIXELS)[0]
        except InputError as error:
            raise InputError(f"{self}.{self.picture}: {str(error).removeprefix('image: ')}") from None

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            InputError: it is too large.
        """
        content = self.files[name]
        if content is None:
            raise InputError(f"{self}.{name}: is larger than {LARGEST >> 20} MiB")
        return content

    @cached_property
    def note(self) -> dict[str, Any]:
        """What leadline noted of it; of samples of others, what it would have."""
        try:
            note = json.loads(self.files.get("json") or b"")
        except ValueError:
            note = None
        if isinstance(note, dict) and {"sequence", "number", "camera_name", "name"} <= note.keys():
            return note
        return {"sequence": self.shard.stem, "number": self.place, "camera_name": "", "name": self.key}

    @property
    def id(self) -> FrameId:
        """Which frame it is."""
        return FrameId(str(self.note["sequence"]), int(self.note["number"]), str(self.note["camera_name"]))

    @property
    def camera(self) -> Camera | None:
        """Of the picture, where leadline noted one."""
        return Camera.from_dict(self.note["camera"]) if "camera" in self.note else None

    def kept(self) -> dict[str, bytes]:
        """What goes over into another shard: the picture, where it is an ordinary one, and the masks."""
        ordinary = ORDINARY.get(f".{self.picture.removeprefix('image.')}")
        names = {self.picture: ordinary} if ordinary else {}
        names |= {name: name for name in ("mask.png", "reflective.png") if name in self.files}
        return {new: self.read(old) for old, new in names.items()}

    def __str__(self) -> str:
        return f"{self.shard}/{self.key}"


def read_samples(shard: Path) -> Iterator[Sample]:
    """The samples of a shard: files that follow one another and have the same name up to its first dot.

    Raises:
        InputError: it cannot be read, is no tar file, or is cut off; the samples before have been given then.
    """
    key, files, place = None, {}, 0
    try:
        with tarfile.open(shard, "r|") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                folder, slash, name = member.name.rpartition("/")
                stem, _, suffix = name.partition(".")
                if key is not None and folder + slash + stem != key:
                    yield Sample(shard, place, key, files)
                    files, place = {}, place + 1
                key = folder + slash + stem
                files[suffix.lower()] = _content(tar, member)
    except (OSError, tarfile.TarError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or "it is cut off"
        raise InputError(f"{shard}: cannot be read ({reason}); copy or pack it again") from None
    if key is not None:
        yield Sample(shard, place, key, files)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    if member.size > LARGEST:
        return None
    file = tar.extractfile(member)
    return b"" if file is None else file.read()
