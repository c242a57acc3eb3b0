"""Cityscapes (Cordts et al., CVPR 2016): stereo pairs with disparity, and the sequences around them.

Names are ``PACKAGE/SPLIT/CITY/CITY_SSSSSS_FFFFFF_KIND``: sequence S, frame F. What differs from what one would expect:

- Of each 30 frames only the 20th has a right image, disparity, camera and vehicle data; ``_sequence``
  packages have all.
- Disparity is uint16, d = (p - 1) / 256 pixels of the left image, p = 0 unknown; depth = baseline fx / d. What is
  nearer than 256 px (1.85 m at full size) or gives no disparity cannot be held, and is unknown.
- ``camera.json`` has axes x forward, y left, z up for camera and vehicle; a positive pitch looks down.
- ManyDepth, and all who compare with it, evaluate on the 1,525 test images against that depth; they crop it to the
  upper three quarters, above the bonnet, and then to ``[256:, 192:1856]``. Training triplets step two frames.
- The bonnet covers the bottom of real images; where we write nothing does, and there are no labels, GPS or timestamps.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from leadline.camera import Camera, Pinhole
from leadline.data.cameras import pinhole
from leadline.data.dataset import DataSet, metric
from leadline.data.images import visible
from leadline.data.layout import Layout, known, z_depth
from leadline.data.lists import FrameId
from leadline.data.transforms import Crop
from leadline.depth import DepthMap
from leadline.errors import ConfigError, InputError
from leadline.frame import Frame
from leadline.geometry.poses import axis_angle_to_matrix, compose, rate_of_change
from leadline.io.atomic import write_json
from leadline.io.images import image_size, write_image
from leadline.io.rasters import read_raster, write_raster
from leadline.io.reading import read_json
from leadline.rig import FORWARD, Mount, Rig

#: Split and city of a clip, again and again: 6 to train, 1 to validate, 3 to test, nearly as in the data set.
PLACES = tuple(
    {"train": ("train", "aachen"), "val": ("val", "frankfurt"), "test": ("test", "berlin")}[split]
    for split in ["train", "val", "test", "train", "train", "test", "train", "train", "test", "train"]
)
#: In m and rad: of the left camera, and the distance to the right one.
EXTRINSIC = {"baseline": 0.209313, "pitch": 0.038, "roll": 0.0, "x": 1.7, "y": 0.1, "yaw": -0.0195, "z": 1.22}
SNIPPET, ANNOTATED = 30, 19

#: Width and height of its images.
SIZE = (2048, 1024)
#: City, sequence and frame in a name.
NAME = re.compile(r"([a-z-]+)_(\d{6})_(\d{6})")
SINGLE, SEQUENCE = "leftImg8bit", "leftImg8bit_sequence"
PACKAGES = (SINGLE, SEQUENCE, "disparity", "disparity_sequence", "camera")


class Cityscapes(DataSet):
    """Left images of Cityscapes, annotated ones and those of the sequences around them, PNG or JPEG.

    The folder is that of the packages, ``leftImg8bit`` and so on; each may lie in a folder named after its archive,
    such as ``camera_trainvaltest/camera``. Neighbours come from ``leftImg8bit_sequence``; they share the calibration of
    the nearest annotated frame of their sequence, and have depth where there is ``disparity_sequence``. Images that
    were made smaller keep their calibration. Without ``camera`` images have no camera. Where a vehicle goes is known by
    its speed and rate of turning only, which is no pose.

    Args:
        root, split, truth, mask, drop_highlights, every: see :class:`DataSet`.
        above: part of the images' height that is used, from the top; 0.75 leaves the bonnet out, to train as the field
            does. Protocols look at the part they judge by themselves.

    Raises:
        ConfigError: ``above`` is no such part; else see :class:`DataSet`.
    """

    name = "cityscapes"
    source = "Cityscapes: Cordts et al., CVPR 2016"
    licence = "non-commercial, see www.cityscapes-dataset.com/license"
    splits = {
        "test": "1,525 annotated images of the test cities",
        "val": "500 annotated images of the validation cities",
        "train": "2,975 annotated images of the training cities",
        "monodepth-train": "69,731 images of the training sequences, as ManyDepth trains on them",
        "monodepth-val": "7,621 images beside them",
        "all": "every left image there is",
    }
    elsewhere = {
        f"monodepth-{part}": f"it is splits/cityscapes_preprocessed/{part}_files.txt of "
        f"github.com/nianticlabs/manydepth, {count} lines"
        for part, count in (("train", "69,731"), ("val", "7,621"))
    }
    counts = {"test": 1525, "val": 500, "train": 2975, "monodepth-train": 69731, "monodepth-val": 7621}
    truths = {"stereo": "z-depth by the stereo disparity that comes with the data set, semi-global matching"}
    tree = {
        "**/leftImg8bit/*/*/*_leftImg8bit.[pj][np]g": "left images",
        "**/leftImg8bit_sequence/*/*/*_leftImg8bit.[pj][np]g": "left images of the sequences (optional)",
        "**/rightImg8bit*/*/*/*_rightImg8bit.[pj][np]g": "right images (optional)",
        "**/disparity/*/*/*_disparity.png": "disparity, 16 bits, (p - 1) / 256 pixels, 0 unknown",
        "**/disparity_sequence/*/*/*_disparity.png": "the same of the sequences (optional)",
        "**/camera/*/*/*_camera.json": "calibration",
        "**/vehicle*/*/*/*_vehicle.json": "speed and rate of turning (optional)",
        "**/timestamp*/*/*/*_timestamp.txt": "when the frames were taken (optional)",
        "**/gt*/*/*/*": "labels of classes (optional)",
        "license.txt": "terms (optional)",
        "README*": "what there is (optional)",
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = None,
        truth: str | None = None,
        mask: str = "none",
        drop_highlights: bool = False,
        every: int = 1,
        above: float = 1.0,
    ) -> None:
        if not 0 < above <= 1:
            raise ConfigError(f"above: {above} is no part of the image's height, above 0 and at most 1")
        self.above = above
        super().__init__(root, split, truth, mask, drop_highlights, every)

    def load(self, id: FrameId) -> Frame:
        """See :meth:`DataSet.load`."""
        frame = super().load(id)
        return frame if self.above == 1 else Crop(0, 0, round(self.above * frame.height), frame.width)(frame)

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        if split != "all":
            return sorted(id for id in self._annotated if id.sequence.startswith(f"{split}/"))
        return sorted(self._annotated | self._listed_in(SEQUENCE))

    @cached_property
    def _folders(self) -> dict[tuple[str, str], Path]:
        """Where each part (train, test) of each package is."""
        found: dict[tuple[str, str], Path] = {}
        for package in PACKAGES:
            for archive in (".", f"{package}_trainvaltest", f"{package}_trainextra"):
                for folder in (self.root / archive / package).glob("*/"):
                    found.setdefault((package, folder.name), folder)
        return found

    @cached_property
    def _annotated(self) -> set[FrameId]:
        return self._listed_in(SINGLE)

    def _listed_in(self, package: str) -> set[FrameId]:
        """The frames whose images a package has."""
        return {
            _id(part, named)
            for (name, part), folder in self._folders.items()
            if name == package
            for path in folder.glob("*/*_leftImg8bit.[pj][np]g")
            if (named := NAME.match(path.name))
        }

    def _suffix(self, city: Path) -> str:
        """Of the images in the folder of a city."""

        def find() -> str:
            images = visible(city, "*_leftImg8bit.[pj][np]g")
            return images[0].suffix if images else ".png"

        return self._once(("suffix", city), find)

    @cached_property
    def _parts(self) -> dict[str, str]:
        """The part each city is in."""
        return {city.name: part for (_, part), folder in self._folders.items() for city in folder.glob("*/")}

    def parse(self, line: str) -> FrameId:
        """A line with ``CITY_SSSSSS_FFFFFF`` in it: ``ulm ulm_000064_000012``, or the path of an image."""
        named = NAME.search(line)
        if not named:
            raise InputError("does not name a frame such as ulm_000064_000012")
        if named[1] not in self._parts:
            raise InputError(f"there is no city {named[1]} in {SINGLE} or {SEQUENCE}")
        return _id(self._parts[named[1]], named)

    def _file(self, package: str, id: FrameId, suffix: str) -> Path:
        part, city, name = id.sequence.split("/")
        folder = self._folders.get((package, part), self.root / package / part)
        return folder / city / f"{name}_{id.number:06d}_{package.removesuffix('_sequence')}{suffix}"

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        path = self._file(SINGLE if id in self._annotated else SEQUENCE, id, ".png")
        return path.with_suffix(self._suffix(path.parent))

    def _disparity(self, id: FrameId) -> Path | None:
        if id in self._annotated:
            return self._file("disparity", id, ".png")
        path = self._file("disparity_sequence", id, ".png")
        return path if path.is_file() else None

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        disparity = self._disparity(id)
        return [disparity, self._calibration(id)] if disparity else []

    def depth(self, id: FrameId) -> DepthMap | None:
        """In m; None for a frame of a sequence without ``disparity_sequence``."""
        path = self._disparity(id)
        if path is None:
            return None
        baseline, matrix = self._lens(id)
        pixels = (read_raster(path).astype(np.float32) - 1) / 256
        return metric(np.divide(baseline * matrix[0, 0], pixels, out=np.zeros_like(pixels), where=pixels > 0), "m")

    def camera(self, id: FrameId) -> Camera | None:
        """See :meth:`DataSet.camera`."""
        if not any(package == "camera" for package, _ in self._folders):
            return None
        height, width = image_size(self.image(id))
        return pinhole(self._lens(id)[1], width, height, self._calibration(id), SIZE)

    def _calibration(self, id: FrameId) -> Path:
        """Of the frame, else of the nearest one of its sequence."""
        path = self._file("camera", id, ".json")
        if path.is_file():
            return path

        def index() -> dict[str, list[Path]]:
            by_sequence: dict[str, list[Path]] = {}
            for other in visible(path.parent, "*_camera.json"):
                by_sequence.setdefault(other.name.rpartition("_camera")[0].rpartition("_")[0], []).append(other)
            return by_sequence

        others = self._once(("calibrations", path.parent), index).get(Path(id.sequence).name, [])
        return min(others, key=lambda other: abs(int(other.name.split("_")[-2]) - id.number), default=path)

    def _lens(self, id: FrameId) -> tuple[float, np.ndarray]:
        """Baseline in m, and (3, 3) in pixels."""
        path = self._calibration(id)
        if not path.is_file():
            raise InputError(f"{path}: no such file; camera_trainvaltest.zip holds it")
        values = read_json(path)
        try:
            fx, fy, u0, v0 = (float(values["intrinsic"][key]) for key in ("fx", "fy", "u0", "v0"))
            return float(values["extrinsic"]["baseline"]), np.array([[fx, 0, u0], [0, fy, v0], [0, 0, 1]])
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{path}: should hold extrinsic.baseline and intrinsic.fx, fy, u0 and v0") from None

    def time(self, id: FrameId) -> float:
        """At the cameras' 17 frames a second."""
        return id.number / CityscapesLayout.rate


def _id(part: str, named: re.Match[str]) -> FrameId:
    city, sequence, number = named.groups()
    return FrameId(f"{part}/{city}/{city}_{sequence}", int(number))


class CityscapesLayout(Layout):
    """Cityscapes: leftImg8bit, rightImg8bit, disparity, camera, vehicle, and sequences of left images and vehicle."""

    name = "cityscapes"
    worlds = ("street",)
    rate = 17.0

    def mounts(self) -> Mapping[str, Mount]:
        """The left (reference) and the right camera, of 2048x1024."""
        camera = Pinhole(*SIZE, 2262.52, 2265.3017905988554, 1096.98, 513.137)
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
