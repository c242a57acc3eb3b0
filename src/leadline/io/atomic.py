"""Files appear whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from leadline.errors import InputError, LeadlineError, disk_full

_UMASK = os.umask(0)
os.umask(_UMASK)


@contextlib.contextmanager
def _disk_of(target: Path) -> Iterator[None]:
    """One line for a disk that is full, whatever the library that writes says of it."""
    try:
        yield
    except LeadlineError:
        raise
    except Exception as error:
        if reason := disk_full(error):
            raise InputError(f"{target}: cannot be written ({reason}); make room there and try again") from None
        raise


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` (same suffix) that is renamed onto it on success.

    The temporary file is removed when the block raises, so a crash never leaves half a file under the real name.
    Missing parent folders are made.

    Raises:
        InputError: the folder cannot be made or written to, no file can have that name, or the disk is full.
    """
    target = Path(path)
    _check_name(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{target.parent}: cannot make this folder ({error.strerror})") from None
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{target.parent}: this folder cannot be written to")
    temporary = target.with_name(f".{target.stem[:100]}.{secrets.token_hex(4)}{target.suffix}")
    try:
        with _disk_of(target):
            yield temporary
        # Some libraries make private files; under its name it is an ordinary one.
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _check_name(target: Path) -> None:
    """See, before the work, that a file can have that name."""
    try:
        folder = target.is_dir()
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from None
    if folder:
        raise InputError(f"{target}: is a folder, and a file is to be written there")


def check_folder(path: str | os.PathLike[str]) -> None:
    """See that files can be written to a folder, which need not be there yet, before hours are spent on them.

    Raises:
        InputError: they cannot.
    """
    there = Path(path).resolve()
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"{path}: is not a folder that can be written to")


@contextlib.contextmanager
def writing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that is renamed to it on success, and removed when the block raises.

    Raises:
        InputError: the folder cannot be made, ``path`` is there and not an empty folder, or the disk is full.
    """
    target = Path(path).resolve()
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}")
    try:
        if target.is_dir():
            target.rmdir()  # now, not after the work: one that is not empty, or a mount, cannot be replaced
        temporary.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{target}: cannot make this folder ({error.strerror})") from None
    try:
        with _disk_of(target):
            yield temporary
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def writing_together(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path of the same name in a temporary folder beside; on success that file, and all that lie with it then,
    are moved to where ``path`` is, it itself last. Nothing is moved when the block raises.

    Raises:
        InputError: the folder cannot be made or written to, or no file can have that name.
    """
    target = Path(path)
    _check_name(target)
    check_folder(target.parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem[:100]}.{secrets.token_hex(4)}")
    temporary.mkdir()
    try:
        with _disk_of(target):
            yield temporary / target.name
        for file in sorted(temporary.iterdir(), key=lambda file: file.name == target.name):
            file.chmod(0o666 & ~_UMASK)
            file.replace(target.with_name(file.name))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8; a file that exists is replaced.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any, indent: int | None = 4, sort_keys: bool = False) -> None:
    """Write a value as JSON, formatted as ``json.dumps`` does; a file that exists is replaced.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    write_text(path, json.dumps(value, indent=indent, sort_keys=sort_keys))


def write_numbers(path: str | os.PathLike[str], rows: Any, style: str = "%.9g", between: str = " ") -> None:
    """Write rows of numbers as text, a line each; a file that exists is replaced.

    Args:
        path: the file.
        rows: (N, C).
        style: of each number.
        between: two numbers.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    with writing(path) as temporary:
        np.savetxt(temporary, rows, style, between)
