"""Frames of videos and members of archives as files: both can be read from their start only, loaders read anywhere."""

from __future__ import annotations

import operator
import re
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import SupportsIndex, overload

from filelock import FileLock

from leadline.data.lists import FrameId
from leadline.errors import InputError
from leadline.io.cache import cache_folder, cache_key, make_in_cache


def unpacked_folder(source: Path) -> Path:
    """The cache folder for what is unpacked from a file; when the file changes, it is another one.

    Raises:
        InputError: there is no such file.
    """
    return cache_folder() / "unpacked" / cache_key([source])


def unpacked(file: Path, planned: Collection[Path], unpack: Callable[[Callable[[Path], bool]], None]) -> Path:
    """A file of the cache; where it is missing, its source is gone through once, for all files that are planned.

    Processes that need the same source wait for the one that unpacks it.

    Args:
        file: in the cache; all files of its folder come from one source.
        planned: files of that folder that will be asked for. Everything is unpacked when ``file`` is none of them, for
            then others will follow.
        unpack: goes through the source, and writes the files, each at once, for which the function it gets says so.

    Returns:
        ``file``, which is there unless the source does not hold it.

    Raises:
        InputError: the cache cannot be written to, or whatever ``unpack`` raises.
    """
    if file.is_file():
        return file
    make_in_cache(file.parent)
    with FileLock(file.parent.with_suffix(".lock")):
        if not file.is_file():
            chosen = set(planned)
            everything = file not in chosen
            unpack(lambda other: (everything or other in chosen) and not other.is_file())
    return file


def members(archive: Path, pattern: str, wanted: Callable[[int], bool]) -> Iterator[tuple[int, bytes]]:
    """Numbers and contents of an archive's members whose names fit and that are wanted, in its order.

    Raises:
        InputError: the archive is missing or damaged.
    """
    try:
        with tarfile.open(archive, "r|*") as stream:
            for member in stream:
                match = re.fullmatch(pattern, Path(member.name).name)
                if match and wanted(int(match[1])) and (data := stream.extractfile(member)):
                    yield int(match[1]), data.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{archive}: cannot be unpacked, download it again ({error})") from None


class UnpackedPaths(list[Path]):
    """Image files that are unpacked from their videos when they are asked for one by one."""

    def __init__(self, paths: Sequence[Path], ids: Sequence[FrameId], unpack: Callable[[FrameId], None]) -> None:
        super().__init__(paths)
        self._ids, self._unpack = ids, unpack

    @overload
    def __getitem__(self, index: SupportsIndex) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> list[Path]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Path | list[Path]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        self._unpack(self._ids[operator.index(index)])
        return super().__getitem__(index)
