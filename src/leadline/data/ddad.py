"""DDAD, Dense Depth for Autonomous Driving (Guizilini et al., CVPR 2020), in TRI's dataset governance (DGP) format.

What is peculiar about it:

- Poses are sensor-to-world, extrinsics sensor-to-vehicle, quaternions w x y z by name. The four lidars are merged in
  the vehicle's axes, so ``LIDAR`` has no extrinsics, its pose is the vehicle's, and its intrinsics are zeros.
- Files are named by the time in units of 0.1 us; the JSON files take that number for microseconds, so their dates lie
  in the 25th century and seconds last ten.
- The front camera's focal length is twice the others'.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from leadline.camera import Pinhole
from leadline.data.layout import Layout, known
from leadline.frame import Frame
from leadline.geometry.poses import compose, invert, matrix_to_quaternion, quaternion_to_matrix, transform
from leadline.io.atomic import write_json, writing
from leadline.io.images import write_image
from leadline.rig import Lidar, Mount, Rig

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
