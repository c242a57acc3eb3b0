"""Booster (Zama Ramirez et al., CVPR 2022, TPAMI 2024): stereo pairs of mirrors, glass and polished things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from leadline.camera import Pinhole
from leadline.data.layout import Layout, known, z_depth
from leadline.frame import Frame
from leadline.geometry.poses import compose, relative
from leadline.io.atomic import write_text, writing
from leadline.io.images import write_image
from leadline.io.rasters import write_raster
from leadline.rig import Mount, Rig

#: The number of a camera in the names of its files.
NUMBERS = {"left": "00", "right": "02"}
#: A pixel is seen by both cameras where their disparities differ by no more than this many pixels.
TOLERANCE = 1.0


class BoosterLayout(Layout):
    """``train/balanced/SCENE/``: the two 12 Mpx cameras, 00 left and 02 right, rectified.

    - ``camera_00/imK.png``, ``camera_02/imK.png``: one pose, K counts the illuminations.
    - ``disp_00.npy``, ``disp_02.npy``: (H, W) float32 disparity in pixels of each view, positive, 0 not known, occluded
      pixels included: depth = fx * baselineLR / disparity.
    - ``mask_00.png``, ``mask_02.png``: 255 where the other camera sees the pixel too, 0 where not or not known.
    - ``mask_cat.png``: material of the left view's pixels, 0 diffuse to 3 transparent or mirror; 2 and 3 are the "ToM"
      pixels of evaluations.
    - ``calib_00-02.xml``: OpenCV's FileStorage with ``mtxL``, ``mtxR``, ``R``, ``T``, ``proj_matL``, ``proj_matR`` and
      ``baselineLR``; lengths in **mm**. There are no poses: a scene is not filmed.

    So every rig of a clip is a scene of its own, with one illumination. Its materials are only 0 and 3: frames tell
    that a reflection or what is behind glass hides the surface, not how polished it is.
    """

    name = "booster"
    worlds = ("room",)
    rate = 1.0

    def mounts(self) -> Mapping[str, Mount]:
        """``left`` and ``right``, 4112x3008.

        Calibration differs from scene to scene; focal length (57 degrees across) and baseline (80 mm) are nominal.
        """
        camera = Pinhole.from_focal(4112, 3008, 3757.0)
        beside = compose(np.eye(3), np.array([0.08, 0.0, 0.0]))
        return {"left": Mount(camera, np.eye(4)), "right": Mount(camera, beside)}

    def write_clip(self, root: Path, number: int, rigs: Sequence[Rig]) -> list[Path]:
        """Write one scene for every rig.

        Args:
            root: gets ``train``.
            number: of the clip, first part of its scenes' names.
            rigs: of :meth:`mounts`.

        Returns:
            The scenes' folders.

        Raises:
            InputError: a file cannot be written.
        """
        scenes = []
        for index, rig in enumerate(rigs):
            scene = root / "train" / "balanced" / f"Room{number:04d}_{index:06d}"
            left, right = rig["left"], rig["right"]
            motion = relative(known(left.pose), known(right.pose))
            motion[:3, 3] *= 1000
            disparities = {name: _disparity(frame, -motion[0, 3]) for name, frame in rig.items()}
            both = {
                "left": _seen_by_both(disparities["left"], disparities["right"], -1),
                "right": _seen_by_both(disparities["right"], disparities["left"], 1),
            }
            for name, frame in rig.items():
                camera = NUMBERS[name]
                write_image(scene / f"camera_{camera}" / "im0.png", frame.image)
                with writing(scene / f"disp_{camera}.npy") as temporary:
                    np.save(temporary, disparities[name])
                write_raster(scene / f"mask_{camera}.png", both[name].astype(np.uint8) * 255)
            write_raster(scene / "mask_cat.png", known(left.reflective).astype(np.uint8) * 3)
            calibration = _calibration(known(left.camera).K, known(right.camera).K, motion)
            write_text(scene / "calib_00-02.xml", calibration)
            scenes.append(scene)
        return scenes


def _disparity(frame: Frame, baseline: float) -> np.ndarray:
    """(H, W) float32 in pixels, of cameras ``baseline`` mm apart; 0 where depth is not known."""
    return (known(frame.camera).K[0, 0] * baseline / 1000 / z_depth(frame)).astype(np.float32)


def _seen_by_both(disparity: np.ndarray, other: np.ndarray, way: int) -> np.ndarray:
    """(H, W) bool: the other view has the same disparity where the pixel lands in it, ``way`` (1 right) from here."""
    width = disparity.shape[1]
    landing = np.rint(np.arange(width) + way * disparity).astype(int)
    there = np.take_along_axis(other, landing.clip(0, width - 1), axis=1)
    inside = (disparity > 0) & (there > 0) & (landing >= 0) & (landing < width)
    return inside & (np.abs(there - disparity) <= TOLERANCE)


def _calibration(left: np.ndarray, right: np.ndarray, motion: np.ndarray) -> str:
    """The XML of two camera matrices (3, 3) in pixels and the motion (4, 4) from left to right camera axes in mm."""
    matrices = {
        "mtxL": left,
        "mtxR": right,
        "R": motion[:3, :3],
        "T": motion[:3, 3:],
        "proj_matL": left @ np.eye(3, 4),
        "proj_matR": right @ motion[:3],
    }
    nodes = "".join(_node(name, matrix) for name, matrix in matrices.items())
    baseline = f"<baselineLR>{float(-motion[0, 3])!r}</baselineLR>\n"
    return f'<?xml version="1.0"?>\n<opencv_storage>\n{nodes}{baseline}</opencv_storage>\n'


def _node(name: str, matrix: np.ndarray) -> str:
    rows, columns = matrix.shape
    data = " ".join(repr(value) for value in matrix.ravel().tolist())
    return (
        f'<{name} type_id="opencv-matrix">\n  <rows>{rows}</rows>\n  <cols>{columns}</cols>\n  <dt>d</dt>\n'
        f"  <data>\n    {data}</data></{name}>\n"
    )
