"""Point clouds as PLY files (Greg Turk's polygon file format), the form every viewer opens."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leadline.errors import InputError
from leadline.io.atomic import writing

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_COLOURS = ("red", "green", "blue")


def write_ply(
    path: str | os.PathLike[str], points: NDArray[np.float32], colours: NDArray[np.uint8] | None = None
) -> None:
    """Write points as a binary little-endian PLY file.

    Args:
        path: the file, ending in .ply.
        points: (N, 3), in the caller's unit, which the file does not record; written as float32.
        colours: (N, 3) uint8 RGB, or None.

    Raises:
        InputError: the suffix, shapes or types are others, or the file cannot be written.
    """
    if Path(path).suffix.lower() != ".ply":
        raise InputError(f"{path}: a point cloud is written to a file ending in .ply")
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"{path}: points are an array (N, 3), this one is {points.shape}")
    if colours is not None and (colours.shape != points.shape or colours.dtype != np.uint8):
        raise InputError(
            f"{path}: colours are uint8 {points.shape} like the points, these are {colours.dtype} {colours.shape}"
        )
    fields = [(axis, "<f4") for axis in "xyz"] + [(name, "u1") for name in _COLOURS if colours is not None]
    vertices = np.empty(len(points), dtype=fields)
    for column, axis in enumerate("xyz"):
        vertices[axis] = points[:, column]
    if colours is not None:
        for column, name in enumerate(_COLOURS):
            vertices[name] = colours[:, column]
    properties = [f"property {'uchar' if kind == 'u1' else 'float'} {name}" for name, kind in fields]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(points)}",
        *properties,
        "end_header",
    ]
    with writing(path) as temporary:
        temporary.write_bytes("\n".join(header).encode() + b"\n" + vertices.tobytes())


def read_ply(path: str | os.PathLike[str]) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
    """Read the vertices of a PLY file, ASCII or binary; faces and other elements are skipped.

    Returns:
        Points (N, 3) float32, and colours (N, 3) uint8 RGB where the file has ``red green blue`` in bytes,
        else None.

    Raises:
        InputError: the file is missing, no PLY file, cut off, or has no ``x y z``.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    head, mark, rest = data.partition(b"end_header")
    if not data.startswith(b"ply") or not mark:
        raise InputError(f"{path}: not a PLY file (it does not begin with 'ply' and a header)")
    body = rest[rest.find(b"\n") + 1 :]
    try:
        order, elements = _parse(head.decode("ascii"))
        vertices = _vertices(body, order, elements)
        points = np.stack([vertices[axis] for axis in "xyz"], axis=-1).astype(np.float32)
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"{path}: a PLY file that is damaged or has no vertices with x y z ({error})") from None
    names = vertices.dtype.names or ()
    if not all(name in names and vertices.dtype[name] == np.uint8 for name in _COLOURS):
        return points, None
    return points, np.stack([vertices[name] for name in _COLOURS], axis=-1)


def _parse(header: str) -> tuple[str, dict[str, tuple[int, list[tuple[str, str]]]]]:
    """Byte order and, for each element in file order, its count and (name, type); lists have the type
    'list'."""
    order, current = "", ""
    elements: dict[str, tuple[int, list[tuple[str, str]]]] = {}
    for words in map(str.split, header.splitlines()):
        match words:
            case ["format", form, *_]:
                order = _ORDERS[form]
            case ["element", current, count]:
                elements[current] = (int(count), [])
            case ["property", "list", *_, name]:
                elements[current][1].append((name, "list"))
            case ["property", kind, name]:
                elements[current][1].append((name, order + _TYPES[kind]))
    return order, elements


def _vertices(body: bytes, order: str, elements: dict[str, tuple[int, list[tuple[str, str]]]]) -> NDArray[np.void]:
    count, fields = elements["vertex"]
    before = list(elements.items())[: list(elements).index("vertex")]
    if any(kind == "list" for _, kind in fields):
        raise ValueError("vertices with list properties")
    layout = np.dtype(fields)
    if order == "":  # ASCII: one element a line
        skipped = sum(number for _, (number, _) in before)
        lines = [line for line in body.decode("ascii").splitlines() if line.strip()][skipped : skipped + count]
        if len(lines) < count:
            raise ValueError(f"{len(lines)} vertices of {count}")
        return np.array([tuple(float(word) for word in line.split()) for line in lines], dtype=layout)
    if any(kind == "list" for _, (_, others) in before for _, kind in others):
        raise ValueError("lists before the vertices")
    start = sum(number * np.dtype(others).itemsize for _, (number, others) in before)
    return np.frombuffer(body, dtype=layout, count=count, offset=start)
