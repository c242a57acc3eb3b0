"""SERV-CT: stereo endoscopy of pig cadavers with depth from a CT scan (Edwards et al., MedIA 2022, PMC8961000)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from leadline.camera import Camera, Pinhole
from leadline.data.cameras import pinhole
from leadline.data.dataset import DataSet, metric
from leadline.data.layout import Layout, codes, known, z_depth
from leadline.data.lists import FrameId
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.frame import Frame
from leadline.geometry.lift import reproject
from leadline.geometry.poses import compose, relative
from leadline.io.atomic import write_json
from leadline.io.images import image_size, write_image
from leadline.io.rasters import read_raster, write_raster
from leadline.io.reading import read_json
from leadline.rig import Mount, Rig

#: Colours of the occlusion images.
NO_SURFACE, OUTSIDE, HIDDEN = (0, 0, 255), (255, 255, 0), (255, 0, 0)
#: Width and height of its images.
SIZE = (720, 576)
#: Depth that differs by more than this, as a part of it, is another surface.
SAME = 0.03


class ServCt(DataSet):
    """Stereo pairs of SERV-CT, see :class:`ServCtLayout` for the files.

    The folder is the one that ``Experiment_1`` and ``Experiment_2`` are in, or one above. The folders of references
    are called ``Reference_CT`` or ``Ground_truth_CT``, depending on the release. Each pair is a sequence of its own,
    for how the endoscope moved between two of them is not known; the world is the left camera.
    """

    name = "servct"
    source = "SERV-CT: Edwards et al., MedIA 2022"
    licence = "research only"
    splits = {
        "test": "the 16 left images",
        "all": "the left and right images",
    }
    counts = {"test": 16}
    film = False
    truths = {
        "ct": "z-depth from a CT scan",
        "rgb": "z-depth from a structured light scan, of Experiment_2 only",
    }
    tree = {
        "**/Experiment_?/Left_rectified/*.png": "left images",
        "**/Experiment_?/Right_rectified/*.png": "right images",
        "**/Experiment_?/*_CT/Depth[LR]/*.png": "depth, 16 bits, mm times 256; 0 unknown",
        "**/Experiment_?/*_RGB/Depth[LR]/*.png": "the same by structured light (optional)",
        "**/Experiment_?/*/Disparity/*.png": "disparity (optional)",
        "**/Experiment_?/*/Occlusion[LR]/*.png": "what the other camera does not see (optional)",
        "**/Experiment_?/Rectified_calibration/*.json": "P1, P2, Q, mm",
    }

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        cameras = ("left", "right") if split == "all" else ("left",)
        return [
            FrameId(f"{folder.name}/{path.stem}", number, camera)
            for folder in self._experiments.values()
            for number, path in self._images_in(folder / "Left_rectified").items()
            for camera in cameras
        ]

    @cached_property
    def _experiments(self) -> dict[str, Path]:
        found = {path.name: path for pattern in ("Experiment_?", "*/Experiment_?") for path in self.root.glob(pattern)}
        return dict(sorted(found.items()))

    def parse(self, line: str) -> FrameId:
        """``Experiment_1/Left_rectified/001.png``, whatever follows."""
        match = re.match(r"(?:.*/)?(Experiment_\d)/(Left|Right)_rectified/(\d+)", line)
        if not match:
            raise InputError("is not Experiment_1/Left_rectified/001.png")
        return FrameId(f"{match[1]}/{match[3]}", int(match[3]), match[2].lower())

    def _file(self, id: FrameId, folder: str, suffix: str) -> Path:
        experiment, _, stem = id.sequence.partition("/")
        return self._experiments.get(experiment, self.root / experiment) / folder / f"{stem}{suffix}"

    def _depth_file(self, id: FrameId) -> Path:
        kinds = (f"{name}_{self.truth.upper()}/Depth{id.camera[0].upper()}" for name in ("Reference", "Ground_truth"))
        reference, truth = (self._file(id, kind, ".png") for kind in kinds)
        return truth if truth.is_file() else reference

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        missing = self._file(id, f"{id.camera.title()}_rectified", ".png")
        return self._images_in(missing.parent).get(id.number, missing)

    def needs(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.needs`."""
        return [self._file(id, "Rectified_calibration", ".json")]

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        unmeasured = self.truth == "rgb" and not id.sequence.startswith("Experiment_2")
        return [] if unmeasured else [self._depth_file(id)]

    def depth(self, id: FrameId) -> DepthMap | None:
        """In mm; None of Experiment_1 by structured light."""
        return metric(read_raster(self._depth_file(id)) / np.float32(256), "mm") if self.depth_files(id) else None

    def _projection(self, id: FrameId, key: str) -> np.ndarray:
        file = self._file(id, "Rectified_calibration", ".json")
        stored = read_json(file)
        try:
            return np.array(stored[key]["data"], float).reshape(3, 4)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{file}: {key} should be OpenCV's matrix of 3x4 numbers ({type(error).__name__}: {error})"
            ) from None

    def camera(self, id: FrameId) -> Camera:
        """See :meth:`DataSet.camera`."""
        height, width = image_size(self.image(id))
        matrix = self._projection(id, "P1" if id.camera == "left" else "P2")
        return pinhole(matrix, width, height, self._file(id, "Rectified_calibration", ".json"), SIZE)

    def pose(self, id: FrameId) -> np.ndarray:
        """The world is the pair's left camera, in mm."""
        if id.camera == "left":
            return np.eye(4)
        matrix = self._projection(id, "P2")
        return compose(np.eye(3), -np.linalg.solve(matrix[:, :3], matrix[:, 3]))


class ServCtLayout(Layout):
    """``Experiment_{1,2}``: rectified stereo pairs, stills, numbered through both experiments from ``001``.

    - ``Left_rectified``, ``Right_rectified``: PNG.
    - ``Reference_CT/DepthL``, ``DepthR``, ``Disparity``: 16-bit PNG, mm or pixels times 256, 0 where unknown or too
      large.
    - ``Reference_CT/OcclusionL``, ``OcclusionR``: coloured PNG: blue where the reference has no surface, yellow what
      lies outside the other image, red what is hidden from it, else black.
    - ``Rectified_calibration``: a JSON for every pair, P1, P2 and Q as OpenCV's FileStorage writes them, mm.

    Poses are not known. Two clips of 8 rigs have the numbers of the real set; further clips go on counting, the
    experiments taking turns.
    """

    name = "servct"
    worlds = ("tract",)
    rate = 1.0  # stills: one second makes another view

    def mounts(self) -> Mapping[str, Mount]:
        """720x576, parallel, 5 mm apart."""
        camera = Pinhole.from_focal(*SIZE, 770.0)
        beside = compose(np.eye(3), np.array([5.0, 0.0, 0.0]))
        return {"left": Mount(camera, np.eye(4)), "right": Mount(camera, beside)}

    def write_clip(self, root: Path, number: int, rigs: Sequence[Rig]) -> list[Path]:
        """Write pairs that go on counting where the clip before ends, if it is as long.

        Args:
            root: gets ``Experiment_1`` and ``Experiment_2``.
            number: of the clip, from 0.
            rigs: of :meth:`mounts`.

        Returns:
            The files.

        Raises:
            InputError: a file cannot be written.
        """
        folder, written = root / f"Experiment_{number % 2 + 1}", []
        for index, rig in enumerate(rigs, number * len(rigs) + 1):
            left, right = rig["left"], rig["right"]
            first, second, disparity_to_points = _matrices(left, right)
            depths = {"L": z_depth(left), "R": z_depth(right)}
            rasters = {f"Depth{side}": codes(depth * 256) for side, depth in depths.items()}
            rasters["Disparity"] = codes(-second[0, 3] / depths["L"] * 256)
            pictures = {
                "Left_rectified": left.image,
                "Right_rectified": right.image,
                "Reference_CT/OcclusionL": _occlusion(left, right),
                "Reference_CT/OcclusionR": _occlusion(right, left),
            }
            for name, values in rasters.items():
                written.append(folder / "Reference_CT" / name / f"{index:03d}.png")
                write_raster(written[-1], values)
            for name, picture in pictures.items():
                written.append(folder / name / f"{index:03d}.png")
                write_image(written[-1], picture)
            written.append(folder / "Rectified_calibration" / f"{index:03d}.json")
            matrices = {"P1": _matrix(first), "P2": _matrix(second), "Q": _matrix(disparity_to_points)}
            write_json(written[-1], matrices)
        return written


def _matrices(left: Frame, right: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(3, 4) from left camera axes to pixels of the left and of the right image, and (4, 4) Q.

    Q (u, v, disparity, 1) is the point in left camera axes, homogeneous.
    """
    first = known(left.camera).K @ np.eye(3, 4)
    second = known(right.camera).K @ relative(known(left.pose), known(right.pose))[:3]
    baseline = -second[0, 3] / second[0, 0]
    to_points = np.array(
        [
            [1, 0, 0, -first[0, 2]],
            [0, 1, 0, -first[1, 2]],
            [0, 0, 0, first[0, 0]],
            [0, 0, 1 / baseline, (second[0, 2] - first[0, 2]) / baseline],
        ]
    )
    return first, second, to_points


def _matrix(values: np.ndarray) -> dict[str, object]:
    rows, columns = values.shape
    return {"type_id": "opencv-matrix", "rows": rows, "cols": columns, "dt": "d", "data": values.ravel().tolist()}


def _occlusion(frame: Frame, other: Frame) -> np.ndarray:
    """(H, W, 3) uint8: what of ``frame`` the other camera does not see."""
    depth, behind = z_depth(frame), z_depth(other)
    motion = relative(known(frame.pose), known(other.pose))
    uv, distance, inside = reproject(depth, known(frame.camera), motion, known(other.camera))
    column, row = (np.where(inside, np.rint(uv[..., axis]), 0).astype(int) for axis in (0, 1))
    # A pixel lies up to half a pixel beyond the centre of the outermost one.
    row, column = np.minimum(row, behind.shape[0] - 1), np.minimum(column, behind.shape[1] - 1)
    picture = np.zeros(frame.image.shape, np.uint8)
    picture[np.isinf(depth)] = NO_SURFACE
    picture[np.isfinite(depth) & ~inside] = OUTSIDE
    picture[inside & (distance > behind[row, column] * (1 + SAME))] = HIDDEN
    return picture
