"""Rigid motions as (..., 4, 4) matrices: camera-to-world unless said otherwise, OpenCV axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace

Array = Any  #: a numpy array or a torch tensor


def compose(rotation: Array, translation: Array) -> Array:
    """(..., 4, 4) of rotation (..., 3, 3) and translation (..., 3)."""
    xp = array_namespace(rotation, translation)
    top = xp.concat((rotation, translation[..., None]), axis=-1)
    last = xp.concat((xp.zeros_like(top[..., :1, :3]), xp.ones_like(top[..., :1, :1])), axis=-1)
    return xp.concat((top, last), axis=-2)


def invert(pose: Array) -> Array:
    """The inverse of a rigid motion: camera-to-world becomes world-to-camera."""
    xp = array_namespace(pose)
    rotation = xp.matrix_transpose(pose[..., :3, :3])
    return compose(rotation, -xp.matmul(rotation, pose[..., :3, 3:])[..., 0])


def relative(source: Array, target: Array) -> Array:
    """The motion that takes points in the source camera's axes to the target camera's.

    Args:
        source: (..., 4, 4) camera-to-world.
        target: (..., 4, 4) camera-to-world.
    """
    return array_namespace(source, target).matmul(invert(target), source)


def transform(pose: Array, points: Array) -> Array:
    """Points (..., 3) moved by one motion (4, 4), or by (B, 4, 4) with points (B, ..., 3)."""
    xp = array_namespace(pose, points)
    flat = xp.reshape(points, (*pose.shape[:-2], -1, 3))
    moved = xp.matmul(flat, xp.matrix_transpose(pose[..., :3, :3])) + pose[..., None, :3, 3]
    return xp.reshape(moved, points.shape)


def mirror(pose: Array) -> Array:
    """The pose of an image mirrored left to right: F T F, F = diag(-1, 1, 1, 1), in a world mirrored in x."""
    xp = array_namespace(pose)
    sign = xp.asarray([-1.0, 1.0, 1.0, 1.0], dtype=pose.dtype, device=pose.device)
    return pose * sign * sign[:, None]


def quaternion_to_matrix(quaternion: Array) -> Array:
    """(..., 3, 3) rotation of a quaternion (..., 4) in the order x y z w, of any length but zero."""
    xp = array_namespace(quaternion)
    q = quaternion / xp.linalg.vector_norm(quaternion, axis=-1, keepdims=True)
    x, y, z, w = (q[..., i] for i in range(4))
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


def matrix_to_quaternion(rotation: Array) -> Array:
    """(..., 4) unit quaternion x y z w, w >= 0, of a rotation (..., 3, 3) (Shepperd 1978)."""
    xp = array_namespace(rotation)
    m = [[rotation[..., i, j] for j in range(3)] for i in range(3)]
    a, b, c = m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]
    d, e, f = m[0][1] + m[1][0], m[0][2] + m[2][0], m[1][2] + m[2][1]
    x, y, z = (1 + 2 * m[i][i] - (m[0][0] + m[1][1] + m[2][2]) for i in range(3))
    w = 1 + m[0][0] + m[1][1] + m[2][2]
    # 4 q q^T: each row is q times one of its components; the row of the largest is well conditioned
    rows = ((x, d, e, a), (d, y, f, b), (e, f, z, c), (a, b, c, w))
    outer = xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)
    largest = xp.argmax(xp.stack((x, y, z, w), axis=-1), axis=-1)
    chosen = largest[..., None, None] == xp.arange(4, device=largest.device)[:, None]
    q = xp.sum(xp.where(chosen, outer, xp.zeros_like(outer)), axis=-2)
    q = q / xp.linalg.vector_norm(q, axis=-1, keepdims=True)
    return xp.where(q[..., 3:] < 0, -q, q)


def axis_angle_to_matrix(axis_angle: Array) -> Array:
    """(..., 3, 3) rotation about axis_angle (..., 3) by its length in radians (Rodrigues)."""
    xp = array_namespace(axis_angle)
    x, y, z = (axis_angle[..., i] for i in range(3))
    square = x * x + y * y + z * z
    small = square < 1e-8
    safe = xp.where(small, xp.ones_like(square), square)
    angle = xp.sqrt(safe)
    # Taylor series where sin(t) / t and (1 - cos(t)) / t^2 lose their gradient
    first = xp.where(small, 1 - square / 6, xp.sin(angle) / angle)
    second = xp.where(small, 0.5 - square / 24, (1 - xp.cos(angle)) / safe)
    zero = xp.zeros_like(x)
    rows = ((zero, -z, y), (z, zero, -x), (-y, x, zero))
    cross = xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)
    eye = xp.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye + first[..., None, None] * cross + second[..., None, None] * xp.matmul(cross, cross)


def rate_of_change(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Change a second of values (N, ...) at times (N,) in seconds, numpy only; 0 where there is one instant."""
    return np.gradient(values, times, axis=0) if len(times) > 1 else np.zeros_like(values)
