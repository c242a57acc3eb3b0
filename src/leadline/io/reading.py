"""Small files of text and numbers in, with one clear line where they are missing or wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from leadline.errors import InputError


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a file.

    Raises:
        InputError: it is missing or not UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None


def read_json(path: str | os.PathLike[str]) -> Any:
    """What a JSON file holds.

    Raises:
        InputError: it is missing or not JSON.
    """
    try:
        return json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON ({error})") from None


def read_record(path: str | os.PathLike[str], what: str, **needed: type | tuple[type, ...]) -> dict[str, Any]:
    """The JSON object that a file holds.

    Args:
        path: the file.
        what: it should be, for the message.
        needed: keys it must have, and the types of their values.

    Raises:
        InputError: it is missing, not JSON, no object, or lacks such a key.
    """
    record = read_json(path)
    if not isinstance(record, dict):
        raise InputError(f"{path}: is not {what} (it holds no JSON object)")
    for key, types in needed.items():
        if not isinstance(record.get(key), types):
            raise InputError(f"{path}: is not {what} ('{key}' is missing or of another type)")
    return record


def read_numbers(path: str | os.PathLike[str], shape: tuple[int, ...] | None = None) -> np.ndarray:
    """The numbers of a text file, float64, separated by blanks or commas.

    Args:
        path: the file.
        shape: what they have to be reshaped to, one entry may be -1; by default (N,).

    Raises:
        InputError: it is missing, holds something else, or another count of numbers.
    """
    try:
        numbers = np.array([float(word) for word in read_text(path).replace(",", " ").split()])
    except ValueError as error:
        raise InputError(f"{path}: should hold numbers only ({error})") from None
    if shape is None:
        return numbers
    try:
        return numbers.reshape(shape)
    except ValueError:
        raise InputError(f"{path}: holds {numbers.size} numbers, which are not {shape}") from None
