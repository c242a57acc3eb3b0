"""Booster (Zama Ramirez et al., CVPR 2022, TPAMI 2024): stereo pairs of mirrors, glass and polished things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from leadline.camera import Camera, Pinhole
from leadline.data.cameras import pinhole
from leadline.data.dataset import DataSet, metric
from leadline.data.images import own_name
from leadline.data.layout import Layout, known, z_depth
from leadline.data.lists import FrameId
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.frame import Frame
from leadline.geometry.poses import compose, relative
from leadline.io.atomic import write_text, writing
from leadline.io.depth_files import read_depth
from leadline.io.images import image_size, write_image
from leadline.io.rasters import read_raster, write_raster
from leadline.io.reading import read_text
from leadline.rig import Mount, Rig

#: The number of a camera in the names of its files.
NUMBERS = {"left": "00", "right": "02"}
#: Width and height of the images of both.
SIZE = (4112, 3008)
#: A pixel is seen by both cameras where their disparities differ by no more than this many pixels.
TOLERANCE = 1.0


class Booster(DataSet):
    """Images of Booster, see :class:`BoosterLayout` for the files.

    The folder is the one with ``train`` in it, ``train`` itself, ``balanced``, or one that holds scenes; a sequence is
    called ``balanced/SCENE`` in all of them. Images are called ``im0.png`` or, as in the challenges, ``0000.png``. A
    frame's number is its illumination, all of which share the scene's truth; there is no next frame in time. The
    scene's axes are those of its left camera, in m.

    Splits hold left images; the right one of a pair is ``load(replace(id, camera="02"))``.
    """

    name = "booster"
    source = "Booster: Zama Ramirez et al., CVPR 2022, TPAMI 2024"
    licence = "research only"
    splits = {
        "balanced-train": "left images of train/balanced in every illumination: 228 of 38 scenes",
        "unbalanced-train": "left images of train/unbalanced in every illumination",
        "all": "every image of every camera",
    }
    counts = {"balanced-train": 228}
    film = False
    truths = {"disparity": "z-depth from the disparity of space-time stereo, made with the surfaces painted over"}
    tree = {
        "**/camera_0?/*.png": "images, one of each illumination",
        "**/disp_0?.npy": "disparity in pixels of that camera; 0 unknown (missing in test scenes)",
        "**/calib_00-0?.xml": "calibration of the pair, mm",
        "**/mask_0?.png": "255 where the other camera sees the pixel too (optional)",
        "**/mask_cat.png": "material of the left camera's pixels, 0 diffuse to 3 mirror or glass (optional)",
    }

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        setup = split.removesuffix("-train")
        return [
            FrameId(scene, number, camera)
            for scene, folder in self._scenes.items()
            if split == "all" or (scene.startswith(f"{setup}/") and own_name(folder / "../..") != "test")
            for camera in (("00", "01", "02") if split == "all" else ("00",))
            for number in self._images(folder / f"camera_{camera}")
        ]

    @cached_property
    def _scenes(self) -> dict[str, Path]:
        """The folders of scenes, by ``SETUP/SCENE``; what is in no folder called ``unbalanced`` is balanced."""
        levels = ("*/", "*/*/", "*/*/*/", "*/*/*/*/")
        folders = sorted(path.parent for level in levels for path in self.root.glob(f"{level}camera_00"))
        setups = {path: "unbalanced" if own_name(path.parent) == "unbalanced" else "balanced" for path in folders}
        return dict(sorted((f"{setup}/{path.name}", path) for path, setup in setups.items()))

    def _scene(self, id: FrameId) -> Path:
        return self._scenes.get(id.sequence, self.root / "train" / id.sequence)

    def _images(self, folder: Path) -> dict[int, Path]:
        return self._images_in(folder, "im") or self._images_in(folder)

    def parse(self, line: str) -> FrameId:
        """``SCENE/camera_00/im0.png`` below the folder of the balanced scenes, and whatever follows."""
        scene, _, name = line.split()[0].partition("/camera_")
        camera, _, image = name.partition("/")
        number = image.removeprefix("im").removesuffix(".png")
        if not number.isdigit() or len(camera) != 2:
            raise InputError("is not SCENE/camera_00/im0.png")
        setup = "unbalanced" if "unbalanced" in scene.split("/") else "balanced"
        return FrameId(f"{setup}/{scene.rpartition('/')[2]}", int(number), camera)

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        folder = self._scene(id) / f"camera_{id.camera}"
        return self._images(folder).get(id.number, folder / f"im{id.number}.png")

    def _calibration(self, id: FrameId) -> Path:
        pairs = ["01", "02"] if id.camera == "01" else ["02", "01"]
        scene = self._scene(id)
        files = [scene / f"calib_00-{other}.xml" for other in pairs]
        return next((file for file in files if file.is_file()), files[0])

    def needs(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.needs`."""
        return [self._calibration(id)]

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`; split ``all`` has test scenes, and a camera, without."""
        file = self._scene(id) / f"disp_{id.camera}.npy"
        return [] if self.split == "all" and not file.is_file() else [file]

    def depth(self, id: FrameId) -> DepthMap | None:
        """In m, of the pixels whose disparity is known; split ``all`` also has frames without."""
        files = self.depth_files(id)
        if not files:
            return None
        disparity, valid, _ = read_depth(files[0], invalid=(0,))
        matrix, baseline = _read_calibration(self._calibration(id), id.camera)
        values = np.divide(matrix[0, 0] * baseline, disparity, out=np.zeros_like(disparity), where=valid)
        return metric(values, "m")

    def camera(self, id: FrameId) -> Camera:
        """See :meth:`DataSet.camera`; images are rectified."""
        file = self._calibration(id)
        height, width = image_size(self.image(id))
        return pinhole(_read_calibration(file, id.camera)[0], width, height, file, SIZE)

    def pose(self, id: FrameId) -> np.ndarray:
        """See :meth:`DataSet.pose`; the world is what the left camera of the scene sees."""
        _, baseline = _read_calibration(self._calibration(id), id.camera)
        return compose(np.eye(3), np.array([0.0 if id.camera == "00" else baseline, 0.0, 0.0]))

    def more(self, id: FrameId) -> dict[str, Any]:
        """``semantics``, the material of the left camera's pixels, 0 diffuse to 3 transparent or mirror, and
        ``reflective``, materials 2 and 3 (the "ToM" pixels of evaluations)."""
        file = self._scene(id) / "mask_cat.png"
        if id.camera != "00" or not file.is_file():
            return {}
        material = read_raster(file)
        material = material if material.ndim == 2 else material[..., 0]
        return {"semantics": material, "reflective": material >= 2}


def _read_calibration(path: Path, camera: str) -> tuple[np.ndarray, float]:
    """(3, 4) projection in pixels of a camera's rectified images, and the distance of the pair's cameras in m."""
    try:
        nodes = ElementTree.fromstring(read_text(path))
        name = "proj_matL" if camera == "00" else "proj_matR"
        numbers = nodes.findtext(f"{name}/data", "").split()
        matrix = np.array([float(number) for number in numbers]).reshape(3, 4)
        return matrix, float(nodes.findtext("baselineLR", "")) / 1000
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path}: should hold proj_matL, proj_matR (3x4) and baselineLR ({error})") from None


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
        camera = Pinhole.from_focal(*SIZE, 3757.0)
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
