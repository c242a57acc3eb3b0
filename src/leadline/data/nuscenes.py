"""nuScenes (Caesar et al., CVPR 2020), six cameras and a lidar, as nuscenes-devkit reads it.

What is peculiar about it:

- Two key frames a second make ``samples``; what was seen between them makes ``sweeps`` and belongs to the sample that
  follows. Everything is found through tables of records that name each other by tokens; quaternions are w x y z.
- Every measurement has a moment and an ego pose of its own. A lidar point reaches an image through the lidar's
  calibration and ego pose, the world, and the ego pose and calibration of the camera.
- The lidar's axes are x right, y forward, z up. Its files hold x, y, z, intensity of 0 to 255 and the beam, the lowest
  first, as float32.
- The rear camera's field of view is wider than the others'.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import re
import shutil
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from leadline.camera import Camera, Pinhole
from leadline.data.dataset import NONE, DataSet, metric
from leadline.data.layout import Layout, known
from leadline.data.lidar import kept, project, read_points
from leadline.data.lists import FrameId
from leadline.depth import DepthMap
from leadline.errors import ConfigError, InputError
from leadline.geometry.poses import compose, invert, matrix_to_quaternion, quaternion_to_matrix, relative
from leadline.io.atomic import write_json, writing
from leadline.io.images import write_image
from leadline.io.rasters import write_raster
from leadline.io.reading import read_json
from leadline.rig import Lidar, Mount, Rig, Sweep

#: Of a real scene: focal length, cx, cy in pixels of 1600x900; quaternion w x y z and translation (m), camera-to-ego.
CAMERAS = {
    "CAM_FRONT": ((1266.4, 816.3, 491.5), (0.4998, -0.50303, 0.49978, -0.49737), (1.701, 0.016, 1.511)),
    "CAM_FRONT_RIGHT": ((1260.8, 808.0, 495.3), (0.20603, -0.20269, 0.68245, -0.67136), (1.551, -0.493, 1.496)),
    "CAM_BACK_RIGHT": ((1259.5, 807.3, 501.2), (0.12281, -0.1324, -0.70043, 0.6905), (1.015, -0.481, 1.562)),
    "CAM_BACK": ((809.2, 829.2, 481.8), (0.50379, -0.4974, -0.49419, 0.50455), (0.028, 0.003, 1.579)),
    "CAM_BACK_LEFT": ((1256.7, 792.1, 492.8), (0.69242, -0.70316, -0.11648, 0.11203), (1.036, 0.485, 1.591)),
    "CAM_FRONT_LEFT": ((1272.6, 826.6, 479.8), (0.67573, -0.67363, 0.21214, -0.21123), (1.524, 0.495, 1.509)),
}
LIDAR = "LIDAR_TOP"
#: The axes of the files, x right and y forward, in those of ``Lidar``, x forward and y left.
AXES = np.array([[0.0, 1.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
#: The frames of a second make two samples.
RATE, STRIDE = 12, 6
#: The devkit's splits go by the names of scenes; those of v1.0-mini, the second and the sixth validate.
SCENES = (
    "scene-0061", "scene-0103", "scene-0553", "scene-0655", "scene-0757",
    "scene-0916", "scene-0796", "scene-1077", "scene-1094", "scene-1100",
)  # fmt: skip
VERSION = "v1.0-mini"
TABLES = (
    "category", "attribute", "visibility", "instance", "sensor", "calibrated_sensor", "ego_pose", "log", "scene",
    "sample", "sample_data", "sample_annotation", "map",
)  # fmt: skip
#: Time of the first frame of the first clip, in us since 1970, and from one clip to the next: the devkit sorts by it.
START, BETWEEN = 1_532_402_927_000_000, 1_000_000_000


#: Cameras around the car, as SurroundDepth goes.
RING = ("CAM_FRONT", "CAM_FRONT_LEFT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT", "CAM_FRONT_RIGHT")
#: Key frame k of a scene has the number k times this; what a camera saw after it, up to the next, counts on from there.
NUMBERS = 100
#: Tables that have a split, the best first; those of "all" serve lists, too.
VERSIONS = {
    "val": ("v1.0-trainval",),
    "train": ("v1.0-trainval",),
    "val-vfdepth": ("v1.0-trainval",),
    "mini-val": ("v1.0-mini", "v1.0-trainval"),
    "mini-train": ("v1.0-mini", "v1.0-trainval"),
    "test": ("v1.0-test",),
    "all": ("v1.0-trainval", "v1.0-mini", "v1.0-test"),
}
MINI_VAL = ("scene-0103", "scene-0916")
#: Scenes of val by night; VFDepth's list is val without them.
NIGHT = tuple(f"scene-{number}" for number in range(1059, 1074))
#: A record of a table whose records hold no records.
_RECORD = re.compile(rb"\{[^{}]*\}")
_TOKEN, _SAMPLE = (re.compile(rb'"%s"\s*:\s*"([^"]*)"' % key) for key in (b"token", b"sample_token"))


class _Sensor(NamedTuple):
    """A calibrated sensor."""

    channel: str
    #: (4, 4) sensor-to-ego.
    pose: np.ndarray
    #: 3x3 in pixels; empty where it is no camera.
    matrix: list[list[float]]


class _Seen(NamedTuple):
    """What a sensor measured at one moment."""

    file: str
    #: In us since 1970.
    time: int
    sensor: _Sensor
    #: (7,) ego-to-world: quaternion w x y z and translation.
    ego: np.ndarray
    #: Height and width of an image.
    size: tuple[int, int]


def _pose(turn: Sequence[float], place: Sequence[float]) -> np.ndarray:
    """(4, 4) of a quaternion w x y z and a translation."""
    return compose(quaternion_to_matrix(np.roll(turn, -1)), np.array(place))


class NuScenes(DataSet):
    """Key frames of nuScenes, see :class:`NuScenesLayout` for the files, with ground truth from the lidar.

    The folder holds ``samples``, ``sweeps`` and the tables of one or more versions. A frame of key frame k of a scene
    has the number 100 k, those its camera took after it, at 12 Hz, count on from there: they are its neighbours, but of
    no split, and have no depth. Scenes go by their names, key frames by time, and the cameras of one go around the car
    from the front to the left. Only scenes of the split are known.

    Ground truth is made as SurroundDepth and VFDepth make it: lidar to ego to world at the lidar's time, world to ego
    to camera at the camera's, the nearest pixel, no least distance. Where points fall together the nearest stays;
    theirs keep the last of the file.

    Lists have a sample's token a line, for all its cameras, as SurroundDepth's and VFDepth's.

    The two large tables are read record by record, and only what belongs to the split stays in memory: some 700 bytes
    a frame, neighbours included.
    """

    name = "nuscenes"
    source = "nuScenes: Caesar et al., CVPR 2020"
    licence = "CC BY-NC-SA 4.0, nuScenes' terms of use"
    splits = {
        "val": "the 150 scenes of the devkit's val: 6,019 key frames of 6 cameras",
        "train": "the other scenes of v1.0-trainval: 28,130 key frames of 6 cameras",
        "val-vfdepth": "val without its 15 scenes by night, as VFDepth: 5,417 key frames of 6 cameras",
        "mini-val": "the devkit's mini_val: 2 scenes",
        "mini-train": "the devkit's mini_train: 8 scenes",
        "test": "v1.0-test, which has no annotations: 6,008 key frames of 6 cameras",
        "all": "key frames whose image is there, of v1.0-trainval, else v1.0-mini, else v1.0-test",
    }
    counts = {
        split: len(RING) * instants
        for split, instants in {
            "val": 6019, "train": 28130, "val-vfdepth": 5417, "mini-val": 81, "mini-train": 323, "test": 6008
        }.items()
    }  # fmt: skip
    truths = {"lidar": "z-depth of the lidar's points, sparse, of key frames only"}
    tree = {
        "samples/CAM_*/*.jpg": "images of key frames",
        "samples/LIDAR_TOP/*.pcd.bin": "points x y z intensity ring, float32, of key frames",
        "v1.0-*/*.json": "tables: what was measured where and when",
        "sweeps/CAM_*/*.jpg": "images between key frames: neighbours (optional)",
        "sweeps/LIDAR_TOP/*.pcd.bin": "not used (optional)",
        "s*s/RADAR_*/*.pcd": "not used (optional)",
        "maps/**/*": "not used (optional)",
        "can_bus/**/*": "not used (optional)",
        "lidarseg/**/*": "not used (optional)",
        "panoptic/**/*": "not used (optional)",
        "LICENSE*": "(optional)",
        ".v1.0-*.txt": "(optional)",
    }

    def __init__(self, *arguments: Any, **options: Any) -> None:
        #: What has been read so far, by scene and channel, then by number, in the order of time.
        self._seen: dict[tuple[str, str], dict[int, _Seen]] = {}
        super().__init__(*arguments, **options)

    def frames(self, split: str) -> list[FrameId]:
        """See :meth:`DataSet.frames`."""
        val = {f"{id.sequence}-{id.number:04d}" for id in self._shipped("val")}
        chosen = {
            "val": lambda scene: scene in val,
            "train": lambda scene: scene not in val,
            "val-vfdepth": lambda scene: scene in val and scene not in NIGHT,
            "mini-val": lambda scene: scene in MINI_VAL,
            "mini-train": lambda scene: scene in SCENES and scene not in MINI_VAL,
        }.get(split, lambda scene: True)
        ids = self._rigs(id for id in self._samples.values() if chosen(id.sequence))
        if split == "all":
            there = {path.name for path in self.root.glob("samples/CAM_*/*")}
            return [id for id in ids if self.image(id).name in there]
        return ids

    @cached_property
    def _tables(self) -> Path:
        """The folder of the tables that have the split."""
        wanted = VERSIONS.get(self.split, VERSIONS["all"])
        there = [version for version in VERSIONS["all"] if (self.root / version).is_dir()]
        found = next((version for version in wanted if version in there), None)
        if found is None:
            others = [split for split, versions in VERSIONS.items() if set(versions) & set(there)]
            raise InputError(
                f"{self.root / wanted[0]}: no such folder, which has the tables of split {self.split}"
                + (f"; {', '.join(there)} has splits {', '.join(others)}" if there else "")
            )
        return self.root / found

    @cached_property
    def _samples(self) -> dict[str, FrameId]:
        """Key frames by their tokens, scene by scene in the order of time."""
        scenes, samples = (read_json(self._tables / f"{name}.json") for name in ("scene", "sample"))
        try:
            names = {scene["token"]: scene["name"] for scene in scenes}
            count: Counter[str] = Counter()
            found = []
            for sample in sorted(samples, key=lambda sample: (names[sample["scene_token"]], sample["timestamp"])):
                name = names[sample["scene_token"]]
                found.append((sample["token"], FrameId(name, NUMBERS * count[name])))
                count[name] += 1
        except (KeyError, TypeError):
            raise InputError(f"{self._tables}: scene.json and sample.json do not fit together") from None
        return dict(found)

    @cached_property
    def _sensors(self) -> dict[str, _Sensor]:
        """Cameras and lidar by the tokens of their calibrations."""
        sensors, calibrated = (read_json(self._tables / f"{name}.json") for name in ("sensor", "calibrated_sensor"))
        try:
            channels = {sensor["token"]: sensor["channel"] for sensor in sensors}
            return {
                record["token"]: _Sensor(
                    channel, _pose(record["rotation"], record["translation"]), record["camera_intrinsic"]
                )
                for record in calibrated
                if (channel := channels[record["sensor_token"]]) in (*RING, LIDAR)
            }
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{self._tables}: sensor.json and calibrated_sensor.json do not fit together") from None

    def _rigs(self, instants: Iterable[FrameId]) -> list[FrameId]:
        """All cameras of some key frames, whose scenes are read."""
        instants = list(instants)
        self._read({id.sequence for id in instants} - {scene for scene, _ in self._seen})
        cameras = [(id, replace(id, camera=camera)) for id in instants for camera in RING]
        return [id for instant, id in cameras if instant.number in self._seen.get((id.sequence, id.camera), {})]

    def _read(self, scenes: set[str]) -> None:
        samples = {token.encode(): id for token, id in self._samples.items() if id.sequence in scenes}
        try:
            measured = [
                (
                    record["timestamp"],
                    samples[record["sample_token"].encode()],
                    record["is_key_frame"],
                    record["filename"],
                    sensor,
                    record["ego_pose_token"],
                    (record["height"], record["width"]),
                )
                for record in _rows(self._tables / "sample_data.json", _SAMPLE, samples.keys())
                if (sensor := self._sensors.get(record["calibrated_sensor_token"]))
                and (sensor.channel != LIDAR or record["is_key_frame"])
            ]
            wanted = {token.encode() for *_, token, _ in measured}
            egos = {
                record["token"]: np.array([*record["rotation"], *record["translation"]])
                for record in _rows(self._tables / "ego_pose.json", _TOKEN, wanted)
            }
            last: dict[tuple[str, str], int] = {}
            for time, sample, is_key, file, sensor, token, size in sorted(measured, key=lambda one: one[0]):
                chain = sample.sequence, sensor.channel
                if is_key:
                    last[chain] = sample.number
                elif chain in last:
                    last[chain] += 1
                else:
                    continue  # before the first key frame
                self._seen.setdefault(chain, {})[last[chain]] = _Seen(file, time, sensor, egos[token], size)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{self._tables}: sample_data.json does not fit ego_pose.json or the other tables "
                f"({type(error).__name__}: {error})"
            ) from None

    def parse(self, line: str) -> FrameId:
        """A sample's token; the frame stands for all cameras of that key frame."""
        token = line.split()[0]
        if token not in self._samples:
            raise InputError(f"is not the token of a sample in {self._tables.name}")
        return self._samples[token]

    def _parsed(self, file: Path) -> list[FrameId]:
        return self._rigs(super()._parsed(file))

    def _at(self, id: FrameId) -> _Seen:
        seen = self._seen.get((id.sequence, id.camera), {}).get(id.number)
        if seen is None:
            raise InputError(f"{self._tables}: no frame {id} in the scenes of split {self.split}")
        return seen

    def _lidar(self, id: FrameId) -> _Seen | None:
        return self._seen.get((id.sequence, LIDAR), {}).get(id.number)

    def image(self, id: FrameId) -> Path:
        """See :meth:`DataSet.image`."""
        return self.root / self._at(id).file

    def depth_files(self, id: FrameId) -> list[Path]:
        """See :meth:`DataSet.depth_files`."""
        lidar = self._lidar(id)
        return [] if lidar is None else [self.root / lidar.file]

    def neighbour(self, id: FrameId, offset: int) -> FrameId | None:
        """See :meth:`DataSet.neighbour`; at 12 Hz.

        Raises:
            InputError: the frame is not of a scene of the split.
        """
        self._at(id)
        numbers = list(self._seen[id.sequence, id.camera])
        place = numbers.index(id.number) + offset
        other = replace(id, number=numbers[place]) if 0 <= place < len(numbers) else None
        return other if other and self.image(other).is_file() else None

    def camera(self, id: FrameId) -> Camera:
        """See :meth:`DataSet.camera`."""
        return self._camera(self._at(id))

    def _camera(self, seen: _Seen) -> Camera:
        height, width = seen.size
        try:
            return Camera.from_dict({"K": seen.sensor.matrix, "width": width, "height": height})
        except (InputError, ConfigError) as error:
            raise InputError(f"{self._tables / 'calibrated_sensor.json'}: {seen.sensor.channel}: {error}") from None

    def mounts(self, sequence: str) -> dict[str, Mount]:
        """The cameras of a scene, and where they sit on the car.

        Raises:
            InputError: the scene is not one of the split, or has a camera without intrinsics.
        """
        first = {camera: next(iter(self._seen.get((sequence, camera), {}).values()), None) for camera in RING}
        mounts = {camera: Mount(self._camera(seen), seen.sensor.pose) for camera, seen in first.items() if seen}
        if not mounts:
            raise InputError(f"{self._tables}: no scene {sequence} in split {self.split}")
        return mounts

    def pose(self, id: FrameId) -> np.ndarray:
        """See :meth:`DataSet.pose`."""
        return _to_world(self._at(id))

    def time(self, id: FrameId) -> float:
        """Since 1970."""
        return self._at(id).time / 1e6

    def depth(self, id: FrameId) -> DepthMap | None:
        """In m; None between key frames."""
        lidar = self._lidar(id)
        if lidar is None:
            return None
        file, camera, motion = self.root / lidar.file, self.camera(id), relative(_to_world(lidar), self.pose(id))
        about = f"nuscenes {camera} {motion.tolist()}"
        values = kept([file], about, lambda: project(read_points(file, 5)[:, :3], motion, camera))
        return metric(values, "m")

    def rig(self, indices: Sequence[int]) -> Rig:
        """See :meth:`DataSet.rig`; with the car's pose when the lidar measured, and, unless truth is none, its points,
        their axes turned to x forward, y left."""
        rig, id = super().rig(indices), self.ids[indices[0]]
        lidar = self._lidar(id)
        body = _ego(lidar or self._at(id))
        if lidar is None or self.truth == NONE:
            return replace(rig, pose=body)
        values = read_points(self.root / lidar.file, 5)
        points, pose = values[:, :3] @ AXES[:3, :3].T.astype(np.float32), _to_world(lidar) @ invert(AXES)
        return replace(rig, pose=body, sweep=Sweep(points, values[:, 3] / 255, values[:, 4].astype(int), pose))


def _ego(seen: _Seen) -> np.ndarray:
    """(4, 4) ego-to-world at the time of a measurement."""
    return _pose(seen.ego[:4].tolist(), seen.ego[4:].tolist())


def _to_world(seen: _Seen) -> np.ndarray:
    """(4, 4) sensor-to-world."""
    return _ego(seen) @ seen.sensor.pose


def _rows(path: Path, key: re.Pattern[bytes], wanted: Container[bytes]) -> Iterator[dict[str, Any]]:
    """The records of a table too large to be read whole whose token, by ``key``, is wanted."""
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as text:
            if not text[-64:].rstrip().endswith(b"]"):
                raise InputError(f"{path}: is cut off")
            for found in _RECORD.finditer(text):
                record = found[0]
                token = key.search(record)
                if token and token[1] in wanted:
                    yield json.loads(record)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a table ({error})") from None


class NuScenesLayout(Layout):
    """``samples/``, ``sweeps/``, ``maps/`` and the tables in ``v1.0-mini/``, depth from lidar.

    Format: https://github.com/nutonomy/nuscenes-devkit/blob/master/docs/schema_nuscenes.md. There are no annotations,
    and one empty map for all. Cameras and lidar measure at the same moments (12 Hz; the real lidar has 20). Each
    clip is a drive of its own, whose number is the vehicle's, so no two clips share a file name. Tokens are hashes of
    what they name.
    """

    name = "nuscenes"
    worlds = ("street",)
    rate = float(RATE)
    lidar: ClassVar[Lidar] = Lidar(
        tuple(np.linspace(-30.67, 10.67, 32).tolist()),
        1084,
        _pose((0.7078, -0.00649, 0.01065, -0.70631), (0.944, 0.0, 1.840)) @ invert(AXES),
        reach=(1.0, 105.0),
        noise=0.02,
    )

    def mounts(self) -> Mapping[str, Mount]:
        """The six cameras of a real car, 1600x900."""
        return {
            name: Mount(Pinhole(1600, 900, focal, focal, cx, cy), _pose(turn, place))
            for name, ((focal, cx, cy), turn, place) in CAMERAS.items()
        }

    def write_clip(self, root: Path, number: int, rigs: Sequence[Rig]) -> list[Path]:
        """Write the files of one scene, its records to where :meth:`finish` looks; see :meth:`Layout.write_clip`."""
        mounted = {name: mount.pose for name, mount in self.mounts().items()} | {LIDAR: self.lidar.pose @ AXES}
        drive = f"n{number:03d}-2018-07-24-11-22-45+0800"
        tables: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
        last, paths = len(rigs) - 1, []
        for index, rig in enumerate(rigs):
            sweep = known(rig.sweep)
            is_key = index % STRIDE == 0
            sample = min(-(-index // STRIDE), last // STRIDE)  # after the last sample there is none that follows
            if is_key:
                tables["sample"].append(
                    {
                        "token": _token(number, "sample", sample),
                        "timestamp": _microseconds(number, rig.time),
                        "prev": _token(number, "sample", sample - 1) if sample else "",
                        "next": _token(number, "sample", sample + 1) if index + STRIDE <= last else "",
                        "scene_token": _token(number, "scene"),
                    }
                )
            seen = {name: (frame.pose, frame.time) for name, frame in rig.items()}
            for channel, (pose, time) in (seen | {LIDAR: (sweep.pose @ AXES, rig.time)}).items():
                frame, moment, token = rig.get(channel), _microseconds(number, time), _token(number, channel, index)
                name = f"{drive}__{channel}__{moment}.{'jpg' if frame else 'pcd.bin'}"
                path = root / ("samples" if is_key else "sweeps") / channel / name
                if frame:
                    write_image(path, frame.image)
                else:
                    _write_sweep(path, sweep)
                paths.append(path)
                tables["ego_pose"].append(
                    {"token": token, "timestamp": moment, **_rigid(known(pose) @ invert(mounted[channel]))}
                )
                tables["sample_data"].append(
                    {
                        "token": token,
                        "sample_token": _token(number, "sample", sample),
                        "ego_pose_token": token,
                        "calibrated_sensor_token": _token(number, "calibrated_sensor", channel),
                        "timestamp": moment,
                        "fileformat": "jpg" if frame else "pcd",
                        "is_key_frame": is_key,
                        "height": frame.height if frame else 0,
                        "width": frame.width if frame else 0,
                        "filename": path.relative_to(root).as_posix(),
                        "prev": _token(number, channel, index - 1) if index else "",
                        "next": _token(number, channel, index + 1) if index < last else "",
                    }
                )
                if not index:
                    tables["calibrated_sensor"].append(
                        {
                            "token": _token(number, "calibrated_sensor", channel),
                            "sensor_token": _token("sensor", channel),
                            **_rigid(mounted[channel]),
                            "camera_intrinsic": known(frame.camera).K.tolist() if frame else [],
                        }
                    )
        tables["log"].append(
            {
                "token": _token(number, "log"),
                "logfile": drive,
                "vehicle": drive[: drive.index("-")],
                "date_captured": "2018-07-24",
                "location": "synthetic",
            }
        )
        tables["scene"].append(
            {
                "token": _token(number, "scene"),
                "log_token": _token(number, "log"),
                "nbr_samples": len(tables["sample"]),
                "first_sample_token": _token(number, "sample", 0),
                "last_sample_token": _token(number, "sample", last // STRIDE),
                "name": SCENES[number] if number < len(SCENES) else f"scene-{2000 + number}",
                "description": "Rendered by leadline.",
            }
        )
        write_json(_records(root, number), tables, indent=0)
        return paths

    def finish(self, root: Path, clips: int) -> None:
        """Write the tables and the map."""
        tables: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
        for number in range(clips):
            for table, records in json.loads(_records(root, number).read_text()).items():
                tables[table] += records
        tables["sensor"] = [
            {
                "token": _token("sensor", channel),
                "channel": channel,
                "modality": "lidar" if channel == LIDAR else "camera",
            }
            for channel in (*CAMERAS, LIDAR)
        ]
        filename = f"maps/{_token('map')}.png"
        write_raster(root / filename, np.zeros((100, 100), np.uint8))  # the devkit demands a map of every drive
        tables["map"] = [
            {
                "category": "semantic_prior",
                "token": _token("map"),
                "filename": filename,
                "log_tokens": [log["token"] for log in tables["log"]],
            }
        ]
        for table, records in tables.items():
            write_json(root / VERSION / f"{table}.json", records, indent=0)
        shutil.rmtree(_records(root, 0).parent)


def _write_sweep(path: Path, sweep: Sweep) -> None:
    points = sweep.points @ AXES[:3, :3]
    values = np.column_stack([points, np.rint(sweep.intensity * 255), sweep.beam])
    with writing(path) as temporary:
        values.astype("<f4").tofile(temporary)


def _records(root: Path, number: int) -> Path:
    """Where a clip's records wait for the other clips'."""
    return root / VERSION / ".clips" / f"{number:06d}.json"


def _token(*parts: str | int) -> str:
    return hashlib.md5(repr(parts).encode(), usedforsecurity=False).hexdigest()


def _microseconds(number: int, time: float | None) -> int:
    return START + number * BETWEEN + round(known(time) * 1e6)


def _rigid(pose: np.ndarray) -> dict[str, list[float]]:
    turn = np.roll(matrix_to_quaternion(pose[:3, :3]), 1)
    return {"translation": pose[:3, 3].tolist(), "rotation": turn.tolist()}
