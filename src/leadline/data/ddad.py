"""DDAD, Dense Depth for Autonomous Driving (Guizilini et al., CVPR 2020), in TRI's dataset governance (DGP) format.

What is peculiar about it:

- Poses are sensor-to-world, extrinsics sensor-to-vehicle, quaternions w x y z by name. The four lidars are merged in
  the vehicle's axes, so ``LIDAR`` has no extrinsics, its pose is the vehicle's, and its intrinsics are zeros.
- Files are named by the time in units of 0.1 us; the JSON files take that number for microseconds, so their dates lie
  in the 25th century and seconds last ten.
- The front camera's focal length is twice the others'.
- DGP cuts projected lidar points down to whole pixels; ground truth here is made the same way.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from leadline.camera import Pinhole
from leadline.data.dataset import NONE, DataSet, metric
from leadline.data.images import own_name
from leadline.data.layout import Layout, known
from leadline.data.lidar import kept, project
from leadline.data.lists import FrameId
from leadline.data.transforms import nearest_pixels
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.frame import Frame
from leadline.geometry.poses import (
    compose,
    invert,
    matrix_to_quaternion,
    quaternion_to_matrix,
    relative,
    transform,
)
from leadline.io.atomic import write_json, writing
from leadline.io.images import read_image, write_image
from leadline.io.reading import read_json
from leadline.rig import Lidar, Mount, Rig, Sweep

#: Of a real scene: fx, fy, cx, cy in pixels of 1936x1216; quaternion w x y z and translation (m), camera-to-vehicle.
CAMERAS = {
    "CAMERA_01": ((2181.5, 2181.6, 928.0, 616.0), (0.51273, -0.52041, 0.48356, -0.48212), (1.486, 0.286, 1.562)),
    "CAMERA_05": ((1057.1, 1056.0, 964.7, 588.7), (0.66078, -0.67511, 0.23003, -0.23384), (1.521, 0.457, 1.575)),
    "CAMERA_06": ((1060.8, 1059.3, 946.6, 611.4), (0.22568, -0.22196, 0.66857, -0.67292), (1.533, -0.413, 1.533)),
    "CAMERA_07": ((1058.9, 1056.8, 966.0, 615.2), (0.67009, -0.68322, -0.20377, 0.20656), (1.105, 0.427, 1.563)),
    "CAMERA_08": ((1057.3, 1060.1, 966.4, 619.3), (0.21127, -0.20864, -0.67565, 0.67478), (1.095, -0.461, 1.555)),
    "CAMERA_09": ((1063.5, 1065.2, 944.7, 612.7), (0.49774, -0.49367, -0.49551, 0.51285), (0.147, 0.133, 1.530)),
}
#: Of the beams, in degrees: most of what the real lidars measure lies within 5 degrees of the horizon.
ELEVATIONS = (*np.arange(-25, -5, 1.25).tolist(), *np.arange(-5, 5, 0.25).tolist(), *np.arange(5, 13, 1.0).tolist())
#: Time of the first frame of the first clip, in units of 0.1 us since 1970, and from one clip to the next.
START, BETWEEN = 15_569_195_938_203_752, 10_000_000_000
LOG, NOTE = "leadline", "Rendered by leadline in the layout of DDAD."
#: DGP numbers its splits.
INDICES = {"train": "0", "val": "1"}
#: Where a mask may lie below the root: by scene, as SurroundDepth has them, one for all scenes, as VFDepth names them.
MASKS = (
    "masks/{scene}/{camera}.png",
    "masks/{scene}/{camera}_mask.png",
    "masks/{camera}/{scene}/mask.png",
    "masks/{camera}.png",
    "masks/{camera}_mask.png",
)


class _Datum(NamedTuple):
    """What one sensor measured."""

    file: str
    #: Quaternion x y z w and translation, sensor-to-world.
    pose: tuple[float, ...]
    #: Since 1970, in units of 0.1 us.
    ticks: int
    #: Height and width of an image.
    size: tuple[int, int]


class _Sample(NamedTuple):
    """What all sensors measured at one instant."""

    calibration: str
    cameras: Mapping[str, _Datum]
    lidars: Mapping[str, _Datum]


class _Scene(NamedTuple):
    folder: Path
    samples: Sequence[_Sample]


class Ddad(DataSet):
    """Frames of DDAD, see :class:`DdadLayout` for the files; also of other scenes in DGP format.

    The folder holds ``ddad.json`` (or ``scene_dataset*.json``), or a folder that holds it, or scenes alone, or is a
    scene; without the list of splits there is only ``all``. Names of files, times and poses are taken from the JSON
    files. A sequence is called like its scene's folder; a frame's number is that of its sample in the scene, in the
    order of time; frames of a split go instant by instant, each with its cameras in the order of their names.

    Ground truth is made as DGP's ``generate_depth_map`` makes it, which VFDepth and SurroundDepth evaluate with: lidar
    to world at the lidar's time, world to camera at the camera's, whole pixels by cutting off. Where points fall
    together the nearest stays; DGP keeps the last of the file.

    A mask of what the car itself hides, white where pixels may be used, becomes the frame's; it lies at the first of
    :data:`MASKS` that there is and is stretched to the image. DDAD has none of its own: VFDepth and SurroundDepth offer
    theirs. Lists have the name of an image a line, without its suffix, for all cameras of that instant, as
    SurroundDepth's.
    """

    name = "ddad"
    source = "DDAD: Guizilini et al., CVPR 2020"
    licence = "CC BY-NC-SA 4.0"
    splits = {
        "val": "the scenes of split 1 in ddad.json: 50 scenes, 3,950 instants of 6 cameras",
        "train": "the scenes of split 0 in ddad.json: 150 scenes, 12,650 instants of 6 cameras",
        "all": "every scene there is",
    }
    counts = {"val": 6 * 3950, "train": 6 * 12650}
    truths = {"lidar": "z-depth of the lidars' points, sparse, up to 250 m"}
    tree = {
        "**/rgb/CAMERA_*/*.*": "images, PNG or JPEG",
        "**/point_cloud/LIDAR/*.npz": "points x y z intensity, vehicle axes, m",
        "**/scene_*.json": "files, poses and times of a scene; the list of splits may be named so, too",
        "**/calibration/*.json": "intrinsics and extrinsics",
        "**/ddad*.json": "lists the scenes of the splits (optional)",
        "**/masks/**/*.png": "white where the car itself is not seen (optional)",
        "**/bounding_box_*/**/*": "not used (optional)",
        "**/*_segmentation_*/**/*": "not used (optional)",
        "**/ontology/*.json": "not used (optional)",
        "**/LICENSE*": "(optional)",
        "**/README*": "(optional)",
    }

    def __init__(self, *arguments: Any, **options: Any) -> None:
        #: Those read so far, by the sequence's name.
        self._scenes: dict[str, _Scene] = {}
        super().__init__(*arguments, **options)

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        return [
            FrameId(sequence, number, camera)
            for sequence in self._read(self._scene_files() if split == "all" else self._of_split(split))
            for number, sample in enumerate(self._scenes[sequence].samples)
            for camera in sample.cameras
        ]

    def _scene_files(self) -> list[Path]:
        paths = sorted(path for depth in ("", "*/", "*/*/") for path in self.root.glob(f"{depth}scene_*.json"))
        scenes = [path for path in paths if re.fullmatch(r"scene_[0-9a-f]+\.json", path.name)]
        return list({path.parent: path for path in reversed(scenes)}.values())[::-1]  # one a folder

    def _of_split(self, split: str) -> list[Path]:
        lists = [self.root / "ddad.json", *self.root.glob("*/ddad.json"), *self.root.glob("scene_dataset*.json")]
        file = next((path for path in lists if path.is_file()), None)
        if file is None:
            raise InputError(f"{lists[0]}: no such file, which lists the scenes of split {split}; split all needs none")
        try:
            return [file.parent / name for name in read_json(file)["scene_splits"][INDICES[split]]["filenames"]]
        except (KeyError, TypeError):
            raise InputError(f"{file}: has no list scene_splits, {INDICES[split]}, filenames (split {split})") from None

    def _read(self, paths: Iterable[Path]) -> list[str]:
        """The names of the scenes, which are read."""
        names = []
        for path in paths:
            folder = path.parent
            names.append(name := own_name(folder))
            if name not in self._scenes:
                self._scenes[name] = _Scene(folder, _samples(path))
        return names

    def parse(self, line: str) -> FrameId:
        """The name of an image without its suffix; the frame stands for all cameras of its instant."""
        stem = line.split()[0].removesuffix(".png")
        if stem not in self._instants:
            raise InputError("is not the name of an image, such as 15616458249936530, of the scenes there are")
        return self._instants[stem]

    @cached_property
    def _instants(self) -> dict[str, FrameId]:
        """By the names of their images."""
        return {
            Path(datum.file).stem: FrameId(sequence, number)
            for sequence in self._read(self._scene_files())
            for number, sample in enumerate(self._scenes[sequence].samples)
            for datum in sample.cameras.values()
        }

    def _parsed(self, file: Path) -> list[FrameId]:
        return [replace(id, camera=camera) for id in super()._parsed(file) for camera in self._sample(id).cameras]

    def _scene(self, id: FrameId) -> _Scene:
        scene = self._scenes.get(id.sequence)
        if scene is None or not 0 <= id.number < len(scene.samples):
            raise InputError(f"{self.root}: no frame {id} in the scenes of split {self.split}")
        return scene

    def _sample(self, id: FrameId) -> _Sample:
        return self._scene(id).samples[id.number]

    def _datum(self, id: FrameId) -> _Datum:
        cameras = self._sample(id).cameras
        if id.camera not in cameras:
            raise InputError(f"{self.root}: frame {id} is not there; cameras are {', '.join(cameras)}")
        return cameras[id.camera]

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        return self._scene(id).folder / self._datum(id).file

    def needs(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.needs`."""
        return [self._calibration_file(id)]

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        return [self._scene(id).folder / lidar.file for lidar in self._sample(id).lidars.values()][:1]

    def neighbour(self, id: FrameId, offset: int) -> FrameId | None:
        """See :meth:`DataSet.neighbour`."""
        other = replace(id, number=id.number + offset)
        samples = self._scene(id).samples
        there = 0 <= other.number < len(samples) and id.camera in samples[other.number].cameras
        return other if there and self.image(other).is_file() else None

    def _calibration_file(self, id: FrameId) -> Path:
        return self._scene(id).folder / "calibration" / f"{self._sample(id).calibration}.json"

    def _calibration(self, id: FrameId, sensor: str) -> tuple[dict[str, float], np.ndarray]:
        """Intrinsics and sensor-to-vehicle."""
        file = self._calibration_file(id)
        sensors = self._once(file, lambda: _sensors(file))
        if sensor not in sensors:
            raise InputError(f"{file}: does not have {sensor}, only {', '.join(sensors)}")
        return sensors[sensor]

    def camera(self, id: FrameId) -> Pinhole:
        """See :meth:`DataSet.camera`."""
        lens, _ = self._calibration(id, id.camera)
        bent = [key for key, value in lens.items() if value and key not in ("fx", "fy", "cx", "cy")]
        if bent or not lens.keys() >= {"fx", "fy", "cx", "cy"}:
            what = f"with {', '.join(bent)}" if bent else f"of {', '.join(lens)}"
            raise InputError(f"{self._calibration_file(id)}: {id.camera} {what} is not a pinhole of fx, fy, cx, cy")
        height, width = self._datum(id).size
        return Pinhole(width, height, lens["fx"], lens["fy"], lens["cx"], lens["cy"])

    def mounts(self, sequence: str) -> dict[str, Mount]:
        """The cameras of a scene, and where they sit on the vehicle, at its first instant.

        Raises:
            InputError: the scene is not one of the split, or the calibration is missing or wrong.
        """
        first = FrameId(sequence, 0)
        ids = [replace(first, camera=camera) for camera in self._sample(first).cameras]
        return {id.camera: Mount(self.camera(id), self._calibration(id, id.camera)[1]) for id in ids}

    def pose(self, id: FrameId) -> np.ndarray:
        """See :meth:`DataSet.pose`."""
        return _matrix(self._datum(id).pose)

    def time(self, id: FrameId) -> float:
        """Since 1970."""
        return self._datum(id).ticks / 1e7

    def more(self, id: FrameId) -> dict[str, Any]:
        """The mask, where there is one."""
        file = self._mask_file(id)
        if file is None:
            return {}
        mask = read_image(file).min(axis=2) > 127
        return {"mask": mask[nearest_pixels(mask.shape, self._datum(id).size)]}

    @property
    def masks(self) -> str:
        """Whether the vehicle's own parts are masked in any camera."""
        return "of the vehicle itself" if any(self._mask_file(id) for id in self.ids) else "none"

    def _mask_file(self, id: FrameId) -> Path | None:
        scene = self._scene(id).folder.resolve().name
        files = (self.root / mask.format(scene=scene, camera=id.camera) for mask in MASKS)
        return next((path for path in files if path.is_file()), None)

    def depth(self, id: FrameId) -> DepthMap | None:
        """In m; None where the lidar measured nothing at that instant."""
        lidar = next(iter(self._sample(id).lidars.values()), None)
        if lidar is None:
            return None
        file = self._scene(id).folder / lidar.file
        camera = self.camera(id)
        cut = replace(camera, cx=camera.cx - 0.5, cy=camera.cy - 0.5)  # rounding then cuts off
        motion = relative(_matrix(lidar.pose), self.pose(id))
        about = f"ddad {cut} {motion.tolist()}"
        values = kept([file], about, lambda: project(_points(file)[:, :3], motion, cut))
        return metric(values, "m")

    def rig(self, indices: Sequence[int]) -> Rig:
        """See :meth:`DataSet.rig`; with the vehicle's pose when the lidar measured, and, unless truth is none, its
        points in the vehicle's axes. Beams are not known: all are 0."""
        rig, id = super().rig(indices), self.ids[indices[0]]
        for name, lidar in self._sample(id).lidars.items():
            pose = _matrix(lidar.pose)
            body = pose @ invert(self._calibration(id, name)[1])
            if self.truth == NONE:
                return replace(rig, pose=body)
            points = _points(self._scene(id).folder / lidar.file).astype(np.float32)
            return replace(rig, pose=body, sweep=Sweep(points[:, :3], points[:, 3], np.zeros(len(points), int), pose))
        return replace(rig, pose=self.pose(id) @ invert(self._calibration(id, id.camera)[1]))


def _sensors(path: Path) -> dict[str, tuple[dict[str, float], np.ndarray]]:
    """What a file of calibration holds: intrinsics and sensor-to-vehicle, by the names of the sensors."""
    content = read_json(path)
    try:
        rows = zip(content["names"], content["intrinsics"], content["extrinsics"], strict=True)
        return {name: (lens, _matrix(_numbers(place))) for name, lens, place in rows}
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: is not a calibration: lists names, intrinsics, extrinsics") from None


def _samples(path: Path) -> list[_Sample]:
    """The samples of a scene's JSON file, in the order of time."""
    content, samples = read_json(path), []
    try:
        data = {datum["key"]: datum for datum in content["data"]}
        for sample in sorted(content["samples"], key=lambda sample: _time(sample["id"]["timestamp"])):
            kinds: dict[str, dict[str, _Datum]] = {"image": {}, "point_cloud": {}}
            for key in sample["datum_keys"]:
                name = data[key]["id"]["name"]
                for kind, datum in data[key]["datum"].items():
                    if kind in kinds:
                        size = datum.get("height", 0), datum.get("width", 0)
                        ticks = _time(data[key]["id"]["timestamp"])
                        kinds[kind][name] = _Datum(datum["filename"], _numbers(datum["pose"]), ticks, size)
            cameras, lidars = (dict(sorted(found.items())) for found in kinds.values())
            samples.append(_Sample(sample["calibration_key"], cameras, lidars))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: is not a scene in DGP format ({type(error).__name__}: {error})") from None
    return samples


def _time(timestamp: str) -> int:
    """In the units that files are named by."""
    return (datetime.fromisoformat(timestamp) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _numbers(pose: Mapping[str, Mapping[str, float]]) -> tuple[float, ...]:
    """Quaternion x y z w and translation of a pose, as :func:`_pose` writes it."""
    turn, place = pose["rotation"], pose["translation"]
    return (*(turn[f"q{axis}"] for axis in "xyzw"), *(place[axis] for axis in "xyz"))


def _matrix(pose: tuple[float, ...]) -> np.ndarray:
    return compose(quaternion_to_matrix(np.array(pose[:4])), np.array(pose[4:]))


def _points(path: Path) -> np.ndarray:
    """(N, 4) x y z intensity."""
    try:
        with np.load(path) as stored:
            points = stored["data"]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: is not an npz file of points called data ({error})") from None
    if points.ndim != 2 or points.shape[1] != 4:
        raise InputError(f"{path}: holds points of shape {points.shape}, not (N, 4): x y z intensity")
    return points


class DdadLayout(Layout):
    """``ddad.json`` and ``NNNNNN/{scene_HASH.json, calibration, rgb/CAMERA_NN, point_cloud/LIDAR}``, depth from lidar.

    As in https://github.com/TRI-ML/DDAD and its ``ddad_train_val``. There are no boxes and hence no ontologies; one
    lidar on the roof stands for the four. The names of files and the keys are hashes of what they name, not of what
    they hold, so that a clip written again replaces itself.
    """

    name = "ddad"
    worlds = ("street",)
    rate = 10.0
    lidar: ClassVar[Lidar] = Lidar(
        ELEVATIONS, 1024, compose(np.eye(3), np.array([0.8, 0.0, 1.7])), reach=(1.0, 250.0), noise=0.01
    )

    def mounts(self) -> Mapping[str, Mount]:
        """The six cameras of a real car, 1936x1216."""
        return {
            name: Mount(Pinhole(1936, 1216, *lens), compose(quaternion_to_matrix(np.roll(turn, -1)), np.array(place)))
            for name, (lens, turn, place) in CAMERAS.items()
        }

    def write_clip(self, root: Path, number: int, rigs: Sequence[Rig]) -> list[Path]:
        """Write the scene ``NNNNNN``; see :meth:`Layout.write_clip`."""
        folder, calibration = root / f"{number:06d}", _hash("calibration", number)
        extrinsics = {"LIDAR": np.eye(4)} | {name: mount.pose for name, mount in self.mounts().items()}
        intrinsics: dict[str, dict[str, float]] = {}
        data: list[dict[str, Any]] = []
        samples: list[dict[str, Any]] = []
        for index, rig in enumerate(rigs):
            ticks = _ticks(number, rig.time)
            ids = {"LIDAR": _id("LIDAR", ticks)}
            datums = {"LIDAR": self._write_lidar(folder, ticks, rig)}
            intrinsics["LIDAR"] = dict.fromkeys(("fx", "fy", "cx", "cy", "skew"), 0.0)
            for name, frame in rig.items():
                ticks = _ticks(number, frame.time)
                ids[name], datums[name] = _id(name, ticks), _write_image(folder, ticks, name, frame)
                lens = {key: float(getattr(known(frame.camera), key)) for key in ("fx", "fy", "cx", "cy")}
                intrinsics[name] = lens | {"skew": 0.0}
            data += [
                {
                    "datum": datums[name],
                    "id": ids[name],
                    "key": _hash("datum", number, name, index),
                    "next_key": _hash("datum", number, name, index + 1) if index + 1 < len(rigs) else "",
                    "prev_key": _hash("datum", number, name, index - 1) if index else "",
                }
                for name in datums
            ]
            samples.append(
                {
                    "calibration_key": calibration,
                    "datum_keys": [_hash("datum", number, name, index) for name in datums],
                    "id": _id("", _ticks(number, rig.time)),
                    "metadata": {},
                }
            )
        sensors = {
            "extrinsics": [_pose(extrinsics[name]) for name in intrinsics],
            "intrinsics": list(intrinsics.values()),
            "names": list(intrinsics),
        }
        write_json(folder / "calibration" / f"{calibration}.json", sensors, indent=2, sort_keys=True)
        scene = {"data": data, "samples": samples, "log": LOG, "name": "", "description": NOTE, "metadata": {}}
        write_json(root / _scene(number), scene | {"ontologies": {}}, indent=2, sort_keys=True)
        return [folder]

    def finish(self, root: Path, clips: int) -> None:
        """Write ``ddad.json``: the last quarter of the scenes validates, as in DDAD; a single one does both."""
        scenes = [_scene(number) for number in range(clips)]
        validating = -(-clips // 4)
        metadata = {
            "available_annotation_types": [],
            "bucket_path": {"value": ""},
            "creation_date": "2020-05-08",
            "creator": LOG,
            "description": NOTE,
            "name": "DDAD",
            "origin": "INTERNAL",
            "raw_path": {"value": ""},
            "version": "1",
        }
        # DGP numbers its splits: 0 trains, 1 validates
        splits = {"0": scenes[:-validating] or scenes, "1": scenes[-validating:]}
        named = {split: {"filenames": members} for split, members in splits.items()}
        write_json(root / "ddad.json", {"metadata": metadata, "scene_splits": named}, indent=2, sort_keys=True)

    def _write_lidar(self, folder: Path, ticks: int, rig: Rig) -> dict[str, Any]:
        """Write one sweep, and return its ``datum``."""
        sweep = known(rig.sweep)
        points = transform(self.lidar.pose, sweep.points.astype(np.float64))
        intensity = np.rint(sweep.intensity * 255) / 255
        filename = f"point_cloud/LIDAR/{ticks}.npz"
        with writing(folder / filename) as temporary:
            np.savez_compressed(temporary, data=np.column_stack([points, intensity]))
        return {
            "point_cloud": {
                "annotations": {},
                "filename": filename,
                "metadata": {},
                "point_fields": [],
                "point_format": ["X", "Y", "Z", "INTENSITY"],
                "pose": _pose(sweep.pose @ invert(self.lidar.pose)),
            }
        }


def _write_image(folder: Path, ticks: int, name: str, frame: Frame) -> dict[str, Any]:
    """Write one image, and return its ``datum``."""
    filename = f"rgb/{name}/{ticks}.png"
    write_image(folder / filename, frame.image)
    return {
        "image": {
            "annotations": {},
            "channels": 3,
            "filename": filename,
            "height": frame.height,
            "metadata": {},
            "pose": _pose(known(frame.pose)),
            "width": frame.width,
        }
    }


def _scene(number: int) -> str:
    return f"{number:06d}/scene_{_hash('scene', number)}.json"


def _hash(*parts: str | int) -> str:
    return hashlib.sha1(repr(parts).encode()).hexdigest()


def _ticks(number: int, time: float | None) -> int:
    return START + number * BETWEEN + round(known(time) * 1e7)


def _id(name: str, ticks: int) -> dict[str, str]:
    moment = datetime(1970, 1, 1) + timedelta(microseconds=ticks)
    return {"index": "0", "log": LOG, "name": name, "timestamp": moment.isoformat(timespec="microseconds") + "Z"}


def _pose(pose: np.ndarray) -> dict[str, dict[str, float]]:
    turn = zip(("qx", "qy", "qz", "qw"), matrix_to_quaternion(pose[:3, :3]).tolist(), strict=True)
    return {"rotation": dict(turn), "translation": dict(zip("xyz", pose[:3, 3].tolist(), strict=True))}
