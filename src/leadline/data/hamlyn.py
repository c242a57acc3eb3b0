"""Hamlyn: stereo videos of da Vinci surgery, rectified and with depth by stereo matching.

From Recasens et al., "Endo-Depth-and-Motion" (RA-L 2021, arXiv 2103.16525).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from leadline.camera import Pinhole
from leadline.data.layout import Layout, codes, known, z_depth
from leadline.geometry.poses import compose
from leadline.io.atomic import write_numbers
from leadline.io.images import write_image
from leadline.io.rasters import write_raster
from leadline.rig import Mount, Rig

#: Its first sequences; from here on, with 14, none is left out.
FIRST = (1, 4, 5, 6, 8, 9, 11, 12)


class HamlynLayout(Layout):
    """``rectifiedNN``: one rectified stereo video.

    - ``image01`` left, ``image02`` right: ``%010d.jpg``, from 0.
    - ``depth01``, ``depth02``: ``%010d.png``, 16 bits, whole mm, 0 where unknown.
    - ``intrinsics.txt``: of both cameras, three rows of four numbers, the last column 0.

    Poses and baseline are not known, numbers are not without gaps: 1 4 5 6 8 9 11 12, then 14 and on.
    """

    name = "hamlyn"
    worlds = ("tract",)
    rate = 25.0

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
