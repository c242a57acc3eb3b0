"""KITTI's calibration and ground truth as the field's own code has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def read_calib(path: Path) -> dict[str, np.ndarray]:
    """As pykitti reads it."""
    found = {}
    for line in path.read_text().strip().splitlines():
        key, value = line.split(":", 1)
        try:
            found[key] = np.array([float(number) for number in value.split()])
        except ValueError:
            assert key == "calib_time"
    return found


def public(points: np.ndarray, projection: np.ndarray, height: int, width: int, ahead: bool) -> np.ndarray:
    """The field's ground truth, one pixel after the other."""
    points = points[points[:, 0] >= 0].astype(np.float64)
    u, v, z = projection @ np.column_stack([points[:, :3], np.ones(len(points))]).T
    pixels = np.round(np.stack([u / z, v / z], axis=1)) - 1
    values = points[:, 0] if ahead else z
    inside = ((pixels >= 0) & (pixels < (width, height))).all(axis=1)
    found: dict[tuple[float, float], float] = {}
    for (column, row), value in zip(pixels[inside], values[inside], strict=True):
        found[row, column] = min(value, found.get((row, column), np.inf))
    depth = np.zeros((height, width))
    for (row, column), value in found.items():
        depth[int(row), int(column)] = value
    return depth
