"""SimCol3D: colons rendered in Unity, with depth and poses (Rau et al., arXiv 2307.11261 and 2204.04968)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from leadline.camera import Pinhole
from leadline.data.layout import Layout, known, z_depth
from leadline.geometry.poses import matrix_to_quaternion
from leadline.io.atomic import write_numbers
from leadline.io.images import write_image
from leadline.io.rasters import write_raster
from leadline.rig import Mount, Rig

#: The colons, the letter of their trajectories, and the number of the first clip that is written as one of theirs.
COLONS = (("III", "O", 30), ("II", "B", 15), ("I", "S", 0))
#: mm in the unit of its files, cm.
CENTIMETRE = 10.0
#: cm that the largest depth stands for.
FARTHEST = 20.0
#: OpenCV's axes and Unity's, left-handed with y up: a camera's and the world's alike.
UNITY = np.diag([1.0, -1.0, 1.0, 1.0])


class Simcol3dLayout(Layout):
    """``SyntheticColon_{I,II,III}``: fifteen trajectories S in colon I, fifteen B in II, and O in III.

    - ``Frames_S1/FrameBuffer_%04d.png``; the real ones have an opaque alpha channel and 16 bits, the lower 8 empty.
    - ``Frames_S1/Depth_%04d.png``: 16 bits, z-depth in cm = code / 256 / 255 * 20, only codes of whole 256 occur; 0 is
      unknown, 65280 is 20 cm or more.
    - ``SavedPosition_S1.txt``: x y z in cm; ``SavedRotationQuaternion_S1.txt``: x y z w. Both camera-to-world in
      Unity's left-handed axes, y mirrored.
    - ``cam.txt``: nine numbers in the real file's order, ``fx 0 fy 0 cx cy 0 0 1``. The authors' code reads them row by
      row as a matrix, which swaps fy and cx: pixels are square, and the principal point is the centre.
    """

    name = "simcol3d"
    worlds = ("tract",)
    rate = 30.0

    def mounts(self) -> Mapping[str, Mount]:
        """475x475, with the numbers of its cam.txt: fx = fy = 227.60416 and cx = cy = 237.5."""
        camera = Pinhole(475, 475, 227.60416, 227.60416, 237.5, 237.5)
        return {"camera": Mount(camera, np.eye(4))}

    def write_clip(self, root: Path, number: int, rigs: Sequence[Rig]) -> list[Path]:
        """Write one trajectory.

        Args:
            root: gets the colons' folders.
            number: of the trajectory, from 0.
            rigs: of :meth:`mounts`.

        Returns:
            The folder of its images, and the files beside it.

        Raises:
            InputError: a file cannot be written.
        """
        colon, letter, start = next(entry for entry in COLONS if number >= entry[2])
        folder, trajectory = root / f"SyntheticColon_{colon}", f"{letter}{number - start + 1}"
        frames, positions, rotations = folder / f"Frames_{trajectory}", [], []
        written = [frames]
        for index, rig in enumerate(rigs):
            frame = rig["camera"]
            write_image(frames / f"FrameBuffer_{index:04d}.png", frame.image)
            depth = z_depth(frame)
            steps = np.rint(depth / CENTIMETRE / FARTHEST * 255).clip(0, 255)
            codes = np.where(np.isfinite(depth), steps * 256, 0).astype(np.uint16)
            write_raster(frames / f"Depth_{index:04d}.png", codes)
            pose = UNITY @ known(frame.pose) @ UNITY
            positions.append(pose[:3, 3] / CENTIMETRE)
            rotations.append(matrix_to_quaternion(pose[:3, :3]))
            if index == 0 and number == start:  # all trajectories of a colon share it: the first one writes it
                written.append(folder / "cam.txt")
                camera = known(frame.camera)
                write_numbers(written[-1], [[camera.fx, 0, camera.fy, 0, camera.cx, camera.cy, 0, 0, 1]])
        for name, rows in (("SavedPosition", positions), ("SavedRotationQuaternion", rotations)):
            written.append(folder / f"{name}_{trajectory}.txt")
            write_numbers(written[-1], rows)
        return written
