"""The real sample of nuScenes, one instant with its publisher's matrices, as the data set it was taken from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from leadline.geometry.poses import matrix_to_quaternion


def as_dataset(sample: Path, root: Path) -> Path:
    """Lay the sample out under ``root`` as v1.0-mini, its files linked.

    The pose of the vehicle at each camera's moment is not among the publisher's matrices: it follows from where each of
    them puts the lidar's points.

    Args:
        sample: the folder with ``sample.json``, six images and a lidar sweep.
        root: a new folder.

    Returns:
        ``root``.
    """
    known = json.loads((sample / "sample.json").read_text())
    ego, lidar = np.array(known["ego2global"]), np.array(known["lidar_points"]["lidar2ego"])
    data, egos, sensors = [], [], []
    for channel, record in {**known["images"], "LIDAR_TOP": {}}.items():
        mount = np.array(record.get("cam2ego", lidar))
        moved = ego @ lidar @ np.linalg.inv(record["lidar2cam"]) @ np.linalg.inv(mount) if record else ego
        source = next(sample.glob(f"*__{channel}__*"))
        file = root / "samples" / channel / source.name
        file.parent.mkdir(parents=True)
        file.symlink_to(source)
        egos.append({"token": channel, **_rigid(moved)})
        sensors.append(
            {
                "token": channel,
                "sensor_token": channel,
                "camera_intrinsic": record.get("cam2img", []),
                **_rigid(mount),
            }
        )
        data.append(
            {
                "token": channel,
                "sample_token": "one",
                "ego_pose_token": channel,
                "calibrated_sensor_token": channel,
                "timestamp": 1,
                "is_key_frame": True,
                "height": 900,
                "width": 1600,
                "filename": f"samples/{channel}/{source.name}",
            }
        )
    tables = {
        "scene": [{"token": "here", "name": "scene-0061"}],
        "sample": [{"token": "one", "timestamp": 1, "scene_token": "here"}],
        "sensor": [{"token": record["token"], "channel": record["token"]} for record in data],
        "calibrated_sensor": sensors,
        "ego_pose": egos,
        "sample_data": data,
    }
    (root / "v1.0-mini").mkdir(parents=True)
    for name, records in tables.items():
        (root / "v1.0-mini" / f"{name}.json").write_text(json.dumps(records, indent=0))
    return root


def _rigid(pose: Any) -> dict[str, list[float]]:
    turn = np.roll(matrix_to_quaternion(np.asarray(pose)[:3, :3]), 1)
    return {"rotation": turn.tolist(), "translation": np.asarray(pose)[:3, 3].tolist()}
