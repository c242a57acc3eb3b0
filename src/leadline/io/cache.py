"""What is kept between runs because it can be made again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from leadline.errors import InputError


def cache_folder() -> Path:
    """The folder: ``LEADLINE_CACHE``, by default ``~/.cache/leadline``."""
    return Path(os.environ.get("LEADLINE_CACHE") or Path.home() / ".cache" / "leadline")


def make_in_cache(folder: Path) -> None:
    """Make a folder of the cache, unless it is there.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot make this folder ({error.strerror}); set LEADLINE_CACHE to one that can be written"
        ) from None


def cache_key(sources: Iterable[Path], about: str = "") -> str:
    """What is made of files is kept by: 32 hexadecimal digits, others where a file is another one or was changed.

    Args:
        sources: the files.
        about: what else it depends on.

    Raises:
        InputError: a file is not there.
    """
    states = [about]
    for path in sources:
        try:
            state = path.stat()
        except OSError:
            raise InputError(f"{path}: no such file") from None
        states.append(f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}")
    return hashlib.sha256("\n".join(states).encode()).hexdigest()[:32]
