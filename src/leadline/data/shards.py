"""Data sets as tar files that read fast from disks and networks: WebDataset shards (github.com/webdataset/webdataset).

A folder of shards holds ``000000.tar``, ``000001.tar``, ...; beside each a table, ``000000.json``, of what is where in
it; and ``index.json``, which says what they are. A sample of a shard is, under one key:

- ``image.jpg`` or ``image.png``: the bytes of the original file, where that is what the data set gives; else PNG.
- ``depth.npz`` or ``depth.png``: see :meth:`leadline.depth.DepthMap.save`; kind, unit and camera are in it.
- ``mask.png``, ``reflective.png``: white where it holds.
- ``json``: ``sequence``, ``number`` and ``camera_name`` of the frame, ``camera``, ``pose`` (camera-to-world), ``time``,
  ``name``, ``of`` (the sequence the frame itself names) and ``licence``.

Where the data set has no such thing the file, or the key, is missing.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from leadline.camera import Camera
from leadline.data.dataset import NONE, DataSet
from leadline.data.images import open_mask
from leadline.data.lists import FrameId, digest
from leadline.depth import DepthMap
from leadline.errors import ConfigError, InputError, LeadlineError
from leadline.frame import Frame
from leadline.io.atomic import write_json, writing
from leadline.io.images import image_size, read_image, write_image
from leadline.io.rasters import write_raster
from leadline.io.reading import read_json

#: Of the tables; another one is not read.
VERSION = 1
#: Files whose bytes are kept as they are.
ORDINARY = {".jpg": "image.jpg", ".jpeg": "image.jpg", ".png": "image.png"}
DEPTHS = ("npz", "png")


def pack(
    data: DataSet,
    out: str | os.PathLike[str],
    per_shard: int = 1000,
    depth: str = "npz",
    threads: int = 4,
    report: Callable[[FrameId, LeadlineError], None] | None = None,
) -> list[Path]:
    """Write the frames of a data set's split, in their order, as shards. The same frames give the same bytes.

    A frame that cannot be read is left out and reported, and the rest goes on. Packing that was broken off goes on
    where it was: shards that are whole, as their tables say, are not made again, unless frames of them were left out.
    Whether files of the data set changed since is not looked at.

    Args:
        data: the frames.
        out: folder of the shards; it may hold no other's.
        per_shard: frames in each.
        depth: ``npz`` is exact; ``png`` has 16 bits up to the largest value, smaller.
        threads: shards that are written at a time.
        report: gets each frame left out and why; it may be called by several threads.

    Returns:
        The shards.

    Raises:
        ConfigError: an option is impossible.
        InputError: the folder holds other shards, cannot be written to, or no frame can be read.
    """
    if per_shard < 1 or threads < 1 or depth not in DEPTHS:
        raise ConfigError(
            f"shards: per_shard {per_shard} and threads {threads} are to be at least 1, depth '{depth}' one of "
            f"{', '.join(DEPTHS)}"
        )
    out = Path(out)
    about = {"data": data.name, "split": data.split, "truth": data.truth}
    keys = _keys(data.ids)
    slices = [slice(start, start + per_shard) for start in range(0, len(data), per_shard)]
    jobs = [
        _Job(data, out / f"{number:06d}.tar", keys[part], data.ids[part], depth, about, report)
        for number, part in enumerate(slices)
    ]
    _check_free(out, about, {job.path for job in jobs})
    # It would be wrong from now on until all shards are there.
    (out / "index.json").unlink(missing_ok=True)
    with ThreadPoolExecutor(threads) as pool:
        tables = list(pool.map(_Job.table, jobs))
    failed = [frame for table in tables for frame in table["failed"]]
    if len(failed) == len(data):
        raise InputError(f"{out}: no frame could be packed, the first: {failed[0]['error']}")
    shards = [
        {"file": job.path.name, "sha256": table["sha256"], "bytes": table["bytes"], "frames": len(table["samples"])}
        for job, table in zip(jobs, tables, strict=True)
    ]
    index = about | {
        "version": VERSION, "source": data.source, "licence": data.licence, "digest": data.digest,
        "frames": len(data) - len(failed), "failed": failed, "shards": shards,
    }  # fmt: skip
    write_json(out / "index.json", index, indent=1)
    return [job.path for job in jobs]


def _keys(ids: Sequence[FrameId]) -> list[str]:
    """Names of the samples: no dots, with which suffixes begin, and no slashes, which would be folders."""
    seen: set[str] = set()
    keys = []
    for place, id in enumerate(ids):
        key = re.sub(r"[^A-Za-z0-9_-]+", "-", str(id))
        key = f"{key}-{place:08d}" if key in seen else key
        seen.add(key)
        keys.append(key)
    return keys


def _check_free(out: Path, about: Mapping[str, str], wanted: set[Path]) -> None:
    for path in sorted(out.glob("*.tar")):
        table = path.with_suffix(".json")
        there = read_json(table).get("about", {}) if table.is_file() else about
        if path not in wanted or any(there.get(key) != about[key] for key in ("data", "split")):
            raise InputError(f"{path}: is a shard of another packing; delete it, or give another folder")


@dataclass(frozen=True)
class _Job:
    """One shard to be written."""

    data: DataSet
    path: Path
    keys: Sequence[str]
    ids: Sequence[FrameId]
    depth: str
    about: Mapping[str, str]
    report: Callable[[FrameId, LeadlineError], None] | None

    def table(self) -> dict[str, Any]:
        """Write the shard and its table, unless they are there."""
        mask = self.data.mask
        about = dict(self.about) | {
            "version": VERSION, "depth": self.depth, "highlights": self.data.drop_highlights,
            "frames": _hash("\n".join(f"{id} {self.data.image(id).name}" for id in self.ids).encode()),
            "mask": None if mask is None else _hash(np.packbits(mask).tobytes()),
        }  # fmt: skip
        file = self.path.with_suffix(".json")
        if file.is_file() and self.path.is_file():
            table: dict[str, Any] = read_json(file)
            if table.get("about") == about and not table["failed"] and table["sha256"] == _sha256(self.path):
                return table
        with writing(self.path) as temporary:
            table = {"about": about} | self._written(temporary)
            table |= {"bytes": temporary.stat().st_size, "sha256": _sha256(temporary)}
        write_json(file, table, indent=None)
        return table

    def _written(self, path: Path) -> dict[str, Any]:
        samples, failed = [], []
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            for key, id in zip(self.keys, self.ids, strict=True):
                try:
                    files = _files(self.data, id, self.depth)
                except LeadlineError as error:
                    failed.append({"frame": str(id), "error": str(error)})
                    if self.report:
                        self.report(id, error)
                    continue
                places = {name: _add(tar, f"{key}.{name}", content) for name, content in files.items()}
                samples.append([key, id.sequence, id.number, id.camera, places])
        return {"samples": samples, "failed": failed}


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> tuple[int, int]:
    """Append a file that says nothing of when and where it was written; where its bytes begin, and how many."""
    header = tarfile.TarInfo(name)
    header.size = len(content)
    tar.addfile(header, io.BytesIO(content))
    blocks = -(-len(content) // tarfile.BLOCKSIZE)
    return tar.offset - blocks * tarfile.BLOCKSIZE, len(content)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(data: DataSet, id: FrameId, depth: str) -> dict[str, bytes]:
    """The files of a sample."""
    frame = data.load(id)
    files = {}
    with tempfile.TemporaryDirectory() as folder:

        def bytes_of(name: str, write: Callable[[Path], None]) -> None:
            write(Path(folder) / name)
            files[name] = (Path(folder) / name).read_bytes()

        path = data.image(id)
        kept = ORDINARY.get(path.suffix.lower()) if path.is_file() else None
        # A data set may make its image from a part of the file, or from more than one.
        if kept and np.array_equal(read_image(path), np.rint(frame.image * 255)):
            files[kept] = path.read_bytes()
        else:
            bytes_of("image.png", partial(write_image, image=frame.image))
        if frame.depth is not None:
            bytes_of(f"depth.{depth}", frame.depth.save)
        for name, flags in (("mask", frame.mask), ("reflective", frame.reflective)):
            if flags is not None:
                bytes_of(f"{name}.png", partial(write_raster, values=flags * np.uint8(255)))
    note = {
        "sequence": id.sequence, "number": id.number, "camera_name": id.camera,
        "of": frame.sequence, "name": frame.name, "time": frame.time, "licence": data.licence,
        "pose": None if frame.pose is None else frame.pose.tolist(),
        "camera": None if frame.camera is None else frame.camera.to_dict(),
    }  # fmt: skip
    return files | {"json": json.dumps({key: value for key, value in note.items() if value is not None}).encode()}


class Shards(DataSet):
    """What :func:`pack` wrote, as the data set it was made from: any frame can be read, none is unpacked before.

    Normals, semantics, flow and the parts of an image are not packed.

    Args:
        root: the folder of shards.
        split: ``all``, or a file with frames as ``SEQUENCE/CAMERA/NUMBER`` a line.
        truth: ``packed``, or ``none``.
        mask: an image file, white = use, beside the masks packed; ``auto`` is for packing.
        drop_highlights: leave out wet highlights too.
        every: use one in so many frames.

    Raises:
        ConfigError: there is no such split or truth, or the mask is ``auto``.
        InputError: the folder holds no shards, or one of them is missing or cut off.
    """

    name = "shards"
    source = "a data set packed by leadline"
    splits = {"all": "every frame packed"}
    truths = {"packed": "the depth that was packed"}
    tree = {
        "*.tar": "shards",
        "??????.json": "what is where in each",
        "index.json": "what the shards are",
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = None,
        truth: str | None = None,
        mask: str = "none",
        drop_highlights: bool = False,
        every: int = 1,
    ) -> None:
        if mask == "auto":
            raise ConfigError("mask: 'auto' is for packing; shards have the masks they were packed with")
        file = Path(root) / "index.json"
        if not file.is_file():
            raise InputError(
                f"{root}: holds no index.json; a folder that was packed to the end has one beside its shards"
            )
        self.index = read_json(file)
        if not isinstance(self.index, dict) or self.index.get("version") != VERSION:
            raise InputError(f"{file}: is not the index of shards of version {VERSION}; pack them again")
        # What a model trained on them may be used for does not change by packing.
        self.licence = self.index["licence"]  # type: ignore[misc]
        self._places = dict(_places(Path(root), self.index["shards"]))
        super().__init__(root, split, truth, mask, drop_highlights, every)

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
        """See :meth:`DataSet.files`: the shard."""
        return [self._place(id).shard]

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
class _Place:
    """Where a sample is."""

    shard: Path
    key: str
    files: Mapping[str, tuple[int, int]]

    @property
    def image(self) -> str:
        """What its image is called."""
        return "image.png" if "image.png" in self.files else "image.jpg"

    def read(self, name: str) -> bytes:
        """The bytes of one file."""
        start, size = self.files[name]
        try:
            with self.shard.open("rb") as file:
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


def _places(root: Path, shards: Sequence[Mapping[str, Any]]) -> Iterator[tuple[FrameId, _Place]]:
    for shard in shards:
        path = root / shard["file"]
        if not path.is_file() or path.stat().st_size != shard["bytes"]:
            raise InputError(f"{path}: is missing or cut off, {shard['bytes']} bytes are wanted; pack or copy it again")
        table = read_json(path.with_suffix(".json"))
        if table["sha256"] != shard["sha256"]:
            raise InputError(f"{path.with_suffix('.json')}: is not of the shard that index.json names; pack again")
        for key, sequence, number, camera, files in table["samples"]:
            yield FrameId(sequence, number, camera), _Place(path, key, files)


def _depth(folder: Path) -> DepthMap | None:
    file = next(folder.glob("*.depth.*"), None)
    return None if file is None else DepthMap.load(file)


def _camera(note: Mapping[str, Any]) -> Camera | None:
    return Camera.from_dict(note["camera"]) if "camera" in note else None


def _pose(note: Mapping[str, Any]) -> np.ndarray | None:
    return np.array(note["pose"]) if "pose" in note else None
