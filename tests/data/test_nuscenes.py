"""The writer against an independent reading, along nuscenes-devkit's chain of transformations."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from common.reprojection import seen_at
from common.rigs import rigs
from leadline.data.nuscenes import NuScenesLayout


@pytest.fixture(scope="module")
def shot():
    layout = NuScenesLayout()
    return rigs(layout.mounts(), count=8, scale=0.1, lidar=layout.lidar, rate=layout.rate, drives=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory, shot):
    folder = tmp_path_factory.mktemp("nuscenes")
    for number in range(2):
        written = NuScenesLayout().write_clip(folder, number, shot)
        assert len(written) == 7 * len(shot)
        assert all(path.is_file() for path in written)
    NuScenesLayout().finish(folder, 2)
    return folder


@pytest.fixture(scope="module")
def tables(root):
    """By name of the table and token."""
    found = {file.stem: json.loads(file.read_text()) for file in (root / "v1.0-mini").iterdir()}
    assert all(len({record["token"] for record in records}) == len(records) for records in found.values())
    return {name: {record["token"]: record for record in records} for name, records in found.items()}


def matrix(record):
    w, x, y, z = record["rotation"]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    made = np.eye(4)
    made[:3, :3] += 2 * w * cross + 2 * cross @ cross
    made[:3, 3] = record["translation"]
    return made


def chain(tables, scene):
    """Measurements of a scene by channel, in the order of time."""
    first = tables["sample"][scene["first_sample_token"]]
    channels = {}
    for record in tables["sample_data"].values():
        if record["sample_token"] == first["token"] and not record["prev"]:
            calibrated = tables["calibrated_sensor"][record["calibrated_sensor_token"]]
            chained = channels.setdefault(tables["sensor"][calibrated["sensor_token"]]["channel"], [])
            while record:
                chained.append(record)
                record = tables["sample_data"][record["next"]] if record["next"] else None
    return channels


def test_lidar_points_land_on_the_frames_depth(root, tables, shot):
    scene = next(record for record in tables["scene"].values() if record["name"] == "scene-0103")
    channels = chain(tables, scene)
    for index, rig in enumerate(shot):
        lidar = channels["LIDAR_TOP"][index]
        values = np.fromfile(root / lidar["filename"], np.float32).reshape(-1, 5)
        assert 2 < values[:, 3].max() <= 255
        assert set(values[:, 4]) == set(range(32))
        lowest, highest = (np.median(values[values[:, 4] == ring, 2]) for ring in (0, 31))
        assert lowest < 0 < highest
        points = np.c_[values[:, :3], np.ones(len(values))].T
        ego = matrix(tables["ego_pose"][lidar["ego_pose_token"]])
        np.testing.assert_allclose(ego, rig.pose, atol=1e-9)
        calibrated = tables["calibrated_sensor"][lidar["calibrated_sensor_token"]]
        assert calibrated["camera_intrinsic"] == []
        world = ego @ matrix(calibrated) @ points
        assert set(channels) == {*rig, "LIDAR_TOP"}
        for name, frame in rig.items():
            record = channels[name][index]
            assert record["filename"].startswith(f"{'sweeps' if index % 6 else 'samples'}/{name}/")
            calibrated = tables["calibrated_sensor"][record["calibrated_sensor_token"]]
            pose = matrix(tables["ego_pose"][record["ego_pose_token"]]) @ matrix(calibrated)
            np.testing.assert_allclose(pose, frame.pose, atol=1e-9)
            points, lens = (np.linalg.inv(pose) @ world)[:3].T, np.array(calibrated["camera_intrinsic"])
            own, depth = seen_at(points, frame.depth.values, lens)
            assert len(own) > 500
            assert np.mean(abs(own / depth - 1) < 0.02) > 0.95
            with Image.open(root / record["filename"]) as picture:
                assert picture.size == (record["width"], record["height"])
                assert np.mean(abs(np.asarray(picture) / 255 - frame.image)) < 0.05  # JPEG


def test_lidar_axes(tables):
    """Forward of the vehicle is y of the files, and of the axes that the calibration gives."""
    record = next(record for record in tables["calibrated_sensor"].values() if not record["camera_intrinsic"])
    np.testing.assert_allclose(matrix(record)[:3, :3] @ [0, 1, 0], [1, 0, 0], atol=0.03)
    np.testing.assert_allclose(matrix(record)[:3, :3] @ [1, 0, 0], [0, -1, 0], atol=0.03)


def test_tokens_link_up(tables):
    assert [len(tables[name]) for name in ("scene", "sample", "sample_data", "ego_pose", "log")] == [2, 4, 112, 112, 2]
    for name, records in tables.items():
        for record in records.values():
            assert len(record["token"]) == 32
            for key, token in record.items():
                if key in ("prev", "next") and token:
                    other = "next" if key == "prev" else "prev"
                    assert records[token][other] == record["token"]
                    assert (records[token]["timestamp"] > record["timestamp"]) == (key == "next")
                elif key.endswith("_token"):
                    table = (
                        "sample" if key in ("first_sample_token", "last_sample_token") else key.removesuffix("_token")
                    )
                    assert token in tables[table], (name, key)
    for scene in tables["scene"].values():
        samples = [tables["sample"][scene["first_sample_token"]]]
        while samples[-1]["next"]:
            samples.append(tables["sample"][samples[-1]["next"]])
        assert samples[-1]["token"] == scene["last_sample_token"]
        assert len(samples) == scene["nbr_samples"] == 2
        assert samples[1]["timestamp"] - samples[0]["timestamp"] == 500_000
    for record in tables["sample_data"].values():
        sample = tables["sample"][record["sample_token"]]
        assert record["is_key_frame"] == (sample["timestamp"] == record["timestamp"])
        assert sample["timestamp"] >= record["timestamp"] or not sample["next"]


def test_what_the_devkit_asks_for(root, tables):
    names = "category attribute visibility instance sensor calibrated_sensor ego_pose log scene sample sample_data"
    assert set(tables) == {*names.split(), "sample_annotation", "map"}
    mapped = [token for record in tables["map"].values() for token in record["log_tokens"]]
    assert sorted(mapped) == sorted(tables["log"])
    starts = [tables["sample"][scene["first_sample_token"]]["timestamp"] for scene in tables["scene"].values()]
    assert len(set(starts)) == 2  # it sorts scenes by them
    assert all((root / record["filename"]).is_file() for record in tables["map"].values())


def test_cameras_sit_where_the_real_ones_do(real_data):
    sample = json.loads((real_data / "nuscenes_sample" / "sample.json").read_text())
    layout = NuScenesLayout()
    for name, mount in layout.mounts().items():
        real = sample["images"][name]
        np.testing.assert_allclose(mount.pose, real["cam2ego"], atol=1e-3)
        np.testing.assert_allclose(mount.camera.K, real["cam2img"], atol=0.1)
    forward_is_y = layout.lidar.pose[:3, :3] @ [1, 0, 0]
    np.testing.assert_allclose(forward_is_y, np.array(sample["lidar_points"]["lidar2ego"])[:3, 1], atol=1e-3)
