"""Depth maps of lidar points, and keeping them: projecting a sweep costs more than reading an image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from leadline.camera import Camera
from leadline.geometry.poses import transform
from leadline.io.atomic import writing
from leadline.io.cache import cache_folder


def project(points: np.ndarray, to_camera: np.ndarray, camera: Camera, values: np.ndarray | None = None) -> np.ndarray:
    """What a lidar measured, as a depth map: each point goes to the nearest pixel, and the nearest point stays.

    Args:
        points: (N, 3) lidar axes.
        to_camera: (4, 4) lidar-to-camera, at the times both measured.
        camera: with its size.
        values: (N,) what to write instead of the z-depth; the nearest by z-depth still stays.

    Returns:
        (H, W) float32, 0 where no point fell; points behind the camera and outside the image are dropped.
    """
    moved = transform(to_camera, points.astype(np.float64))
    uv, ahead = camera.project(moved)
    z = moved[:, 2]
    column, row = (np.rint(np.where(ahead, uv[:, axis], -1)).astype(np.int64) for axis in (0, 1))
    inside = ahead & (z > 0) & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    order = np.argsort(-z[inside], kind="stable")  # the nearest last: it is what stays
    depth = np.zeros((camera.height, camera.width), np.float32)
    depth[row[inside][order], column[inside][order]] = (z if values is None else values)[inside][order]
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
        InputError: the cache cannot be written.
    """
    text = "|".join(f"{path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in sources)
    key = hashlib.sha256(f"{about}|{text}".encode()).hexdigest()
    file = cache_folder() / "lidar" / key[:2] / f"{key[2:34]}.npz"
    try:
        with np.load(file) as stored:
            values = np.zeros(stored["shape"], np.float32)
            values.ravel()[stored["places"]] = stored["values"]
            return values
    except (OSError, ValueError, KeyError):
        pass  # not there yet, or unreadable: made again
    values = make()
    places = np.flatnonzero(values)
    with writing(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, shape=values.shape, places=places.astype(np.uint32), values=values.ravel()[places])
    return values
