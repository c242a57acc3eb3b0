"""Data sets that were packed as WebDataset shards, see :mod:`leadline.data.packing`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from leadline.camera import Camera
from leadline.data.dataset import NONE, DataSet
from leadline.data.images import open_mask
from leadline.data.lists import FrameId, digest
from leadline.data.mirror import Files, Mirror, is_address
from leadline.data.packing import INDEX, VERSION
from leadline.depth import DepthMap
from leadline.errors import ConfigError, InputError
from leadline.frame import Frame
from leadline.io.images import image_size
from leadline.io.reading import read_record

#: What a table says of a sample: key, sequence, number, camera, files.
SAMPLE = 5


class Shards(DataSet):
    """What :func:`leadline.data.packing.pack` wrote, as the data set it was made from: any frame can be read, none is
    unpacked before.

    Normals, semantics, flow and the parts of an image are not packed.

    Args:
        root: the folder of shards, or its address, ``https://...``, ``s3://...`` or another that fsspec opens: shards
            are then fetched when they are first read.
        split: ``all``, or a file with frames as ``SEQUENCE/CAMERA/NUMBER`` a line.
        truth: ``packed``, or ``none``.
        mask: an image file, white = use, beside the masks packed; ``auto`` is for packing.
        drop_highlights: leave out wet highlights too.
        every: use one in so many frames.
        keep_gb: of shards fetched from elsewhere, so many GB (1e9 bytes) are kept on this machine.

    Raises:
        ConfigError: there is no such split or truth, the mask is ``auto``, or nothing opens such addresses.
        InputError: the folder holds no shards, or one of them is missing or cut off.
    """

    name = "shards"
    source = "a data set packed by leadline"
    splits = {"all": "every frame packed"}
    truths = {"packed": "the depth that was packed"}
    tree = {
        "*.tar": "shards",
        "??????.json": "what is where in each",
        INDEX: "what the shards are",
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = None,
        truth: str | None = None,
        mask: str = "none",
        drop_highlights: bool = False,
        every: int = 1,
        keep_gb: float = 100.0,
    ) -> None:
        if mask == "auto":
            raise ConfigError("mask: 'auto' is for packing; shards have the masks they were packed with")
        kept = Mirror(str(root), INDEX, keep_gb * 1e9) if is_address(root) else Files(Path(root))
        file = kept.fetched(INDEX)
        if not file.is_file():
            raise InputError(
                f"{root}: holds no index.json; a folder that was packed to the end has one beside its shards"
            )
        self.index = read_record(
            file, "the index of shards; pack them again", version=int, licence=str, shards=list, failed=list,
            digest=str, data=str, split=str,
        )  # fmt: skip
        if self.index["version"] != VERSION:
            raise InputError(f"{file}: is not the index of shards of version {VERSION}; pack them again")
        for shard in self.index["shards"]:
            _check_shard(shard, file)
        # What a model trained on them may be used for does not change by packing.
        self.licence = self.index["licence"]  # type: ignore[misc]
        self._places = dict(_places(kept, self.index["shards"]))
        super().__init__(kept.root, split, truth, mask, drop_highlights, every)

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`; in the order they were packed in."""
        del split
        return list(self._places)

    def parse(self, line: str) -> FrameId:
        """``SEQUENCE/CAMERA/NUMBER``, with what the frame has of it."""
        if line not in self._by_name:
            raise InputError(f"{self.root} holds no such frame")
        return self._by_name[line]

    @cached_property
    def _by_name(self) -> dict[str, FrameId]:
        return {str(id): id for id in self._places}

    def image(self, id: FrameId) -> Path:
        """Where the image is: a path into the shard, as if that were a folder."""
        place = self._place(id)
        return place.shard / f"{place.key}.{place.image}"

    def files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.files`: the shard, unless it is fetched when it is read."""
        place = self._place(id)
        return place.of.kept.needed(place.of.name)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of one image."""
        place = self._place(self.ids[index])
        with place.unpacked(place.image) as folder:
            return image_size(folder / f"{place.key}.{place.image}")

    def depth(self, id: FrameId) -> DepthMap | None:
        """See :meth:`DataSet.depth`."""
        place = self._place(id)
        with place.unpacked("depth") as folder:
            depth = _depth(folder)
        return None if depth is None else replace(depth, camera=None)

    def camera(self, id: FrameId) -> Camera | None:
        """See :meth:`DataSet.camera`."""
        return _camera(self._place(id).note())

    def pose(self, id: FrameId) -> np.ndarray | None:
        """See :meth:`DataSet.pose`."""
        return _pose(self._place(id).note())

    def time(self, id: FrameId) -> float | None:
        """See :meth:`DataSet.time`."""
        time: float | None = self._place(id).note().get("time")
        return time

    def neighbour(self, id: FrameId, offset: int) -> FrameId | None:
        """See :meth:`DataSet.neighbour`; where it was packed."""
        other = replace(id, number=id.number + offset)
        return other if other in self._places else None

    def load(self, id: FrameId) -> Frame:
        """See :meth:`DataSet.load`."""
        place = self._place(id)
        note = place.note()
        with place.unpacked("image", "mask", "reflective", *([] if self.truth == NONE else ["depth"])) as folder:
            flags = {
                name: file for name in ("mask", "reflective") if (file := folder / f"{place.key}.{name}.png").is_file()
            }
            return self._framed(
                folder / f"{place.key}.{place.image}",
                depth=_depth(folder),
                camera=_camera(note),
                pose=_pose(note),
                time=note.get("time"),
                sequence=note.get("of"),
                name=note["name"],
                **{name: open_mask(str(file), []) for name, file in flags.items()},
            )

    @cached_property
    def digest(self) -> str:
        """That of the data set packed, where all of its frames are here."""
        whole = not self.index["failed"] and self.ids == list(self._places)
        return str(self.index["digest"]) if whole else digest(self.ids)

    def describe(self) -> str:
        """Which frames they are."""
        return f"{len(self)} frames of {self.index['data']}, split {self.index['split']} ({self.digest})"

    def _place(self, id: FrameId) -> _Place:
        if id not in self._places:
            raise InputError(f"{self.root}: has no frame {id}; there are {len(self._places)}")
        return self._places[id]


@dataclass(frozen=True)
class _Shard:
    """One shard."""

    kept: Files
    name: str
    bytes: int
    sha256: str


@lru_cache(maxsize=8)
def _samples(shard: _Shard) -> Sequence[Any]:
    """Key, sequence, number, camera and files of each sample of a shard, by its table. Those of a few shards are kept:
    all of those of millions of frames would fill a memory."""
    file = shard.kept.fetched(str(Path(shard.name).with_suffix(".json")))
    table = read_record(file, "the table of a shard; pack it again", sha256=str, samples=list)
    if table["sha256"] != shard.sha256:
        raise InputError(f"{file}: is not of the shard that index.json names; pack again")
    samples: Sequence[Any] = table["samples"]
    if not all(isinstance(sample, list) and len(sample) == SAMPLE for sample in samples):
        raise InputError(f"{file}: has samples that are none; pack again")
    return samples


def _check_shard(shard: object, index: Path) -> None:
    """See that what an index says of a shard can be of one, which lies in its folder."""
    types = {"file": str, "bytes": int, "sha256": str}
    if not isinstance(shard, dict) or any(not isinstance(shard.get(key), kind) for key, kind in types.items()):
        raise InputError(f"{index}: names a shard without its file, bytes and sha256; pack again")
    if Path(shard["file"]).name != shard["file"]:
        raise InputError(f"{index}: names a shard outside its folder, {shard['file'][:80]}; pack again")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a sample is."""

    of: _Shard
    number: int

    @property
    def shard(self) -> Path:
        """Where its shard is, or will be once it is fetched."""
        return self.of.kept.root / self.of.name

    @property
    def key(self) -> str:
        """What the names of its files begin with."""
        return str(_samples(self.of)[self.number][0])

    @property
    def files(self) -> Mapping[str, tuple[int, int]]:
        """Start and size of its files in the shard."""
        files: Mapping[str, tuple[int, int]] = _samples(self.of)[self.number][4]
        return files

    @property
    def image(self) -> str:
        """What its image is called."""
        return "image.png" if "image.png" in self.files else "image.jpg"

    def read(self, name: str) -> bytes:
        """The bytes of one file."""
        start, size = self.files[name]
        try:
            with self.of.kept.open(self.of.name, self.of.bytes) as file:
                file.seek(start)
                content = file.read(size)
        except OSError as error:
            raise InputError(f"{self.shard}: cannot be read ({error.strerror})") from None
        if len(content) < size:
            raise InputError(f"{self.shard}: is cut off at {self.key}.{name}")
        return content

    def note(self) -> dict[str, Any]:
        """What the sample says in words and numbers."""
        try:
            note: dict[str, Any] = json.loads(self.read("json"))
        except ValueError:
            raise InputError(f"{self.shard}: is not what its table says, at {self.key}.json; pack it again") from None
        return note

    @contextmanager
    def unpacked(self, *names: str) -> Iterator[Path]:
        """A folder with those of its files that are called so, whatever their suffix, while it is needed."""
        with tempfile.TemporaryDirectory() as folder:
            for name in self.files:
                if name in names or name.partition(".")[0] in names:
                    (Path(folder) / f"{self.key}.{name}").write_bytes(self.read(name))
            try:
                yield Path(folder)
            except InputError as error:
                raise InputError(str(error).replace(folder, str(self.shard))) from None


def _places(kept: Files, shards: Sequence[Mapping[str, Any]]) -> Iterator[tuple[FrameId, _Place]]:
    for named in shards:
        shard = _Shard(kept, named["file"], named["bytes"], named["sha256"])
        kept.check(shard.name, shard.bytes)
        for place, (_, sequence, number, camera, _) in enumerate(_samples(shard)):
            yield FrameId(sys.intern(sequence), number, sys.intern(camera)), _Place(shard, place)


def _depth(folder: Path) -> DepthMap | None:
    file = next(folder.glob("*.depth.*"), None)
    return None if file is None else DepthMap.load(file)


def _camera(note: Mapping[str, Any]) -> Camera | None:
    return Camera.from_dict(note["camera"]) if "camera" in note else None


def _pose(note: Mapping[str, Any]) -> np.ndarray | None:
    return np.array(note["pose"]) if "pose" in note else None
