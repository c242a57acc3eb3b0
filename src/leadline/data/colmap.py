"""Models that COLMAP wrote (Schönberger and Frahm, CVPR 2016), text or binary: cameras, images, points.

A model is a folder of ``cameras``, ``images`` and ``points3D``, each ``.bin`` or ``.txt``; where both are there the
binary one is read, as COLMAP does. COLMAP puts the centre of the first pixel at (0.5, 0.5); here it is at (0, 0), so
principal points and pixels are moved by half a pixel. Its poses are world-to-camera and are turned round.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leadline.camera import Camera, Fisheye, Pinhole, RadialTangential
from leadline.errors import ConfigError, InputError
from leadline.geometry.poses import compose, invert, quaternion_to_matrix
from leadline.io.reading import read_text

#: COLMAP's models in the order of their numbers, with how many parameters each has.
MODELS = {
    "SIMPLE_PINHOLE": 3, "PINHOLE": 4, "SIMPLE_RADIAL": 4, "RADIAL": 5, "OPENCV": 8, "OPENCV_FISHEYE": 8,
    "FULL_OPENCV": 12, "FOV": 5, "SIMPLE_RADIAL_FISHEYE": 4, "RADIAL_FISHEYE": 5, "THIN_PRISM_FISHEYE": 12,
}  # fmt: skip

#: Those that can be read: our model, and the names of its parameters in COLMAP's order; ``f`` is both focal lengths.
READ: dict[str, tuple[type[Camera], str]] = {
    "SIMPLE_PINHOLE": (Pinhole, "f cx cy"),
    "PINHOLE": (Pinhole, "fx fy cx cy"),
    "SIMPLE_RADIAL": (RadialTangential, "f cx cy k1"),
    "RADIAL": (RadialTangential, "f cx cy k1 k2"),
    "OPENCV": (RadialTangential, "fx fy cx cy k1 k2 p1 p2"),
    "OPENCV_FISHEYE": (Fisheye, "fx fy cx cy k1 k2 k3 k4"),
    "SIMPLE_RADIAL_FISHEYE": (Fisheye, "f cx cy k1"),
    "RADIAL_FISHEYE": (Fisheye, "f cx cy k1 k2"),
}

#: A point's colour, error and the length of its track, which follow its id and place.
_POINT = struct.Struct("<Qddd3BdQ")


@dataclass(frozen=True, eq=False)
class ColmapImage:
    """An image of a model.

    Args:
        name: of its file, relative to the folder of images, with slashes.
        camera_id: key of its camera.
        pose: (4, 4) camera-to-world.
        points: (N,) int64 ids of the points seen at its features, -1 where a feature belongs to none.
        pixels: (N, 2) where the features are, first pixel's centre at (0, 0).
    """

    name: str
    camera_id: int
    pose: np.ndarray
    points: np.ndarray
    pixels: np.ndarray


def has_model(path: str | os.PathLike[str]) -> bool:
    """Whether a folder holds a model."""
    return all(
        any((Path(path) / f"{stem}{suffix}").is_file() for suffix in (".bin", ".txt")) for stem in ("cameras", "images")
    )


def read_cameras(path: str | os.PathLike[str]) -> dict[int, Camera]:
    """The cameras of a model, by id.

    Raises:
        InputError: there is no ``cameras.bin`` or ``cameras.txt``, it is damaged, or a camera is of a model that has no
            counterpart here.
    """
    file = _file(path, "cameras")
    read = _parsed(file, _binary_cameras if file.suffix == ".bin" else _text_cameras)
    return {key: _camera(file, key, *rest) for key, *rest in read}


def read_images(path: str | os.PathLike[str]) -> list[ColmapImage]:
    """The images of a model, in its order.

    Raises:
        InputError: there is no ``images.bin`` or ``images.txt``, or it is damaged.
    """
    file = _file(path, "images")
    return [
        ColmapImage(name, camera, invert(_rigid(file, name, motion)), ids, pixels - 0.5)
        for name, camera, motion, ids, pixels in _parsed(
            file, _binary_images if file.suffix == ".bin" else _text_images
        )
    ]


def read_points(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """The points of a model.

    Returns:
        Their ids (N,) int64, ascending, and places (N, 3) float64 in the world.

    Raises:
        InputError: there is no ``points3D.bin`` or ``points3D.txt``, or it is damaged.
    """
    file = _file(path, "points3D")
    read = _parsed(file, _binary_points if file.suffix == ".bin" else _text_points)
    ids = np.array([key for key, _ in read], np.int64)
    places = np.array([place for _, place in read], np.float64).reshape(-1, 3)
    order = np.argsort(ids)
    return ids[order], places[order]


def _file(path: str | os.PathLike[str], stem: str) -> Path:
    for suffix in (".bin", ".txt"):
        if (file := Path(path) / f"{stem}{suffix}").is_file():
            return file
    raise InputError(f"{path}: holds no {stem}.bin or {stem}.txt; a COLMAP model has cameras, images and points3D")


def _parsed(file: Path, parse: Callable[[Any], Iterator[Any]]) -> list[Any]:
    try:
        return list(parse(file.read_bytes() if file.suffix == ".bin" else read_text(file).splitlines()))
    except (struct.error, ValueError, IndexError, OSError) as error:
        raise InputError(f"{file}: is not a whole file of a COLMAP model ({error})") from None


def _camera(file: Path, key: int, model: str, width: int, height: int, numbers: list[float]) -> Camera:
    if model not in READ:
        raise InputError(
            f"{file}: camera {key} is of model {model}, which is not known here; undistort the images with "
            f"colmap image_undistorter, or use one of {', '.join(READ)}"
        )
    made, names = READ[model]
    values = dict(zip(names.split(), numbers, strict=True))
    if "f" in values:
        values |= dict.fromkeys(("fx", "fy"), values.pop("f"))
    for centre in ("cx", "cy"):
        values[centre] -= 0.5
    try:
        return Camera.from_dict({"model": made.model, "width": width, "height": height} | values)
    except ConfigError as error:
        raise InputError(f"{file}: camera {key}: {error}") from None


def _rigid(file: Path, name: str, motion: np.ndarray) -> np.ndarray:
    """(4, 4) of a quaternion w x y z and a translation."""
    if not (np.isfinite(motion).all() and motion[:4].any()):
        raise InputError(f"{file}: image {name} has no pose that is a rotation and a translation")
    return compose(quaternion_to_matrix(motion[[1, 2, 3, 0]]), motion[4:])


def _text_cameras(lines: list[str]) -> Iterator[tuple[int, str, int, int, list[float]]]:
    for words in _rows(lines):
        key, model, width, height, *numbers = words
        if len(numbers) != MODELS.get(model, len(numbers)):
            raise ValueError(f"camera {key} has {len(numbers)} parameters, {model} has {MODELS[model]}")
        yield int(key), model, int(width), int(height), [float(number) for number in numbers]


def _binary_cameras(data: bytes) -> Iterator[tuple[int, str, int, int, list[float]]]:
    count, place, names = struct.unpack_from("<Q", data)[0], 8, list(MODELS)
    for _ in range(count):
        key, model, width, height = struct.unpack_from("<IiQQ", data, place)
        if not 0 <= model < len(names):
            # Its parameters cannot be counted, so nothing after it could be read.
            yield key, f"number {model}", width, height, []
            return
        numbers = struct.unpack_from(f"<{MODELS[names[model]]}d", data, place + 24)
        place += 24 + 8 * len(numbers)
        yield key, names[model], width, height, list(numbers)


def _text_images(lines: list[str]) -> Iterator[tuple[str, int, np.ndarray, np.ndarray, np.ndarray]]:
    rest = iter(lines)
    for line in rest:
        if not line.strip() or line.startswith("#"):
            continue
        _, *motion, camera, name = line.strip().split(maxsplit=9)
        # The line after it holds the features, and is empty where there are none.
        features = np.array([float(word) for word in next(rest, "").split()]).reshape(-1, 3)
        yield name, int(camera), _seven(motion), features[:, 2].astype(np.int64), features[:, :2]


def _seven(words: list[str]) -> np.ndarray:
    if len(words) != 7:
        raise ValueError(f"a pose of {len(words)} numbers, not QW QX QY QZ TX TY TZ")
    return np.array([float(word) for word in words])


def _binary_images(data: bytes) -> Iterator[tuple[str, int, np.ndarray, np.ndarray, np.ndarray]]:
    count, place = struct.unpack_from("<Q", data)[0], 8
    for _ in range(count):
        _, *motion, camera = struct.unpack_from("<I7dI", data, place)
        end = data.index(b"\0", place + 64)
        name = data[place + 64 : end].decode()
        number = struct.unpack_from("<Q", data, end + 1)[0]
        features = np.frombuffer(data, [("pixel", "<f8", 2), ("id", "<i8")], number, end + 9)
        place = end + 9 + features.nbytes
        yield name, camera, np.array(motion), features["id"].astype(np.int64), features["pixel"]


def _text_points(lines: list[str]) -> Iterator[tuple[int, tuple[float, ...]]]:
    for key, x, y, z, *_ in _rows(lines):
        yield int(key), (float(x), float(y), float(z))


def _binary_points(data: bytes) -> Iterator[tuple[int, tuple[float, ...]]]:
    count, place = struct.unpack_from("<Q", data)[0], 8
    for _ in range(count):
        key, x, y, z, *_, track = _POINT.unpack_from(data, place)
        place += _POINT.size + 8 * track
        if place > len(data):
            raise ValueError("cut off within a track")
        yield key, (x, y, z)


def _rows(lines: list[str]) -> Iterator[list[str]]:
    return (line.split() for line in lines if line.strip() and not line.startswith("#"))
