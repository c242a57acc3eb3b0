"""From depth to points, and from points to the pixels of another camera."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace

from leadline.camera import Camera
from leadline.geometry.poses import transform

Array = Any  #: a numpy array or a torch tensor


def lift(depth: Array, camera: Camera) -> Array:
    """Points of a z-depth map, camera axes, in the depth's unit.

    Args:
        depth: (..., H, W) of the camera's size; whatever is not finite or not above zero counts as unknown.
        camera: of the map; a stacked camera for a batch (B, H, W).

    Returns:
        (..., H, W, 3); unknown depth, and pixels without a ray, give the origin, which no camera sees. So no
        NaN reaches a gradient.
    """
    xp = array_namespace(depth)
    rays = camera.rays(depth)
    known = (xp.isfinite(depth) & (depth > 0))[..., None] & xp.isfinite(rays)
    depth, rays = depth[..., None], xp.where(xp.isfinite(rays), rays, xp.zeros_like(rays))
    return xp.where(known, depth, xp.zeros_like(depth)) * xp.where(known, rays, xp.zeros_like(rays))


def reproject(depth: Array, camera: Camera, motion: Array, target: Camera) -> tuple[Array, Array, Array]:
    """Where the pixels of one image are seen in another.

    Args:
        depth: (..., H, W) z-depth of the source image.
        camera: of the source image.
        motion: (4, 4), or (B, 4, 4) for a batch, from source to target axes (``poses.relative``), in the
            depth's unit.
        target: the camera of the target image.

    Returns:
        Target pixels (..., H, W, 2); z-depth (..., H, W) in the target camera; valid (..., H, W) bool: depth
        is known and the point lies in front of the target camera and inside its image.
    """
    xp = array_namespace(depth)
    points = lift(depth, camera)
    moved = transform(motion, points)
    uv, seen = target.project(moved)
    known = xp.any(points != 0, axis=-1)
    return uv, moved[..., 2], known & seen & target.contains(uv)
