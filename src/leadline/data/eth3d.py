"""ETH3D (Schöps et al., CVPR 2017): high-resolution multi-view photographs with laser scans."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from leadline.data.colmap import read_images
from leadline.data.dataset import DataSet, metric
from leadline.data.lists import FrameId
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.geometry.poses import axis_angle_to_matrix, compose
from leadline.io.images import opening

#: The scenes with ground truth.
TRAINING = (
    "courtyard", "delivery_area", "electro", "facade", "kicker", "meadow", "office", "pipes", "playground", "relief",
    "relief_2", "terrace", "terrains",
)  # fmt: skip

#: Quarter turns to the left that EXIF's orientations ask for; a camera's axes then turn by as many about z.
TURNS = {3: 2, 6: 3, 8: 1}
QUARTER = np.array([0.0, 0.0, np.pi / 2])


class Eth3d(DataSet):
    """The high-resolution photographs of ETH3D as they were taken, to which its depth belongs.

    ``SCENE/images/dslr_images/DSC_0219.JPG`` with ``SCENE/ground_truth_depth/dslr_images/DSC_0219.JPG``, which is no
    picture but float32, row after row. The folder is one where the archives were unpacked into each other, or that of
    Marigold (``rgb/SCENE/images``, ``depth/SCENE_dslr_depth/SCENE/ground_truth_depth``). A frame's number is the
    photograph's; photographs next to each other in number may be far apart.

    No camera: the photographs are distorted by COLMAP's THIN_PRISM_FISHEYE, which no model here can express, and the
    undistorted ones have no depth. Poses come from ``dslr_calibration_jpg``, where it is there. Depth and poses are of
    photographs as they are stored; where EXIF turns one upright, they are turned with it.
    """

    name = "eth3d"
    source = "ETH3D: Schöps et al., CVPR 2017"
    licence = "CC BY-NC-SA 4.0"
    splits = {
        "marigold": "the photographs of the 13 scenes with ground truth, 454: what Marigold and its successors test on",
        "train": "the same, as ETH3D calls them",
        "all": "every photograph there is",
    }
    counts = {"marigold": 454, "train": 454}
    truths = {"laser": "z-depth of laser scans, rendered into the distorted photographs"}
    tree = {
        "**/images/dslr_images/*.JPG": "photographs",
        "**/ground_truth_depth/dslr_images/*.JPG": "depth, raw float32, m; inf unknown (missing in test scenes)",
        "**/dslr_calibration_jpg/*.txt": "COLMAP's cameras, images and points (optional)",
        "**/dslr_calibration_undistorted/*.txt": "the same of the undistorted photographs (optional)",
        "**/images/dslr_images_undistorted/*.JPG": "undistorted photographs (optional)",
        "**/*scan_*/*": "laser scans (optional)",
        "**/masks_for_*/**": "masks of photographs and scans (optional)",
        "**/occlusion/**": "meshes that hide what lies behind them (optional)",
    }

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        return [
            FrameId(scene, number)
            for scene, folder in self._folders["images"].items()
            if split == "all" or scene in TRAINING
            for number in self._images_in(folder, "DSC_")
        ]

    @cached_property
    def _folders(self) -> dict[str, dict[str, Path]]:
        """The folders of photographs (``images``), of depth and of calibration, each by scene."""
        kinds = {
            "images": "images/dslr_images",
            "depth": "ground_truth_depth/dslr_images",
            "calibration": "dslr_calibration_jpg",
        }
        return {
            kind: {
                path.parents[below.count("/")].name: path
                for top in ("*", "*/*", "*/*/*")
                for path in sorted(self.root.glob(f"{top}/{below}"))
            }
            for kind, below in kinds.items()
        }

    def parse(self, line: str) -> FrameId:
        """``rgb/office/images/dslr_images/DSC_0219.JPG``, after ``rgb/`` or not, and whatever follows."""
        parts = Path(line.split()[0]).parts
        digits = Path(parts[-1]).stem.removeprefix("DSC_")
        if len(parts) < 4 or not digits.isdigit():
            raise InputError("is not office/images/dslr_images/DSC_0219.JPG")
        return FrameId(parts[-4], int(digits))

    def _file(self, id: FrameId, what: str, below: str) -> Path:
        folder = self._folders[what].get(id.sequence, self.root / id.sequence / below)
        return folder / f"DSC_{id.number:04d}.JPG"

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        missing = self._file(id, "images", "images/dslr_images")
        return self._images_in(missing.parent, "DSC_").get(id.number, missing)

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        measured = id.sequence in TRAINING or id.sequence in self._folders["depth"]
        return [self._file(id, "depth", "ground_truth_depth/dslr_images")] if measured else []

    def _stored(self, id: FrameId) -> tuple[int, int, int]:
        """Height and width of a photograph as it is stored, and the quarter turns to the left that make it upright."""
        with opening(self.image(id)) as image:
            orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
            return image.height, image.width, TURNS.get(orientation, 0)

    def depth(self, id: FrameId) -> DepthMap | None:
        """In m; None in test scenes."""
        files = self.depth_files(id)
        if not files:
            return None
        [file], (height, width, turns) = files, self._stored(id)
        try:
            values = np.fromfile(file, "<f4")
        except FileNotFoundError:
            raise InputError(f"{file}: no such file; it is in the archive {id.sequence}_dslr_depth.7z") from None
        if values.size != height * width:
            raise InputError(f"{file}: holds {values.size} numbers, not the {width}x{height} of its photograph")
        return metric(np.rot90(values.reshape(height, width), turns), "m")

    def pose(self, id: FrameId) -> np.ndarray | None:
        """See :meth:`DataSet.pose`."""
        folder = self._folders["calibration"].get(id.sequence)
        if folder is None:
            return None
        poses = self._once(folder, lambda: {Path(image.name).name: image.pose for image in read_images(folder)})
        pose, turns = poses.get(self.image(id).name), self._stored(id)[2]
        return None if pose is None else pose @ compose(axis_angle_to_matrix(turns * QUARTER), np.zeros(3))
