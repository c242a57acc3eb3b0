"""Depth maps of lidar points, and keeping them: projecting a sweep costs more than reading an image."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from leadline.camera import Camera
from leadline.errors import InputError
from leadline.geometry.poses import transform
from leadline.io.atomic import writing
from leadline.io.cache import cache_folder, cache_key


def read_points(path: Path, columns: int) -> np.ndarray:
    """The points of a file of plain float32 numbers.

    Args:
        path: the file.
        columns: numbers a point: 4 in KITTI, 5 in nuScenes; x, y and z come first.

    Returns:
        (N, columns) float32.

    Raises:
        InputError: it is missing, or does not hold whole points.
    """
    try:
        return np.fromfile(path, np.float32).reshape(-1, columns)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError):
        raise InputError(f"{path}: does not hold points of {columns} float32 numbers each") from None


def project(points: np.ndarray, to_camera: np.ndarray, camera: Camera, values: np.ndarray | None = None) -> np.ndarray:
    """What a lidar measured, as a depth map: each point goes to the nearest pixel, and of several the nearest stays.

    Args:
        points: (N, 3) lidar axes.
        to_camera: (4, 4) lidar-to-camera, at the times both measured.
        camera: with its size.
        values: (N,) what to write instead of the z-depth; of several the least stays.

    Returns:
        (H, W) float32, 0 where no point fell; points behind the camera and outside the image are dropped.
    """
    moved = transform(to_camera, points.astype(np.float64))
    uv, ahead = camera.project(moved)
    column, row = np.rint(np.where(ahead, uv.T, -1)).astype(np.int64)
    inside = ahead & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    depth = np.full((camera.height, camera.width), np.inf, np.float32)
    written = moved[:, 2] if values is None else values
    np.minimum.at(depth, (row[inside], column[inside]), written[inside].astype(np.float32))
    depth[np.isinf(depth)] = 0
    return depth


def kept(sources: Sequence[Path], about: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """A sparse map, made once and kept in the cache folder until one of its sources changes.

    Args:
        sources: the files it is made from.
        about: what else it depends on, such as the camera's name and the way it is made.
        make: gives (H, W) float32, 0 where nothing is known.

    Returns:
        (H, W) float32.

    Raises:
        InputError: a source is missing, or the cache cannot be written.
    """
    key = cache_key(sources, about)
    file = cache_folder() / "lidar" / key[:2] / f"{key[2:]}.npz"
    try:
        with file.open("rb") as source, np.load(source) as stored:
            values = np.zeros(stored["shape"], np.float32)
            values.ravel()[stored["places"]] = stored["values"]
            return values
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
        pass  # not there yet, or unreadable: made again
    values = make()
    places = np.flatnonzero(values)
    with writing(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, shape=values.shape, places=places.astype(np.uint32), values=values.ravel()[places])
    return values
