"""SimCol3D: colons rendered in Unity, with depth and poses (Rau et al., arXiv 2307.11261 and 2204.04968)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from leadline.camera import Camera, Pinhole
from leadline.data.cameras import pinhole
from leadline.data.dataset import DataSet, metric
from leadline.data.images import own_name
from leadline.data.layout import Layout, known, z_depth
from leadline.data.lists import FrameId
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.geometry.poses import compose, matrix_to_quaternion, quaternion_to_matrix
from leadline.io.atomic import write_numbers
from leadline.io.images import image_size, write_image
from leadline.io.inputs import natural_key
from leadline.io.rasters import read_raster, write_raster
from leadline.io.reading import read_numbers
from leadline.rig import Mount, Rig

#: The colons, the letter of their trajectories, and the number of the first clip that is written as one of theirs.
COLONS = (("III", "O", 30), ("II", "B", 15), ("I", "S", 0))
#: mm in the unit of its files, cm.
CENTIMETRE = 10.0
#: cm that the largest depth stands for.
FARTHEST = 20.0
#: OpenCV's axes and Unity's, left-handed with y up: a camera's and the world's alike.
UNITY = np.diag([1.0, -1.0, 1.0, 1.0])


#: Of all three colons.
CAMERA = Pinhole(475, 475, 227.60416, 227.60416, 237.5, 237.5)
#: Frames a second that its trajectories are taken to have.
RATE = 30.0
#: Trajectories of the challenge's splits; the rest is for training.
TEST = {"S5", "S10", "S15", "B5", "B10", "B15", "O1", "O2", "O3"}
VALIDATION = {"S4", "S9", "S14", "B4", "B9", "B14"}


class Simcol3d(DataSet):
    """Frames of SimCol3D, see :class:`Simcol3dLayout` for the files.

    The folder is that of all colons, or of one; a sequence is called ``SyntheticColon_I/Frames_S1`` in both. Depth and
    poses are in cm. A trajectory without the files of its poses has none; without ``cam.txt`` the camera is
    :data:`CAMERA`. Frames 59 to 61 of S14 are known to be bad: some leave them out of validation, here they stay.
    """

    name = "simcol3d"
    source = "SimCol3D: Rau et al., arXiv 2307.11261"
    licence = "CC BY-NC-SA 4.0"
    splits = {
        "test": "the challenge's nine trajectories, three of each colon, 9009 frames",
        "val": "six trajectories, three of colon I and II each",
        "train": "the other eighteen",
        "all": "every trajectory there is",
    }
    counts = {"test": 9009, "val": 7206, "train": 21618}
    truths = {"rendered": "z-depth in 255 steps up to 20 cm"}
    tree = {
        "**/Frames_*/FrameBuffer_????.png": "images",
        "**/Frames_*/Depth_????.png": "depth, 16 bits, 65280 for 20 cm; 0 unknown",
        "**/SavedPosition_*.txt": "x y z of every frame, cm (optional)",
        "**/SavedRotationQuaternion_*.txt": "x y z w of every frame (optional)",
        "**/cam.txt": "intrinsics (optional)",
        "misc/*": "lists and scripts (optional)",
        "*.txt": "what the authors say (optional)",
    }

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        return [
            FrameId(sequence, number)
            for sequence, folder in self._folders.items()
            if split in ("all", _split(sequence))
            for number in self._images_in(folder, "FrameBuffer_")
        ]

    @cached_property
    def _folders(self) -> dict[str, Path]:
        """Of the trajectories, by sequence."""
        found = [path for deep in ("", "*/", "*/*/") for path in self.root.glob(f"{deep}Frames_*") if path.is_dir()]
        named = {_sequence(path.name, own_name(path.parent)): path for path in reversed(found)}
        return dict(sorted(named.items(), key=lambda item: natural_key(item[0])))

    def _folder(self, id: FrameId) -> Path:
        return self._folders.get(id.sequence, self.root / id.sequence)

    def parse(self, line: str) -> FrameId:
        """``SyntheticColon_I/Frames_S5/FrameBuffer_0000.png`` or ``SyntheticColon_I/Frames_S5/ 0 l``."""
        match = re.fullmatch(
            r"(?:\S*?([^\s/]+)/)?(Frames_[A-Z]\d+)/?(?:/FrameBuffer_|\s+)(\d+)(?:\.png)?(?:\s+l)?", line
        )
        if not match:
            raise InputError(
                "is not SyntheticColon_I/Frames_S5/FrameBuffer_0000.png, nor 'SyntheticColon_I/Frames_S5 0'"
            )
        return FrameId(_sequence(match[2], match[1] or ""), int(match[3]))

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        folder = self._folder(id)
        return self._images_in(folder, "FrameBuffer_").get(id.number, folder / f"FrameBuffer_{id.number:04d}.png")

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        return [self._folder(id) / f"Depth_{id.number:04d}.png"]

    def depth(self, id: FrameId) -> DepthMap:
        """In cm; what is farther than 20 cm has 20 cm."""
        [file] = self.depth_files(id)
        return metric(read_raster(file).astype(np.float32) * np.float32(FARTHEST / 255 / 256), "cm")

    def camera(self, id: FrameId) -> Camera:
        """See :meth:`DataSet.camera`."""
        height, width = image_size(self.image(id))
        file = self._folder(id).parent / "cam.txt"
        if not file.is_file():
            return CAMERA.resize(height, width)
        fx, _, fy, _, cx, cy, *_ = read_numbers(file, (9,)).tolist()
        size = CAMERA.width, CAMERA.height
        return pinhole(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), width, height, file, size)

    def pose(self, id: FrameId) -> np.ndarray | None:
        """See :meth:`DataSet.pose`, in cm."""
        folder = self._folder(id)
        trajectory = folder.name.removeprefix("Frames_")
        tables = [folder.parent / f"{what}_{trajectory}.txt" for what in ("SavedPosition", "SavedRotationQuaternion")]
        poses = self._once(folder.parent / trajectory, lambda: self._trajectory(tables))
        if poses is None:
            return None
        if id.number >= len(poses):
            raise InputError(f"{tables[0]}: has {len(poses)} lines, none for frame {id.number}")
        return poses[id.number]

    def _trajectory(self, tables: Sequence[Path]) -> np.ndarray | None:
        """(N, 4, 4) camera-to-world of all frames, of the files of positions and rotations."""
        if not any(table.is_file() for table in tables):
            return None
        positions, rotations = (read_numbers(table, (-1, size)) for table, size in zip(tables, (3, 4), strict=True))
        if len(positions) != len(rotations):
            raise InputError(f"{tables[1]}: has {len(rotations)} lines, but {tables[0].name} has {len(positions)}")
        return UNITY @ compose(quaternion_to_matrix(rotations), positions) @ UNITY

    def time(self, id: FrameId) -> float:
        """At 30 frames a second, for the trajectories have no times."""
        return id.number / RATE


def _sequence(folder: str, colon: str) -> str:
    """What a trajectory is called whose folder has this name, in a colon's of that name: its letter tells the colon."""
    known = {letter: f"SyntheticColon_{number}" for number, letter, _ in COLONS}
    return f"{known.get(folder.removeprefix('Frames_')[:1], colon)}/{folder}"


def _split(sequence: str) -> str:
    trajectory = sequence.rpartition("Frames_")[2]
    return "test" if trajectory in TEST else "val" if trajectory in VALIDATION else "train"


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
    rate = RATE

    def mounts(self) -> Mapping[str, Mount]:
        """475x475, with the numbers of its cam.txt: fx = fy = 227.60416 and cx = cy = 237.5."""
        return {"camera": Mount(CAMERA, np.eye(4))}

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
