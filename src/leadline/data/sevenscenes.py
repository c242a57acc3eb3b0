"""7-Scenes (Shotton et al., CVPR 2013): Kinect clips of rooms, each room in several sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from leadline.camera import Pinhole
from leadline.data.layout import Layout, codes, known, z_depth
from leadline.io.atomic import write_numbers, write_text
from leadline.io.images import write_image
from leadline.io.rasters import write_raster
from leadline.rig import Mount, Rig

#: The code of a pixel whose depth is not known.
INVALID = 65535


class SevenScenes(Layout):
    """``SCENE/seq-NN/frame-%06d.{color.png,depth.png,pose.txt}``, ``SCENE/TrainSplit.txt`` and ``SCENE/TestSplit.txt``.

    Depth is uint16, z-depth in mm, 65535 where it is not known; repackaged copies write 0 there, so readers drop
    both. Poses are 4x4 camera-to-world in m, eight digits, separated by a tab and a blank. The lists hold
    ``sequence1`` for ``seq-01``. No intrinsics are stored: everybody takes 585 px and the centre (320, 240).

    A clip is a scene; its first half is the training sequence, its second the test sequence, so that both show one
    room, as in the real data. Not kept are two faults of the Kinect: here colour and depth are registered, and mirrors
    and glass have their true depth.
    """

    name = "sevenscenes"
    worlds = ("room",)
    rate = 30.0

    def mounts(self) -> Mapping[str, Mount]:
        """One 640x480 camera with the depth camera's intrinsics."""
        return {"kinect": Mount(Pinhole(640, 480, 585.0, 585.0, 320.0, 240.0), np.eye(4))}

    def write_clip(self, root: Path, number: int, rigs: Sequence[Rig]) -> list[Path]:
        """Write one scene, with its lists.

        Args:
            root: gets the scene's folder.
            number: of the scene.
            rigs: of :meth:`mounts`.

        Returns:
            The scene's folder.

        Raises:
            InputError: a file cannot be written.
        """
        scene = root / f"room{number:04d}"
        half = (len(rigs) + 1) // 2
        for index, rig in enumerate(rigs):
            sequence, position = divmod(index, half)
            stem = scene / f"seq-{sequence + 1:02d}" / f"frame-{position:06d}"
            frame = rig["kinect"]
            write_image(stem.with_suffix(".color.png"), frame.image)
            write_raster(stem.with_suffix(".depth.png"), codes(z_depth(frame) * 1000, INVALID))
            write_numbers(stem.with_suffix(".pose.txt"), known(frame.pose), "% .7e", "\t ")
        for name, line in (("Train", "sequence1\n"), ("Test", "sequence2\n" if len(rigs) > 1 else "")):
            write_text(scene / f"{name}Split.txt", line)
        return [scene]
