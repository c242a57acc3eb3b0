"""SCARED: stereo endoscopy of pig cadavers with depth by structured light (Allan et al., arXiv 2101.01133)."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import yaml

from leadline.camera import Camera, Pinhole, RadialTangential
from leadline.data.cameras import pinhole
from leadline.data.dataset import DataSet, metric
from leadline.data.images import open_mask
from leadline.data.layout import Layout, known, z_depth
from leadline.data.lists import FrameId
from leadline.data.unpacking import UnpackedPaths, members, unpacked, unpacked_folder
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.frame import Frame
from leadline.geometry.lift import lift
from leadline.geometry.poses import compose, invert, relative
from leadline.io.atomic import write_json, write_text, writing
from leadline.io.images import image_size, write_image
from leadline.io.rasters import read_raster, write_raster
from leadline.io.reading import read_json, read_text
from leadline.io.video import VideoReader, write_video
from leadline.rig import Mount, Rig

#: Width and height of the images.
SIZE = (1280, 1024)
#: Every data set has so many keyframes; the last one comes without a video.
KEYFRAMES = 5
#: Frames a second of its videos.
RATE = 25.0
#: fx, fy, cx, cy that everyone uses, in widths and heights of the image, and without distortion.
MEAN = (0.82, 1.02, 0.5, 0.5)
#: What the files call each camera: of a keyframe, of exported frames, in frame_data, in endoscope_calibration.yaml.
NAMES = {"left": ("Left", "image_02", "L", "1"), "right": ("Right", "image_03", "R", "2")}
#: Test data, whose keyframes count from 0; lists of others call them by the number plus 1.
FROM_ZERO = (8, 9)


class Scared(DataSet):
    """Frames of SCARED, as downloaded (see :class:`ScaredLayout` for the files) or exported as for AF-SfMLearner.

    Folders may be called ``dataset_1/keyframe_1``, ``dataset1/keyframe1`` or ``test_dataset_8/keyframe_0``, and may lie
    in another one (``train``, ``test``). For each of them this is read:

    - images: ``image_02/data/%010d.png`` (right: ``image_03``; .jpg too), else ``data/rgb.mp4``;
    - depth: ``scene_points%06d.tiff`` in ``image_02/data/groundtruth``, ``image_02/data/scene_points`` or
      ``data/scene_points``, left over right or left alone (right frames then have no depth), else
      ``data/scene_points.tar.gz``;
    - poses: ``frame_data%06d.json`` in ``image_02/data/frame_data`` or ``data/frame_data``, else
      ``data/frame_data.tar.gz``; frames have no pose where there is neither.

    Videos and archives are unpacked to the cache folder when a frame of them is first asked for, the frames of the
    split only (5 MB for each depth map), and once for all processes. Numbers count from 1, as exported images and the
    field's lists do: frame n has ``scene_points`` n - 1. Number 0 is the keyframe itself, ``Left_Image.png`` with
    ``left_depth_map.tiff``.

    Besides the options of :class:`DataSet` it has:

    Args:
        intrinsics: ``mean``: :data:`MEAN`, as everyone does; ``file``: of each keyframe, with distortion.
    """

    name = "scared"
    source = "SCARED: Allan et al., arXiv 2101.01133"
    licence = "research only, by the rules of the challenge"
    splits = {
        "af-test": "551 frames of seven videos, the test list of AF-SfMLearner",
        "af-val": "1705 frames of six videos, its validation list",
        "af-train": "15351 frames, its training list",
        "video": "the eight videos of dataset 8 and 9, 5907 frames, in order",
        "keyframes": "the left image of every keyframe, with the depth that was measured for it",
        "all": "every frame of every video, of both cameras",
    }
    elsewhere = {
        "af-train": "it is splits/endovis/train_files.txt of github.com/ShuweiShao/AF-SfMLearner, 15351 lines",
    }
    counts = {"af-test": 551, "af-val": 1705, "af-train": 15351, "video": 5907}
    truths = {"points": "structured light of the keyframe, moved to each frame by the robot's poses"}
    tree = {
        "**/data/rgb.mp4": "videos, left over right (optional)",
        "**/image_0[23]/data/*.[pj][np]g": "exported images (optional)",
        "**/scene_points*.tiff": "XYZ in mm, left over right (optional)",
        "**/data/scene_points.tar.gz": "the same, packed (optional)",
        "**/frame_data*.json": "calibration and pose (optional)",
        "**/data/frame_data.tar.gz": "the same, packed (optional)",
        "**/*_Image.png": "the keyframes (optional)",
        "**/*_depth_map.tiff": "XYZ in mm of the keyframes (optional)",
        "**/endoscope_calibration.yaml": "intrinsics (optional)",
        "**/point_cloud.obj": "the keyframe's points (optional)",
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = None,
        truth: str | None = None,
        mask: str = "none",
        drop_highlights: bool = False,
        every: int = 1,
        intrinsics: str = "mean",
    ) -> None:
        self.intrinsics = self._one_of("intrinsics", intrinsics, ["mean", "file"])
        super().__init__(root, split, truth, "none", drop_highlights, every)
        self.paths = UnpackedPaths(self.paths, self.ids, self._unpack_image)
        self.mask = open_mask(mask, self.paths)

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        folders = self._folders
        if not folders:
            return []
        if split in ("af-test", "af-val"):
            return self._shipped(split)
        if split == "keyframes":
            found = [
                FrameId(sequence, 0, "left")
                for sequence, folder in folders.items()
                if (folder / "Left_Image.png").is_file()
            ]
        elif split == "video":
            videos = [name for number in FROM_ZERO for name in _of(folders, number)[: KEYFRAMES - 1]]
            found = [FrameId(name, number, "left") for name in videos for number in self._numbers(name, "left")]
        else:
            found = [
                FrameId(name, number, camera)
                for name in folders
                for camera in NAMES
                for number in self._numbers(name, camera)
            ]
        return found

    @cached_property
    def _folders(self) -> dict[str, Path]:
        """The keyframes' folders by the names of their sequences, in order."""
        found = {}
        for pattern in ("keyframe*", "*dataset*/keyframe*", "*/*dataset*/keyframe*"):
            for path in self.root.glob(pattern):
                full = self.root.resolve() / path.relative_to(self.root)
                match = re.search(r"dataset_?(\d+)/keyframe_?(\d+)$", full.as_posix())
                if match and path.is_dir():
                    found[int(match[1]), int(match[2])] = path
        return {f"dataset{dataset}/keyframe{keyframe}": found[dataset, keyframe] for dataset, keyframe in sorted(found)}

    def _folder(self, id: FrameId) -> Path:
        missing = self.root / id.sequence.replace("dataset", "dataset_").replace("keyframe", "keyframe_")
        return self._folders.get(id.sequence, missing)

    def _exported(self, sequence: str, camera: str) -> dict[int, Path]:
        """Exported images by their numbers."""
        return self._images_in(self._folder(FrameId(sequence, 1)) / NAMES[camera][1] / "data")

    def _numbers(self, sequence: str, camera: str) -> Collection[int]:
        """Of the frames of a camera."""
        folder = self._folder(FrameId(sequence, 1))
        if exported := self._exported(sequence, camera):
            return exported
        if (video := folder / "data" / "rgb.mp4").is_file():
            return range(1, self._once(("count", video), lambda: _count(video)) + 1)
        return [0] if (folder / f"{NAMES[camera][0]}_Image.png").is_file() else []

    def parse(self, line: str) -> FrameId:
        """``dataset3/keyframe4 390 l``; of dataset 8 and 9 keyframes count from 1, though those folders do from 0."""
        match = re.fullmatch(r"dataset_?(\d+)/keyframe_?(\d+)\s+(\d+)(?:\s+([lr23]))?", line)
        if not match:
            raise InputError("is not 'dataset3/keyframe4 390 l'")
        dataset, keyframe, number = (int(match[group]) for group in (1, 2, 3))
        if dataset in FROM_ZERO and f"dataset{dataset}/keyframe0" in self._folders:
            keyframe -= 1
        return FrameId(f"dataset{dataset}/keyframe{keyframe}", number, "right" if match[4] in ("r", "3") else "left")

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`; one of a video is there when the frame is read, or its entry of ``paths`` is."""
        folder = self._folder(id)
        if id.number == 0:
            return folder / f"{NAMES[id.camera][0]}_Image.png"
        if exported := self._exported(id.sequence, id.camera):
            return exported.get(id.number, folder / NAMES[id.camera][1] / "data" / f"{id.number:010d}.png")
        video = folder / "data" / "rgb.mp4"
        return self._kept(video, id, ".png") if video.is_file() else video

    def files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.files`: of frames that are not unpacked, the video and the archive."""
        image, *others = super().files(id)
        return [self._folder(id) / "data" / "rgb.mp4" if self._packed(id) else image, *others]

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        return [self._points(id)]

    def _packed(self, id: FrameId) -> bool:
        return id.number > 0 and not self._exported(id.sequence, id.camera)

    def _kept(self, source: Path, id: FrameId, suffix: str) -> Path:
        """The file of the cache for what a video or an archive holds of a frame."""
        return self._once(source, lambda: unpacked_folder(source)) / id.camera / f"{id.number:06d}{suffix}"

    @cached_property
    def _planned(self) -> dict[tuple[str, str], list[FrameId]]:
        """The frames of the split, by sequence and camera."""
        planned: dict[tuple[str, str], list[FrameId]] = {}
        for id in self.ids:
            planned.setdefault((id.sequence, id.camera), []).append(id)
        return planned

    def _unpacked(
        self, source: Path, id: FrameId, suffix: str, unpack: Callable[[Callable[[Path], bool]], None]
    ) -> Path:
        file = self._kept(source, id, suffix)
        if not file.is_file():
            planned = [self._kept(source, other, suffix) for other in self._planned.get((id.sequence, id.camera), [])]
            unpacked(file, planned, unpack)
        if not file.is_file():
            raise InputError(f"{source}: has no frame {id.number} of {id.sequence}, it is cut off or another one")
        return file

    def _unpack_image(self, id: FrameId) -> None:
        video = self._folder(id) / "data" / "rgb.mp4"
        if not self._packed(id) or self.image(id).is_file():
            return
        if not video.is_file():
            raise InputError(f"{video}: no such file, nor exported images in {NAMES[id.camera][1]}/data")

        def unpack(wanted: Callable[[Path], bool]) -> None:
            with VideoReader(video) as reader:
                for number, picture in enumerate(reader, 1):
                    if wanted(file := self._kept(video, replace(id, number=number), ".png")):
                        write_image(file, _half(picture, id.camera))

        self._unpacked(video, id, ".png", unpack)

    def load(self, id: FrameId) -> Frame:
        """See :meth:`DataSet.load`."""
        self._unpack_image(id)
        return super().load(id)

    def neighbour(self, id: FrameId, offset: int) -> FrameId | None:
        """See :meth:`DataSet.neighbour`; a keyframe has none."""
        other = replace(id, number=id.number + offset)
        there = id.number > 0 and other.number in self._numbers(id.sequence, id.camera)
        return other if there or not offset else None

    def _points(self, id: FrameId) -> Path:
        """The file of a frame's points, or the archive they are in."""
        folder = self._folder(id)
        if id.number == 0:
            return folder / f"{id.camera}_depth_map.tiff"
        places = ("image_02/data/groundtruth", "image_02/data/scene_points", "data/scene_points")
        for place in places:
            if (file := folder / place / f"scene_points{id.number - 1:06d}.tiff").is_file():
                return file
        return folder / "data" / "scene_points.tar.gz"

    def depth(self, id: FrameId) -> DepthMap | None:
        """In mm; unknown are 0 and what is not a number. None on the right where points are those of the left alone."""
        file = self._points(id)
        if file.suffix == ".gz":
            if not file.is_file():
                missing = f"scene_points{id.number - 1:06d}.tiff"
                raise InputError(
                    f"{file}: no such file, nor {missing} in data/scene_points or image_02/data/groundtruth"
                )
            return metric(read_raster(self._unpack_points(file, id)), "mm")
        points = read_raster(file)
        alone = id.number > 0 and not _both(points)
        return None if alone and id.camera == "right" else metric(_z(points, id.camera, file), "mm")

    def _unpack_points(self, archive: Path, id: FrameId) -> Path:
        def unpack(wanted: Callable[[Path], bool]) -> None:
            def file(number: int) -> Path:
                return self._kept(archive, replace(id, number=number + 1), ".tiff")

            for number, data in members(archive, r"scene_points(\d+)\.tiff", lambda number: wanted(file(number))):
                try:
                    points = tifffile.imread(io.BytesIO(data))
                except Exception as error:  # whatever the library raises for damaged files
                    raise InputError(
                        f"{archive}: scene_points{number:06d}.tiff is no readable TIFF ({error})"
                    ) from None
                write_raster(file(number), _z(points, id.camera, archive))

        return self._unpacked(archive, id, ".tiff", unpack)

    def _record(self, id: FrameId) -> dict[str, Any] | None:
        """What frame_data says of a frame; None where there is none."""
        folder = self._folder(id)
        places = [folder / place for place in ("image_02/data/frame_data", "data/frame_data")]
        archive = folder / "data" / "frame_data.tar.gz"
        for place in places:
            if place.is_dir():
                return read_json(place / f"frame_data{id.number - 1:06d}.json")
        if not archive.is_file():
            return None

        def unpack(wanted: Callable[[Path], bool]) -> None:
            def file(number: int) -> Path:
                return self._kept(archive, FrameId("", number + 1), ".json")

            for number, data in members(archive, r"frame_data(\d+)\.json", lambda number: wanted(file(number))):
                write_text(file(number), data.decode(errors="replace"))

        return read_json(unpacked(self._kept(archive, FrameId("", id.number), ".json"), [], unpack))

    def camera(self, id: FrameId) -> Camera:
        """See :meth:`DataSet.camera`, and ``intrinsics``."""
        self._unpack_image(id)
        height, width = image_size(self.image(id))
        if self.intrinsics == "mean":
            fx, fy, cx, cy = MEAN
            return Pinhole(width, height, fx * width, fy * height, cx * width, cy * height)
        matrix, lens = self._calibration(id)
        camera = pinhole(matrix, width, height, self._folder(id) / "endoscope_calibration.yaml", SIZE)
        if not lens.any():
            return camera
        bent = dict(zip(("k1", "k2", "p1", "p2", "k3"), lens.tolist(), strict=False))
        return RadialTangential(width, height, camera.fx, camera.fy, camera.cx, camera.cy, **bent)

    def _calibration(self, id: FrameId) -> tuple[np.ndarray, np.ndarray]:
        """(3, 3) and distortion (5,) of a camera."""
        *_, letter, digit = NAMES[id.camera]
        file = self._folder(id) / "endoscope_calibration.yaml"
        try:
            if file.is_file():
                stored = _opencv_yaml(file)
                matrix, lens = stored[f"M{digit}"]["data"], stored[f"D{digit}"]["data"]
            else:
                record = self._record(id)
                if record is None:
                    raise InputError(f"{file}: no such file, nor frame_data; intrinsics=mean needs neither")
                matrix, lens = (record["camera-calibration"][f"{what}{letter}"] for what in "KD")
            return np.array(matrix, float).reshape(3, 3), np.array(lens, float).ravel()
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{file}: should hold OpenCV's matrices M{digit} and D{digit}, or frame_data K{letter} and D{letter} "
                f"({type(error).__name__}: {error})"
            ) from None

    def pose(self, id: FrameId) -> np.ndarray | None:
        """See :meth:`DataSet.pose`; the world is that of the keyframe's left camera, in mm."""
        record = self._record(id) if id.number else None
        if record is None:
            return None
        try:
            pose = invert(np.array(record["camera-pose"], float).reshape(4, 4))
            if id.camera == "right":
                motion = record["camera-calibration"]
                rotation, translation = (np.array(motion[key], float) for key in "RT")
                pose = pose @ invert(compose(rotation.reshape(3, 3), translation.reshape(3)))
            return pose
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{self._folder(id)}: frame_data{id.number - 1:06d}.json should hold camera-pose, 4x4, and "
                f"camera-calibration ({type(error).__name__}: {error})"
            ) from None

    def time(self, id: FrameId) -> float | None:
        """At the videos' 25 frames a second; None for keyframes."""
        return (id.number - 1) / RATE if id.number else None


def _of(folders: Mapping[str, Path], dataset: int) -> list[str]:
    return [name for name in folders if name.startswith(f"dataset{dataset}/")]


def _half(stacked: np.ndarray, camera: str) -> np.ndarray:
    """Left above right."""
    rows = len(stacked) // 2
    return stacked[:rows] if camera == "left" else stacked[rows:]


def _both(points: np.ndarray) -> bool:
    """Points are of both cameras: an image is wider than high."""
    return len(points) > points.shape[1]


def _count(video: Path) -> int:
    """The frames of a video; those whose header does not tell are gone through."""
    with VideoReader(video) as reader:
        return reader.frame_count or sum(1 for _ in reader)


def _z(points: np.ndarray, camera: str, file: Path) -> np.ndarray:
    """(H, W) z of points (H, W, 3) of one camera, or of (2H, W, 3) of both, left above right."""
    if points.ndim != 3 or points.shape[2] != 3:
        raise InputError(f"{file}: holds {points.shape}, not XYZ of every pixel")
    if _both(points):
        points = _half(points, camera)
    return np.ascontiguousarray(points[..., 2], np.float32)


def _opencv_yaml(path: Path) -> dict[str, Any]:
    """What OpenCV's FileStorage wrote: its first line and its tags are none of YAML's."""
    lines = [line for line in read_text(path).splitlines() if not line.startswith(("%", "---"))]
    try:
        return yaml.safe_load("\n".join(lines).replace("!!opencv-matrix", ""))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is not what OpenCV writes ({' '.join(str(error).split())})") from None


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
    rate = RATE

    def mounts(self) -> Mapping[str, Mount]:
        """Those of dataset_1: 1280x1024, principal points far from the centre, 4.1 mm apart."""
        left = Pinhole(*SIZE, 1035.308, 1035.088, 596.955, 520.410)
        right = Pinhole(*SIZE, 1035.174, 1034.979, 688.362, 521.071)
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
