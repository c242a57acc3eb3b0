"""Writing WebDataset shards (github.com/webdataset/webdataset): tar files that read fast from disks and networks.

A folder of shards holds ``000000.tar``, ``000001.tar``, ...; beside each a table, ``000000.json``, of what is where in
it; and ``index.json``, which says what they are. A sample of a shard is, under one key:

- ``image.jpg`` or ``image.png``: the bytes of the original file, where that is what the data set gives; else PNG.
- ``depth.npz`` or ``depth.png``: see :meth:`leadline.depth.DepthMap.save`; kind, unit and camera are in it.
- ``mask.png``, ``reflective.png``: white where it holds.
- ``json``: ``sequence``, ``number`` and ``camera_name`` of the frame, ``camera``, ``pose`` (camera-to-world), ``time``,
  ``name``, ``of`` (the sequence the frame itself names) and ``licence``.

Where the data set has no such thing the file, or the key, is missing. :mod:`leadline.data.shards` reads them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from leadline.data.dataset import DataSet
from leadline.data.lists import FrameId
from leadline.errors import ConfigError, InputError, LeadlineError
from leadline.io.atomic import write_json, writing
from leadline.io.images import read_image, write_image
from leadline.io.rasters import write_raster
from leadline.io.reading import read_record

#: Beside the shards: what they are.
INDEX = "index.json"
#: Of the tables; another one is not read.
VERSION = 1
#: Files whose bytes are kept as they are.
ORDINARY = {".jpg": "image.jpg", ".jpeg": "image.jpg", ".png": "image.png"}
DEPTHS = ("npz", "png")

#: A sample to be written: its key, which frame it is, and its files, or why there are none.
Sample = tuple[str, FrameId, Mapping[str, bytes] | LeadlineError]
#: What is where in a shard.
Table = dict[str, Any]


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
    keys = list(sample_keys(map(str, data.ids)))
    slices = [slice(start, start + per_shard) for start in range(0, len(data), per_shard)]
    jobs = [
        _Job(data, out / f"{number:06d}.tar", keys[part], data.ids[part], depth, about, report)
        for number, part in enumerate(slices)
    ]
    check_free(out, about, {job.path for job in jobs})
    # It would be wrong from now on until all shards are there.
    (out / INDEX).unlink(missing_ok=True)
    with ThreadPoolExecutor(threads) as pool:
        tables = list(pool.map(_Job.table, jobs))
    index = about | {"source": data.source, "licence": data.licence, "digest": data.digest}
    write_index(out, index, {job.path: table for job, table in zip(jobs, tables, strict=True)})
    return [job.path for job in jobs]


def check_free(
    out: Path, about: Mapping[str, Any], wanted: set[Path], alike: Sequence[str] = ("data", "split")
) -> None:
    """See that a folder holds no shards but those that are to be in it.

    Args:
        out: the folder.
        about: what a shard is made of.
        wanted: the shards that are to be in it.
        alike: what of ``about`` is the same in all of them.

    Raises:
        InputError: it does.
    """
    for path in sorted(out.glob("*.tar")):
        table = path.with_suffix(".json")
        there = read_record(table, "the table of a shard").get("about", {}) if table.is_file() else about
        if path not in wanted or any(there.get(key) != about[key] for key in alike):
            raise InputError(f"{path}: is a shard of another packing; delete it, or give another folder")


def table_of(path: Path, about: Mapping[str, Any]) -> Table | None:
    """The table of a shard that was made of just this and is as large as it says; None where there is none.

    Args:
        path: of the shard.
        about: what it is made of.
    """
    file = path.with_suffix(".json")
    if not (file.is_file() and path.is_file()):
        return None
    table: Table = read_record(file, "the table of a shard")
    return table if table.get("about") == about and table.get("bytes") == path.stat().st_size else None


def write_shard(path: Path, about: Mapping[str, Any], samples: Iterable[Sample]) -> Table:
    """Write a shard and, after it, its table; samples that could not be made are left out and listed in it.

    Args:
        path: of the shard.
        about: what it is made of, see :func:`table_of`.
        samples: in their order.

    Raises:
        InputError: it cannot be written.
    """
    kept, failed = [], []
    with writing(path) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
            for key, id, files in samples:
                if isinstance(files, LeadlineError):
                    failed.append({"frame": str(id), "error": str(files)})
                    continue
                places = {name: _add(tar, f"{key}.{name}", content) for name, content in files.items()}
                kept.append([key, id.sequence, id.number, id.camera, places])
        table: Table = {"about": dict(about), "samples": kept, "failed": failed}
        table |= {"bytes": temporary.stat().st_size, "sha256": _sha256(temporary)}
    write_json(path.with_suffix(".json"), table, indent=None)
    return table


def write_index(out: Path, about: Mapping[str, str], tables: Mapping[Path, Table]) -> None:
    """Write ``index.json``, with which the shards are a data set.

    Args:
        out: the folder.
        about: ``data``, ``split``, ``truth``, ``source``, ``licence`` and ``digest`` of the data set.
        tables: of the shards.

    Raises:
        InputError: there is not a single sample in them.
    """
    failed = [frame for table in tables.values() for frame in table["failed"]]
    frames = sum(len(table["samples"]) for table in tables.values())
    if not frames:
        raise InputError(f"{out}: no frame could be packed, the first: {failed[0]['error'] if failed else 'none'}")
    shards = [
        {"file": path.name, "sha256": table["sha256"], "bytes": table["bytes"], "frames": len(table["samples"])}
        for path, table in tables.items()
    ]
    index: Table = {**about, "version": VERSION, "frames": frames, "failed": failed, "shards": shards}
    write_json(out / INDEX, index, indent=1)


def encoded(name: str, write: Callable[[Path], None]) -> bytes:
    """What ``write`` puts into a file of that name."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def sample_keys(names: Iterable[str]) -> Iterator[str]:
    """Keys of samples that are called so, in their order: no dots, with which suffixes begin, no slashes, which would
    be folders, and none twice.

    Example:
        >>> list(sample_keys(["a.1/left/7", "a-1/left/7"]))
        ['a-1-left-7', 'a-1-left-7-00000001']
    """
    seen: set[str] = set()
    for place, name in enumerate(names):
        key = re.sub(r"[^A-Za-z0-9_-]+", "-", name)
        key = f"{key}-{place:08d}" if key in seen else key
        seen.add(key)
        yield key


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

    def table(self) -> Table:
        """Write the shard and its table, unless they are there."""
        mask = self.data.mask
        about = dict(self.about) | {
            "version": VERSION, "depth": self.depth, "highlights": self.data.drop_highlights,
            "frames": _hash("\n".join(f"{id} {self.data.image(id).name}" for id in self.ids).encode()),
            "mask": None if mask is None else _hash(np.packbits(mask).tobytes()),
        }  # fmt: skip
        table = table_of(self.path, about)
        if table is None or table["failed"] or table["sha256"] != _sha256(self.path):
            table = write_shard(self.path, about, self._samples())
        return table

    def _samples(self) -> Iterator[Sample]:
        for key, id in zip(self.keys, self.ids, strict=True):
            try:
                yield key, id, _files(self.data, id, self.depth)
            except LeadlineError as error:
                if self.report:
                    self.report(id, error)
                yield key, id, error


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
    path = data.image(id)
    kept = ORDINARY.get(path.suffix.lower()) if path.is_file() else None
    # A data set may make its image from a part of the file, or from more than one.
    if kept and np.array_equal(read_image(path), np.rint(frame.image * 255)):
        files[kept] = path.read_bytes()
    else:
        files["image.png"] = encoded("image.png", partial(write_image, image=frame.image))
    if frame.depth is not None:
        files[f"depth.{depth}"] = encoded(f"depth.{depth}", frame.depth.save)
    for name, flags in (("mask", frame.mask), ("reflective", frame.reflective)):
        if flags is not None:
            files[f"{name}.png"] = encoded(f"{name}.png", partial(write_raster, values=flags * np.uint8(255)))
    note = {
        "sequence": id.sequence, "number": id.number, "camera_name": id.camera,
        "of": frame.sequence, "name": frame.name, "time": frame.time, "licence": data.licence,
        "pose": None if frame.pose is None else frame.pose.tolist(),
        "camera": None if frame.camera is None else frame.camera.to_dict(),
    }  # fmt: skip
    return files | {"json": json.dumps({key: value for key, value in note.items() if value is not None}).encode()}
