"""ETH3D (Schöps et al., CVPR 2017): high-resolution multi-view photographs with laser scans."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from leadline.data.colmap import read_images
from leadline.data.dataset import DataSet
from leadline.data.lists import FrameId
from leadline.depth import DepthMap, Kind
from leadline.errors import InputError
from leadline.io.images import image_size

#: The scenes with ground truth.
TRAINING = (
    "courtyard", "delivery_area", "electro", "facade", "kicker", "meadow", "office", "pipes", "playground", "relief",
    "relief_2", "terrace", "terrains",
)  # fmt: skip


class Eth3d(DataSet):
    """The high-resolution photographs of ETH3D as they were taken, to which its depth belongs.

    ``SCENE/images/dslr_images/DSC_0219.JPG`` with ``SCENE/ground_truth_depth/dslr_images/DSC_0219.JPG``, which is no
    picture but float32, row after row. The folder is one where the archives were unpacked into each other, or that of
    Marigold (``rgb/SCENE/images``, ``depth/SCENE_dslr_depth/SCENE/ground_truth_depth``). A frame's number is the
    photograph's; photographs next to each other in number may be far apart.

    No camera: the photographs are distorted by COLMAP's THIN_PRISM_FISHEYE, which no model here can express, and the
    undistorted ones have no depth. Poses come from ``dslr_calibration_jpg``, where it is there.
    """

    name = "eth3d"
    source = "ETH3D: Schöps et al., CVPR 2017"
    licence = "CC BY-NC-SA 4.0"
    splits = {
        "marigold": "the photographs of the 13 scenes with ground truth, 454: what Marigold and its successors test on",
        "train": "the same, as ETH3D calls them",
        "all": "every photograph there is",
    }
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
        "splits/*.txt": "lists of frames (optional)",
    }

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        return [
            FrameId(scene, int(path.stem.removeprefix("DSC_")))
            for scene, folder in self._found["images"].items()
            if split == "all" or scene in TRAINING
            for path in sorted(folder.glob("DSC_*.JPG"))
        ]

    @cached_property
    def _found(self) -> dict[str, dict[str, Path]]:
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
        folder = self._found[what].get(id.sequence, self.root / id.sequence / below)
        return folder / f"DSC_{id.number:04d}.JPG"

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        return self._file(id, "images", "images/dslr_images")

    def _depth(self, id: FrameId) -> Path:
        return self._file(id, "depth", "ground_truth_depth/dslr_images")

    def files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.files`."""
        return [self.image(id), *([self._depth(id)] if self._measured(id) else [])]

    def _measured(self, id: FrameId) -> bool:
        return id.sequence in TRAINING or id.sequence in self._found["depth"]

    def depth(self, id: FrameId) -> DepthMap | None:
        """In m; None in test scenes."""
        if not self._measured(id):
            return None
        height, width = image_size(self.image(id))
        file = self._depth(id)
        try:
            values = np.fromfile(file, "<f4")
        except FileNotFoundError:
            raise InputError(f"{file}: no such file; it is in the archive {id.sequence}_dslr_depth.7z") from None
        if values.size != height * width:
            raise InputError(f"{file}: holds {values.size} numbers, not the {width}x{height} of its photograph")
        return DepthMap(values.reshape(height, width), Kind("depth", "nothing"), "m")

    def pose(self, id: FrameId) -> np.ndarray | None:
        """See :meth:`DataSet.pose`."""
        folder = self._found["calibration"].get(id.sequence)
        return None if folder is None else _poses(folder).get(self.image(id).name)


@lru_cache(maxsize=32)
def _poses(folder: Path) -> dict[str, np.ndarray]:
    """The poses of a scene, by the names of its photographs."""
    return {Path(image.name).name: image.pose for image in read_images(folder)}
