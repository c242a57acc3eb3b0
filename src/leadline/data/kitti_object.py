"""KITTI's object detection benchmark (Geiger et al., "Are we ready for autonomous driving?", CVPR 2012)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leadline.camera import Camera
from leadline.data.dataset import DataSet
from leadline.data.kitti import entry, lidar_depth, one_based, read_calibration, to_rectified
from leadline.data.lists import FrameId
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.geometry.poses import compose
from leadline.io.images import image_size


class KittiObject(DataSet):
    """Images of KITTI's object detection benchmark: ``training`` and ``testing``, each with a calibration per image."""

    name = "kitti-object"
    source = "KITTI object detection: Geiger et al., CVPR 2012"
    licence = "CC BY-NC-SA 3.0"
    splits = {
        "training": "every left colour image of the training part",
        "testing": "every left colour image of the testing part",
        "all": "both",
    }
    counts = {"training": 7481, "testing": 7518}
    film = False
    truths = {"lidar": "z-depth of lidar points; sparse"}
    tree = {
        "*ing/image_2/??????.png": "left colour images",
        "*ing/image_3/??????.png": "right colour images (optional)",
        "*ing/velodyne/??????.bin": "lidar points",
        "*ing/calib/??????.txt": "calibration",
        "training/label_2/??????.txt": "labelled objects (optional)",
        "ImageSets/*.txt": "the field's lists (optional)",
    }

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        return [
            FrameId(part, number, "image_2")
            for part in (("training", "testing") if split == "all" else (split,))
            for number in self._images_in(self.root / part / "image_2")
        ]

    def parse(self, line: str) -> FrameId:
        """``000123``, as the field's ``train.txt`` and ``val.txt`` have it; it is of the training part."""
        if not line.isdigit():
            raise InputError("is not the number of an image such as 000123")
        return FrameId("training", int(line), "image_2")

    def _file(self, id: FrameId, what: str, suffix: str) -> Path:
        return self.root / id.sequence / what / f"{id.number:06d}{suffix}"

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        missing = self._file(id, id.camera, ".png")
        return self._images_in(missing.parent).get(id.number, missing)

    def needs(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.needs`."""
        return [self._file(id, "calib", ".txt")]

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        return [self._file(id, "velodyne", ".bin")]

    def depth(self, id: FrameId) -> DepthMap:
        """In m."""
        path = self._file(id, "calib", ".txt")
        return lidar_depth(
            self._file(id, "velodyne", ".bin"),
            [path],
            f"{self.name} {id.camera}",
            self.camera(id),
            lambda: self._to_camera(id),
        )

    def _to_camera(self, id: FrameId) -> np.ndarray:
        """(4, 4) Velodyne to the rectified camera."""
        path = self._file(id, "calib", ".txt")
        values = read_calibration(path)
        lidar = entry(values, path, "Tr_velo_to_cam", 12).reshape(3, 4)
        return to_rectified(
            entry(values, path, f"P{id.camera[-1]}", 12),
            entry(values, path, "R0_rect", 9),
            compose(lidar[:, :3], lidar[:, 3]),
        )

    def camera(self, id: FrameId) -> Camera:
        """See :meth:`DataSet.camera`."""
        path = self._file(id, "calib", ".txt")
        height, width = image_size(self.image(id))
        return one_based(entry(read_calibration(path), path, f"P{id.camera[-1]}", 12), width, height)
