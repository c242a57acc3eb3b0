"""A box that rigs drive or are carried through: every ray ends on a wall, every depth is exact."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from leadline.depth import DepthMap, Kind
from leadline.frame import Frame
from leadline.geometry.poses import axis_angle_to_matrix, compose
from leadline.rig import FORWARD, Lidar, Mount, Rig
from leadline.worlds.lidar import sweep
from leadline.worlds.noise import Noise
from leadline.worlds.raytracing import Mesh, Scene, look

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
FACES = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
                  [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]])  # fmt: skip


def rigs(
    mounts: Mapping[str, Mount],
    count: int = 3,
    scale: float = 0.1,
    unit: str = "m",
    lidar: Lidar | None = None,
    rate: float = 10.0,
    drives: bool = False,
) -> list[Rig]:
    """What the cameras of a rig see in a textured box of 30 x 20 x 8 m (in mm: 75 x 50 x 20 mm).

    Args:
        mounts: as a layout gives them.
        count: how many instants.
        scale: of the images, to the size of the mounts' cameras.
        unit: of depth and poses, m or mm.
        lidar: measures, too.
        rate: instants a second.
        drives: the body's axes are x forward, y left, z up, the ground 1.5 m below; else a camera's.
    """
    metre = 1.0 if unit == "m" else 2.5
    size = np.array([15.0, 10.0, 4.0]) * metre
    scene = Scene([Mesh(CORNERS * size + [0, 0, 2.5 * metre if drives else 0], FACES)])
    noise = Noise(np.random.default_rng(0), 3)
    made = []
    for index in range(count):
        turn = axis_angle_to_matrix(np.array([0.0, 0.0, 0.03 * index]))
        body = compose(turn, np.array([0.4 * index - 3, 0.1 * index, 0.0]) * metre)
        body = body if drives else body @ compose(FORWARD, np.zeros(3))
        frames = {}
        for name, mount in mounts.items():
            height, width = (max(8, round(side * scale)) for side in (mount.camera.height, mount.camera.width))
            camera = mount.camera.resize(height, width)
            pose = body @ mount.pose
            seen = look(scene, camera, pose)
            colour = np.clip(0.5 + 0.5 * noise.fractal(np.nan_to_num(seen.points), metre, 2), 0, 1)
            depth = np.where(np.isfinite(seen.distance), seen.distance, 0).astype(np.float32).reshape(height, width)
            frames[name] = Frame(
                (np.rint(colour * 255) / 255).astype(np.float32).reshape(height, width, 3),
                DepthMap(depth, Kind("depth", "nothing"), unit, depth > 0, camera),
                camera,
                pose,
                time=index / rate,
                sequence="box",
                name=f"{index:06d}",
                normals=(seen.normals @ pose[:3, :3]).reshape(height, width, 3),
                reflective=np.zeros((height, width), bool),
                semantics=np.zeros((height, width), np.uint8),
                forward_flow=np.zeros((height, width, 2), np.float32),
                backward_flow=np.zeros((height, width, 2), np.float32),
            )
        swept = None
        if lidar:
            rng = np.random.default_rng(index)
            swept = sweep(scene, lidar, body, rng, lambda hits: np.full(len(hits.distance), 0.5, np.float32))
        made.append(Rig(frames, body, swept))
    return made
