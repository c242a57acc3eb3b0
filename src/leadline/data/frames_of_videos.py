"""Frames of videos and members of archives as files: both can be read from their start only, loaders read anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path

from filelock import FileLock

from leadline.errors import InputError
from leadline.io.cache import cache_folder


def unpacked_folder(source: Path) -> Path:
    """The cache folder for what is unpacked from a file; when the file changes, it is another one.

    Raises:
        InputError: there is no such file.
    """
    try:
        state = source.stat()
    except OSError:
        raise InputError(f"{source}: no such file") from None
    key = hashlib.sha256(f"{source.resolve()} {state.st_size} {state.st_mtime_ns}".encode()).hexdigest()
    return cache_folder() / "unpacked" / key[:32]


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
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{file.parent}: cannot make this folder ({error.strerror}); set LEADLINE_CACHE to one that can be written"
        ) from None
    with FileLock(file.parent.with_suffix(".lock")):
        if not file.is_file():
            chosen = set(planned)
            everything = file not in chosen
            unpack(lambda other: (everything or other in chosen) and not other.is_file())
    return file
