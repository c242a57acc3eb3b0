"""7-Scenes (Shotton et al., CVPR 2013): Kinect clips of rooms, each room in several sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from leadline.camera import Camera, Pinhole
from leadline.data.dataset import DataSet, metric
from leadline.data.images import own_name
from leadline.data.layout import Layout, codes, known, z_depth
from leadline.data.lists import FrameId
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.io.atomic import write_numbers, write_text
from leadline.io.images import image_size, write_image
from leadline.io.inputs import natural_key
from leadline.io.rasters import read_raster, write_raster
from leadline.io.reading import read_numbers, read_text
from leadline.rig import Mount, Rig

#: The code of a pixel whose depth is not known.
INVALID = 65535
#: Of the depth camera; colour is taken to be seen by it too.
CAMERA = Pinhole(640, 480, 585.0, 585.0, 320.0, 240.0)


class SevenScenes(DataSet):
    """Frames of 7-Scenes, see :class:`SevenScenesLayout` for the files; color may be PNG or JPEG.

    The folder is that of all scenes, or of one; a sequence is called ``chess/seq-01`` in both. A
    ``camera-intrinsics.txt`` (3x3) in a scene's folder or above its
    sequences is believed; else the camera is :data:`CAMERA`. Stored rotations are off by up to 2e-4 and are put right.
    """

    name = "sevenscenes"
    source = "7-Scenes: Shotton et al., CVPR 2013"
    licence = "research only (Microsoft)"
    splits = {
        "test": "the sequences of every scene's TestSplit.txt",
        "train": "the sequences of every scene's TrainSplit.txt",
        "all": "every sequence there is",
    }
    counts = {"test": 17000, "train": 26000}
    truths = {"kinect": "z-depth of the depth camera, not registered perfectly to colour"}
    tree = {
        "**/seq-*/frame-*.color.*": "colour images",
        "**/seq-*/frame-*.depth.png": "depth, 16 bits, mm; 0 and 65535 unknown",
        "**/seq-*/frame-*.pose.txt": "4x4 camera-to-world, m",
        "**/TrainSplit.txt": "lists sequences to train on (optional)",
        "**/TestSplit.txt": "lists sequences to test on (optional)",
        "**/camera-intrinsics.txt": "3x3 (optional)",
        "**/seq-*.zip": "sequences not yet unpacked (optional)",
        "**/Thumbs.db": "left over by the data set's makers (optional)",
    }

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        return [
            FrameId(sequence, number)
            for sequence in (self._folders if split == "all" else self._of_split(split))
            for number in self._images_in(self._folder(sequence), "frame-", ".color")
        ]

    def _below(self, pattern: str) -> list[Path]:
        """What fits in the folders of scenes."""
        return sorted((path for deep in ("", "*/", "*/*/") for path in self.root.glob(deep + pattern)), key=natural_key)

    @cached_property
    def _folders(self) -> dict[str, Path]:
        """Of the sequences there are, by name."""
        folders = [path for path in self._below("seq-*") if path.is_dir()]
        return {f"{own_name(path.parent)}/{path.name}": path for path in folders}

    def _folder(self, sequence: str) -> Path:
        return self._folders.get(sequence, self.root / sequence)

    def _of_split(self, split: str) -> list[str]:
        lists = self._below(f"{split.title()}Split.txt")
        if not lists:
            raise InputError(f"{self.root}: no scene has a {split.title()}Split.txt; --split all takes every sequence")
        lines = [(file, line) for file in lists for line in read_text(file).split()]
        try:
            return [f"{own_name(file.parent)}/seq-{int(line.removeprefix('sequence')):02d}" for file, line in lines]
        except ValueError as error:
            raise InputError(f"{lists[0].parent}: lists should have lines such as sequence1 ({error})") from None

    def parse(self, line: str) -> FrameId:
        """``SCENE/seq-NN/frame-000000``, whatever follows."""
        *_, scene, sequence, name = ("", "", *line.split()[0].split("/"))
        if not sequence or not name.startswith("frame-") or not name[6:12].isdigit():
            raise InputError("is not SCENE/seq-NN/frame-000000")
        return FrameId(f"{scene or own_name(self.root)}/{sequence}", int(name[6:12]))

    def _file(self, id: FrameId, what: str) -> Path:
        return self._folder(id.sequence) / f"frame-{id.number:06d}.{what}"

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        images = self._images_in(self._folder(id.sequence), "frame-", ".color")
        return images.get(id.number, self._file(id, "color.png"))

    def needs(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.needs`."""
        return [self._file(id, "pose.txt")]

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        return [self._file(id, "depth.png")]

    def depth(self, id: FrameId) -> DepthMap:
        """In m."""
        values = read_raster(self._file(id, "depth.png"))
        return metric(values / np.float32(1000), "m", values != INVALID)

    def camera(self, id: FrameId) -> Camera:
        """See :meth:`DataSet.camera`."""
        height, width = image_size(self.image(id))
        folder = self._folder(id.sequence)
        for place in (folder, folder.parent):
            if (file := place / "camera-intrinsics.txt").is_file():
                return Camera.load(file, width, height)
        return CAMERA.resize(height, width)

    def pose(self, id: FrameId) -> np.ndarray:
        """See :meth:`DataSet.pose`."""
        pose = read_numbers(self._file(id, "pose.txt"), (4, 4))
        left, _, right = np.linalg.svd(pose[:3, :3])
        pose[:3, :3] = left @ right
        return pose

    def time(self, id: FrameId) -> float:
        """At the Kinect's 30 frames a second."""
        return id.number / 30


class SevenScenesLayout(Layout):
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
        return {"kinect": Mount(CAMERA, np.eye(4))}

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
