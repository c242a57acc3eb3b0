"""Cityscapes (Cordts et al., CVPR 2016): stereo pairs with disparity, and the sequences around them.

Names are ``PACKAGE/SPLIT/CITY/CITY_SSSSSS_FFFFFF_KIND``: sequence S, frame F. What differs from what one would expect:

- Of each 30 frames only the 20th has a right image, disparity, camera and vehicle data; ``_sequence``
  packages have all.
- Disparity is uint16, d = (p - 1) / 256 pixels of the left image, p = 0 unknown; depth = baseline fx / d. What is
  nearer than 256 px (1.85 m at full size) or gives no disparity cannot be held, and is unknown.
- ``camera.json`` has axes x forward, y left, z up for camera and vehicle; a positive pitch looks down.
- The bonnet covers the bottom of real images; here nothing does. There are no labels of classes, no GPS, no timestamps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from leadline.camera import Pinhole
from leadline.data.layout import Layout, known, z_depth
from leadline.frame import Frame
from leadline.geometry.poses import axis_angle_to_matrix, compose, rate_of_change
from leadline.io.atomic import write_json
from leadline.io.images import write_image
from leadline.io.rasters import write_raster
from leadline.rig import FORWARD, Mount, Rig

#: Split and city of a clip, again and again: 6 to train, 1 to validate, 3 to test, nearly as in the data set.
PLACES = tuple(
    {"train": ("train", "aachen"), "val": ("val", "frankfurt"), "test": ("test", "berlin")}[split]
    for split in ["train", "val", "test", "train", "train", "test", "train", "train", "test", "train"]
)
#: In m and rad: of the left camera, and the distance to the right one.
EXTRINSIC = {"baseline": 0.209313, "pitch": 0.038, "roll": 0.0, "x": 1.7, "y": 0.1, "yaw": -0.0195, "z": 1.22}
SNIPPET, ANNOTATED = 30, 19


class CityscapesLayout(Layout):
    """Cityscapes: leftImg8bit, rightImg8bit, disparity, camera, vehicle, and sequences of left images and vehicle."""

    name = "cityscapes"
    worlds = ("street",)
    rate = 17.0

    def mounts(self) -> Mapping[str, Mount]:
        """The left (reference) and the right camera, of 2048x1024."""
        camera = Pinhole(2048, 1024, 2262.52, 2265.3017905988554, 1096.98, 513.137)
        yaw, pitch, roll = (
            axis_angle_to_matrix(EXTRINSIC[angle] * np.array(axis))
            for angle, axis in (("yaw", (0.0, 0.0, 1.0)), ("pitch", (0.0, 1.0, 0.0)), ("roll", (1.0, 0.0, 0.0)))
        )
        left = compose(yaw @ pitch @ roll @ FORWARD, np.array([EXTRINSIC[axis] for axis in "xyz"]))
        right = left @ compose(np.eye(3), np.array([EXTRINSIC["baseline"], 0.0, 0.0]))
        return {"left": Mount(camera, left), "right": Mount(camera, right)}

    def write_clip(self, root: Path, number: int, rigs: Sequence[Rig]) -> list[Path]:
        """Write one sequence. One too short to have a 20th frame has its middle one annotated."""
        annotated = set(range(ANNOTATED, len(rigs), SNIPPET)) or {len(rigs) // 2}
        split, city = PLACES[number % len(PLACES)]
        written: list[Path] = []

        def path(package: str, index: int, suffix: str) -> Path:
            kind = package.removesuffix("_sequence")
            written.append(root / package / split / city / f"{city}_{number:06d}_{index:06d}_{kind}{suffix}")
            return written[-1]

        poses, times = [], []
        for index, rig in enumerate(rigs):
            poses.append(known(rig.pose))
            times.append(known(rig.time))
            left = rig["left"]
            write_image(path("leftImg8bit_sequence", index, ".png"), left.image)
            if index in annotated:
                write_image(path("leftImg8bit", index, ".png"), left.image)
                write_image(path("rightImg8bit", index, ".png"), rig["right"].image)
                write_raster(path("disparity", index, ".png"), _disparity(left))
                lens = known(left.camera).K[[0, 1, 0, 1], [0, 1, 2, 2]]
                intrinsic = dict(zip(("fx", "fy", "u0", "v0"), lens, strict=True))
                write_json(path("camera", index, ".json"), {"extrinsic": EXTRINSIC, "intrinsic": intrinsic})

        motion = np.array(poses)
        speeds = np.linalg.norm(rate_of_change(motion[:, :3, 3], np.array(times)), axis=1)
        headings = np.unwrap(np.arctan2(motion[:, 1, 0], motion[:, 0, 0]))
        for index, (speed, turn) in enumerate(zip(speeds, rate_of_change(headings, np.array(times)), strict=True)):
            for package in ("vehicle_sequence", "vehicle") if index in annotated else ("vehicle_sequence",):
                write_json(path(package, index, ".json"), {"speed": speed, "yawRate": turn})
        return written


def _disparity(frame: Frame) -> np.ndarray:
    pixels = EXTRINSIC["baseline"] * float(known(frame.camera).fx) / z_depth(frame)
    steps = np.rint(pixels * 256)
    return np.where((steps > 0) & (steps < 65535), steps + 1, 0).astype(np.uint16)
