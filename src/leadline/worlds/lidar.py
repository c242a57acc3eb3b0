"""What a rotating lidar measures in a scene."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from leadline.rig import Lidar, Sweep
from leadline.worlds.raytracing import Hits, Scene

#: Cosine of the angle to the surface's normal below which no light comes back.
GRAZING = 0.03


def sweep(
    scene: Scene, lidar: Lidar, pose: np.ndarray, rng: np.random.Generator, albedo: Callable[[Hits], np.ndarray]
) -> Sweep:
    """One turn, as if it took no time: what moves is not bent.

    A return is the more likely lost the less light comes back: dark surfaces far away, met at a flat angle.

    Args:
        scene: what is measured.
        lidar: the instrument.
        pose: (4, 4) body-to-world.
        rng: of noise and losses.
        albedo: gives the (N,) part of light in [0, 1] that surfaces at some hits throw back.
    """
    elevation = np.radians(lidar.elevations)[:, None]
    azimuth = np.linspace(np.pi, -np.pi, lidar.steps, endpoint=False)  # clockwise seen from above, from behind
    across = np.cos(elevation)
    ahead, left = across * np.cos(azimuth), across * np.sin(azimuth)
    up = np.broadcast_to(np.sin(elevation), ahead.shape)
    directions = np.stack([ahead, left, up], axis=2).reshape(-1, 3)
    to_world = pose @ lidar.pose
    rays = directions @ to_world[:3, :3].T
    hits = scene.cast(to_world[:3, 3], rays)
    kept = np.flatnonzero((hits.distance >= lidar.reach[0]) & (hits.distance <= lidar.reach[1]))
    seen = hits.take(kept)
    facing = np.abs(np.einsum("ij,ij->i", seen.normals, rays[kept].astype(np.float32)))
    back = np.clip(albedo(seen), 0, 1) * facing
    # At half the reach a white wall met squarely is safe; what sends back a hundredth of it is not.
    strength = back * np.square(0.5 * lidar.reach[1] / np.maximum(seen.distance, lidar.reach[0]))
    lost = (rng.uniform(size=len(kept)) < lidar.dropout) | (facing < GRAZING)
    lost |= rng.uniform(0.001, 0.02, len(kept)) > strength
    distance = seen.distance + lidar.noise * rng.standard_normal(len(kept))
    points = (directions[kept] * distance[:, None]).astype(np.float32)
    beam = (kept // lidar.steps).astype(np.int32)
    kept = np.flatnonzero(~lost)
    return Sweep(points[kept], back[kept].astype(np.float32), beam[kept], to_world)
