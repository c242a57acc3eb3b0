"""Whether geometry in files agrees with itself, computed with nothing of leadline's own."""

from __future__ import annotations

import numpy as np


def seen_at(points: np.ndarray, depth: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a depth map says where points land in it.

    Args:
        points: (..., 3) in the camera's axes.
        depth: (H, W) of the camera.
        matrix: (3, 3) of the camera.

    Returns:
        The points' own depth (N,) and that of the nearest pixel (N,), of those that land inside the image.
    """
    points = points[points[..., 2] > 0]
    u, v = np.rint((points @ matrix.T)[:, :2] / points[:, 2:]).astype(int).T
    inside = (u >= 0) & (v >= 0) & (u < depth.shape[1]) & (v < depth.shape[0])
    return points[inside, 2], depth[v[inside], u[inside]]


def reprojected(
    depth: np.ndarray, other: np.ndarray, matrix: np.ndarray, motion: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same for the pixels of one depth map, seen in another.

    Args:
        depth: (H, W); 0 where unknown.
        other: (H, W).
        matrix: (3, 3) of both cameras.
        motion: (4, 4) from the axes of the one to those of the other.
    """
    v, u = np.indices(depth.shape)
    points = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(matrix).T * depth[..., None]
    return seen_at(points[depth > 0] @ motion[:3, :3].T + motion[:3, 3], other, matrix)
