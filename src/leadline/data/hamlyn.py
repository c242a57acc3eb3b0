"""Hamlyn: stereo videos of da Vinci surgery, rectified and with depth by stereo matching.

From Recasens et al., "Endo-Depth-and-Motion" (RA-L 2021, arXiv 2103.16525).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from leadline.camera import Camera, Pinhole
from leadline.data.cameras import pinhole
from leadline.data.dataset import DataSet, metric
from leadline.data.layout import Layout, codes, known, z_depth
from leadline.data.lists import FrameId
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.geometry.poses import compose
from leadline.io.atomic import write_numbers
from leadline.io.images import image_size, write_image
from leadline.io.rasters import read_raster, write_raster
from leadline.io.reading import read_numbers
from leadline.rig import Mount, Rig

#: Its first sequences; from here on, with 14, none is left out.
FIRST = (1, 4, 5, 6, 8, 9, 11, 12)


#: Frames a second of its videos.
RATE = 25.0
#: What the files call each camera.
EYES = {"left": "01", "right": "02"}


class Hamlyn(DataSet):
    """Frames of the rectified Hamlyn videos, whole, see :class:`HamlynLayout` for the files; images may be PNG too.

    The folder is that of all sequences. Depth may be missing on the right side.
    """

    name = "hamlyn"
    source = "Hamlyn: Recasens et al., RA-L 2021"
    licence = "research only"
    splits = {
        "all22": "the left images of the 22 sequences",
        "video21": "the left images of all of these but rectified08, for video",
        "video5": "the left images of rectified23 to rectified27, for video",
        "video17": "the left images of the others of the 22, to train on and be judged on video5",
        "all": "the left and right images of every sequence there is",
    }
    truths = {"stereo": "z-depth by stereo matching, whole mm, up to 300"}
    tree = {
        "rectified??/image01/*": "left images",
        "rectified??/image02/*": "right images",
        "rectified??/depth01/*.png": "depth of the left, 16 bits, mm; 0 unknown",
        "rectified??/depth02/*.png": "depth of the right (optional)",
        "rectified??/intrinsics.txt": "camera matrix of both, three rows of four or three numbers",
    }

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        found = sorted(path.name for path in self.root.glob("rectified??") if path.name[-2:].isdigit())
        wanted = {
            "all22": {f"rectified{number:02d}" for number in (*FIRST, *range(14, 28))},
            "video21": {f"rectified{number:02d}" for number in (*FIRST, *range(14, 28)) if number != 8},
            "video5": {f"rectified{number}" for number in range(23, 28)},
            "video17": {f"rectified{number:02d}" for number in (*FIRST, *range(14, 23))},
        }.get(split, found)
        cameras = EYES if split == "all" else ("left",)
        return [
            FrameId(name, number, camera)
            for name in found
            if name in wanted
            for camera in cameras
            for number in self._images_in(self.root / name / f"image{EYES[camera]}")
        ]

    def parse(self, line: str) -> FrameId:
        """``rectified01/image01/0000000000.jpg`` or ``rectified01 0 l``."""
        match = re.match(r"(?:.*/)?(rectified\d\d)(?:/image0([12])/|[/\s]+)(\d+)(?:\.\w+)?(?:\s+([lr]))?$", line)
        if not match:
            raise InputError("is not rectified01/image01/0000000000.jpg, nor 'rectified01 0 l'")
        return FrameId(match[1], int(match[3]), "right" if match[2] == "2" or match[4] == "r" else "left")

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        folder = self.root / id.sequence / f"image{EYES[id.camera]}"
        return self._images_in(folder).get(id.number, folder / f"{id.number:010d}.jpg")

    def _depth_file(self, id: FrameId) -> Path:
        return self.root / id.sequence / f"depth{EYES[id.camera]}" / f"{id.number:010d}.png"

    def needs(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.needs`."""
        return [self.root / id.sequence / "intrinsics.txt"]

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        file = self._depth_file(id)
        return [] if id.camera == "right" and not file.parent.is_dir() else [file]

    def depth(self, id: FrameId) -> DepthMap | None:
        """In mm; None on the right where that side has no depth."""
        return metric(read_raster(self._depth_file(id)).astype(np.float32), "mm") if self.depth_files(id) else None

    def camera(self, id: FrameId) -> Camera:
        """See :meth:`DataSet.camera`."""
        height, width = image_size(self.image(id))
        file = self.root / id.sequence / "intrinsics.txt"
        numbers = read_numbers(file)
        if numbers.size not in (9, 12):
            raise InputError(f"{file}: holds {numbers.size} numbers, not a camera matrix of 3x4 or 3x3")
        return pinhole(numbers.reshape(3, -1), width, height, file)

    def time(self, id: FrameId) -> float:
        """At 25 frames a second."""
        return id.number / RATE


class HamlynLayout(Layout):
    """``rectifiedNN``: one rectified stereo video.

    - ``image01`` left, ``image02`` right: ``%010d.jpg``, from 0.
    - ``depth01``, ``depth02``: ``%010d.png``, 16 bits, whole mm, 0 where unknown.
    - ``intrinsics.txt``: of both cameras, three rows of four numbers, the last column 0.

    Poses and baseline are not known, numbers are not without gaps: 1 4 5 6 8 9 11 12, then 14 and on.
    """

    name = "hamlyn"
    worlds = ("tract",)
    rate = RATE

    def mounts(self) -> Mapping[str, Mount]:
        """720x288, the size of most sequences and the one that others crop, 5.4 mm apart."""
        camera = Pinhole.from_focal(720, 288, 417.903625)
        beside = compose(np.eye(3), np.array([5.382236, 0.0, 0.0]))
        return {"left": Mount(camera, np.eye(4)), "right": Mount(camera, beside)}

    def write_clip(self, root: Path, number: int, rigs: Sequence[Rig]) -> list[Path]:
        """Write one sequence.

        Args:
            root: gets the sequences' folders.
            number: of the sequence, from 0.
            rigs: of :meth:`mounts`.

        Returns:
            The sequence's folder.

        Raises:
            InputError: a file cannot be written.
        """
        folder = root / f"rectified{FIRST[number] if number < len(FIRST) else number + 6:02d}"
        for index, rig in enumerate(rigs):
            for eye, side in enumerate(("left", "right"), 1):
                frame = rig[side]
                write_image(folder / f"image{eye:02d}" / f"{index:010d}.jpg", frame.image)
                write_raster(folder / f"depth{eye:02d}" / f"{index:010d}.png", codes(z_depth(frame)))
            if index == 0:
                write_numbers(folder / "intrinsics.txt", known(rig["left"].camera).K @ np.eye(3, 4), "%.10g")
        return [folder]
