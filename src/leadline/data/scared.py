"""SCARED: stereo endoscopy of pig cadavers with depth by structured light (Allan et al., arXiv 2101.01133)."""

from __future__ import annotations

import contextlib
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from leadline.camera import Pinhole
from leadline.data.layout import Layout, known, z_depth
from leadline.frame import Frame
from leadline.geometry.lift import lift
from leadline.geometry.poses import compose, relative
from leadline.io.atomic import write_json, write_text, writing
from leadline.io.images import write_image
from leadline.io.rasters import write_raster
from leadline.io.video import write_video
from leadline.rig import Mount, Rig

#: Every data set has so many keyframes; the last one comes without a video.
KEYFRAMES = 5


class ScaredLayout(Layout):
    """``dataset_N/keyframe_M``: a stereo pair with depth, and in ``data`` the stereo video that starts there.

    - ``Left_Image.png``, ``Right_Image.png``; ``left_depth_map.tiff``, ``right_depth_map.tiff``: float32 XYZ in mm, in
      the axes of its own camera, NaN where unknown.
    - ``endoscope_calibration.yaml``: OpenCV's M1, D1, M2, D2 and the motion R, T from left to right axes, mm. Its
      intrinsics are not the mean ones that everyone uses.
    - ``data/rgb.mp4``: left above right.
    - ``data/scene_points.tar.gz``: ``scene_points%06d.tiff``, float32 XYZ in mm, left above right, 0 where unknown.
    - ``data/frame_data.tar.gz``: ``frame_data%06d.json`` with the calibration and ``camera-pose``, from the axes of the
      keyframe's left camera to those of the frame's (world-to-camera).

    Numbers count from 0 here; the PNG that loaders extract from the video is called by the number plus 1. Of keyframe 5
    there is one frame only. Lens distortion is all but nothing in the real set and nothing here.
    """

    name = "scared"
    worlds = ("tract",)
    rate = 25.0

    def mounts(self) -> Mapping[str, Mount]:
        """Those of dataset_1: 1280x1024, principal points far from the centre, 4.1 mm apart."""
        left = Pinhole(1280, 1024, 1035.308, 1035.088, 596.955, 520.410)
        right = Pinhole(1280, 1024, 1035.174, 1034.979, 688.362, 521.071)
        beside = compose(np.eye(3), np.array([4.14339, 0.0, 0.0]))
        return {"left": Mount(left, np.eye(4)), "right": Mount(right, beside)}

    def write_clip(self, root: Path, number: int, rigs: Sequence[Rig]) -> list[Path]:
        """Write one keyframe, five of them to a data set.

        Args:
            root: gets the data sets' folders.
            number: of the keyframe, from 0.
            rigs: of :meth:`mounts`.

        Returns:
            The keyframe's folder.

        Raises:
            InputError: there is no rig, or a file cannot be written.
        """
        dataset, keyframe = divmod(number, KEYFRAMES)
        folder = root / f"dataset_{dataset + 1}" / f"keyframe_{keyframe + 1}"
        shots = islice(rigs, 1) if keyframe == KEYFRAMES - 1 else iter(rigs)
        with (
            _archive(folder / "data" / "frame_data.tar.gz") as data,
            _archive(folder / "data" / "scene_points.tar.gz") as points,
        ):
            write_video(folder / "data" / "rgb.mp4", self.rate, _pictures(folder, shots, data, points))
        return [folder]


def _pictures(
    folder: Path, rigs: Iterator[Rig], data: tarfile.TarFile, points: tarfile.TarFile
) -> Iterator[np.ndarray]:
    """Left above right; what else is known of a rig is written when its picture is asked for."""
    keyframe = None
    for index, rig in enumerate(rigs):
        left, right = rig["left"], rig["right"]
        # The origin, which no camera sees, where depth is not known.
        scene = [lift(z_depth(frame), known(frame.camera)) for frame in (left, right)]
        calibration = _calibration(left, right)
        if keyframe is None:
            keyframe = left.pose
            for side, seen in zip(("left", "right"), scene, strict=True):
                write_image(folder / f"{side.title()}_Image.png", rig[side].image)
                points_or_nan = np.where(seen[..., 2:] > 0, seen, np.float32(np.nan))
                write_raster(folder / f"{side}_depth_map.tiff", points_or_nan)
            _write_calibration(folder / "endoscope_calibration.yaml", calibration)
        record = {
            "camera-calibration": {key: value.tolist() for key, value in calibration.items()},
            "camera-pose": relative(keyframe, left.pose).tolist(),
            "timestamp": left.time,
        }
        with tempfile.TemporaryDirectory() as scratch:
            described = Path(scratch) / f"frame_data{index:06d}.json"
            write_json(described, record)
            data.add(described, described.name)
            raster = Path(scratch) / f"scene_points{index:06d}.tiff"
            write_raster(raster, np.concatenate(scene))
            points.add(raster, raster.name)
        yield np.rint(np.concatenate((left.image, right.image)) * 255).astype(np.uint8)


def _calibration(left: Frame, right: Frame) -> dict[str, np.ndarray]:
    """By the names it has in frame_data."""
    motion = relative(known(left.pose), known(right.pose))
    straight = np.zeros((1, 5))
    return {
        "KL": known(left.camera).K,
        "DL": straight,
        "KR": known(right.camera).K,
        "DR": straight,
        "R": motion[:3, :3],
        "T": motion[:3, 3:],
    }


def _write_calibration(path: Path, calibration: Mapping[str, np.ndarray]) -> None:
    """As OpenCV's FileStorage writes matrices to YAML, which is no YAML that others read."""
    lines = ["%YAML:1.0", "---"]
    names = {"KL": "M1", "DL": "D1", "KR": "M2", "DR": "D2"}
    for key, matrix in calibration.items():
        rows, columns = matrix.shape
        numbers = ", ".join(map(repr, matrix.ravel().tolist()))
        lines += [f"{names.get(key, key)}: !!opencv-matrix", f"   rows: {rows}", f"   cols: {columns}", "   dt: d"]
        lines += [f"   data: [ {numbers} ]"]
    write_text(path, "\n".join(lines) + "\n")


@contextlib.contextmanager
def _archive(path: Path) -> Iterator[tarfile.TarFile]:
    # The points of a frame are 31 MB: the fastest compression takes a second for them, the default many.
    with writing(path) as temporary, tarfile.open(temporary, "w:gz", compresslevel=1) as archive:
        yield archive
