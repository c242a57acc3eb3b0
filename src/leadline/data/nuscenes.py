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
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from leadline.camera import Pinhole
from leadline.data.layout import Layout, known
from leadline.geometry.poses import compose, invert, matrix_to_quaternion, quaternion_to_matrix
from leadline.io.atomic import write_json, writing
from leadline.io.images import write_image
from leadline.io.rasters import write_raster
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


def _pose(turn: Sequence[float], place: Sequence[float]) -> np.ndarray:
    """(4, 4) of a quaternion w x y z and a translation."""
    return compose(quaternion_to_matrix(np.roll(turn, -1)), np.array(place))


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
