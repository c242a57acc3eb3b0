from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.rigs import rigs
from leadline.data.kitti import KittiLayout
from leadline.rig import Rig


def read_calib(path: Path) -> dict[str, np.ndarray]:
    """As pykitti reads it."""
    found = {}
    for line in path.read_text().strip().splitlines():
        key, value = line.split(":", 1)
        try:
            found[key] = np.array([float(number) for number in value.split()])
        except ValueError:
            assert key == "calib_time"
    return found


@pytest.fixture(scope="module")
def made() -> list[Rig]:
    layout = KittiLayout()
    return rigs(layout.mounts(), count=3, scale=0.2, lidar=layout.lidar, drives=True)


@pytest.fixture(scope="module")
def root(made, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("kitti")
    assert KittiLayout().write_clip(root, 1, made) == [root / "2011_09_27", root / "train/2011_09_27_drive_0002_sync"]
    return root


def velodyne(drive: Path, key: str, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Projected points (N, 2), not yet rounded, and z-depth, as the field's evaluators compute them."""
    cameras, lidar = (read_calib(drive.parent / f"calib_{name}.txt") for name in ("cam_to_cam", "velo_to_cam"))
    rectify, to_camera = np.eye(4), np.eye(4)
    rectify[:3, :3] = cameras["R_rect_00"].reshape(3, 3)
    to_camera[:3] = np.column_stack([lidar["R"].reshape(3, 3), lidar["T"]])
    points = np.fromfile(drive / f"velodyne_points/data/{frame:010d}.bin", np.float32).reshape(-1, 4)
    points[:, 3] = 1
    points = points[points[:, 0] >= 0]
    u, v, z = cameras[f"P_rect_{key}"].reshape(3, 4) @ rectify @ to_camera @ points.T
    return np.stack([u / z, v / z], axis=1)[z > 0], z[z > 0]


@pytest.mark.parametrize("key", ["02", "03"])
def test_the_fields_ground_truth_is_the_depth_of_the_frames(made, root, key):
    drive = root / "2011_09_27/2011_09_27_drive_0002_sync"
    frame = made[2][f"image_{key}"]
    width, height = read_calib(drive.parent / "calib_cam_to_cam.txt")[f"S_rect_{key}"].astype(int)
    assert (height, width) == frame.image.shape[:2]
    pixels, depth = velodyne(drive, key, 2)
    at = np.round(pixels).astype(int) - 1
    inside = ((at >= 0) & (at < (width, height))).all(axis=1)
    truth = np.full((height, width), np.inf)
    np.minimum.at(truth, tuple(at[inside].T[::-1]), depth[inside])
    seen = np.isfinite(truth)
    assert seen.mean() > 0.3
    values = frame.depth.values

    def error(shifted: np.ndarray) -> float:
        return float(np.abs(shifted[seen] / truth[seen] - 1).mean())

    assert error(values) < 0.01
    assert all(error(np.roll(values, way, axis)) > 1.3 * error(values) for way in (-1, 1) for axis in (0, 1))
    # not rounded, on flat walls inverse depth between pixels is exact
    u, v = (pixels[inside] - 1).astype(np.float32).T
    between = 1 / cv2.remap(1 / values, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).ravel()
    assert np.median(np.abs(between - depth[inside])) < 0.02  # the lidar's noise is 0.015


def test_poses_by_the_devkits_formula(made, root):
    drive = root / "2011_09_27/2011_09_27_drive_0002_sync"
    lines = [(drive / f"oxts/data/{index:010d}.txt").read_text().splitlines() for index in range(3)]
    assert all(len(line) == 1 and len(line[0].split()) == 30 for line in lines)
    assert all(number.isdigit() for line in lines for number in line[0].split()[-5:])
    assert len((drive / "oxts/dataformat.txt").read_text().splitlines()) == 30
    packets = np.array([[float(number) for number in line[0].split()] for line in lines])
    scale, earth, poses = np.cos(packets[0, 0] * np.pi / 180), 6378137.0, []
    for lat, lon, alt, roll, pitch, yaw in packets[:, :6]:
        north = scale * earth * np.log(np.tan((90 + lat) * np.pi / 360))
        pose = np.eye(4)
        for angle, (i, j) in ((yaw, (0, 1)), (pitch, (2, 0)), (roll, (1, 2))):
            turn = np.eye(4)
            turn[[i, j], [i, j]], turn[j, i], turn[i, j] = np.cos(angle), np.sin(angle), -np.sin(angle)
            pose = pose @ turn
        pose[:3, 3] = scale * lon * np.pi * earth / 180, north, alt
        poses.append(pose)

    calib = {name: read_calib(drive.parent / f"calib_{name}.txt") for name in ("imu_to_velo", "velo_to_cam")}
    chain = {name: np.eye(4) for name in calib}
    for name, pose in chain.items():
        pose[:3] = np.column_stack([calib[name]["R"].reshape(3, 3), calib[name]["T"]])
    rectified = read_calib(drive.parent / "calib_cam_to_cam.txt")
    to_camera = np.eye(4)
    to_camera[:3, :3] = rectified["R_rect_00"].reshape(3, 3)
    to_camera = to_camera @ chain["velo_to_cam"] @ chain["imu_to_velo"]
    projection = rectified["P_rect_02"].reshape(3, 4)
    to_camera[:3, 3] += np.linalg.solve(projection[:, :3], projection[:, 3])
    for index in (1, 2):
        true = np.linalg.inv(made[0]["image_02"].pose) @ made[index]["image_02"].pose
        written = to_camera @ np.linalg.inv(poses[0]) @ poses[index] @ np.linalg.inv(to_camera)
        np.testing.assert_allclose(written, true, atol=2e-5)
    # 0.4 m along and 0.1 m across each 0.1 s, turning by 0.03; the unit lies 5 cm behind the axle, 0.32 m beside it
    np.testing.assert_allclose(packets[1, [7, 6, 10, 19, 22]], [4, 1, 0, 0.3, 0.3], atol=0.11)
    np.testing.assert_allclose(packets[:, [13, 16]], 9.81, atol=1e-6)


def test_ground_truth_of_the_depth_benchmark(made, root):
    folder = root / "train/2011_09_27_drive_0002_sync/proj_depth/groundtruth"
    for name in ("image_02", "image_03"):
        codes = cv2.imread(str(folder / name / "0000000001.png"), cv2.IMREAD_UNCHANGED)
        assert codes.dtype == np.uint16
        np.testing.assert_allclose(codes / 256.0, made[1][name].depth.values, atol=1 / 512 + 1e-5)


def test_names_are_those_of_the_real_data(made, root, real_data):
    day = real_data / "kitti_raw/2011_09_26"
    for name in ("cam_to_cam", "velo_to_cam"):
        real, ours = (
            dict(line.split(": ") for line in (folder / f"calib_{name}.txt").read_text().splitlines())
            for folder in (day, root / "2011_09_27")
        )
        for key, values in real.items():
            assert len(values.split(" ")) == len(ours[key].split(" "))
            assert all(re.fullmatch(r"-?\d\.\d{6}e[+-]\d\d", value) for value in (values + " " + ours[key]).split(" "))
    drive = root / "2011_09_27/2011_09_27_drive_0002_sync"
    real = {str(path.relative_to(day / "2011_09_26_drive_sample_sync")) for path in day.glob("*/*/data/*00[012].*")}
    assert len(real) == 6
    assert all((drive / path).is_file() for path in real)
    points = np.fromfile(drive / "velodyne_points/data/0000000000.bin", np.float32).reshape(-1, 4)
    sample = next(day.glob("*/velodyne_points/data/0000000000.bin"))
    for cloud in (points, np.fromfile(sample, np.float32).reshape(-1, 4)):
        turns = np.diff(np.arctan2(cloud[:, 1], cloud[:, 0]) % (2 * np.pi)) < -np.pi
        assert turns.sum() == 63
        assert 0 <= cloud[:, 3].min() <= cloud[:, 3].max() <= 1


def test_full_size_calibration_is_kittis(real_data):
    real = read_calib(real_data / "kitti_object/training/calib/000001.txt")
    for key, mount in KittiLayout().mounts().items():
        matrix = mount.camera.K
        matrix[:2, 2] += 1
        np.testing.assert_allclose(real[f"P{key[-1]}"].reshape(3, 4)[:, :3], matrix)


def test_timestamps(root):
    drive = root / "2011_09_27/2011_09_27_drive_0002_sync"
    for name in ("image_02", "image_03", "velodyne_points", "oxts"):
        lines = (drive / name / "timestamps.txt").read_text().splitlines()
        times = [datetime.strptime(line[:-3], "%Y-%m-%d %H:%M:%S.%f") for line in lines]  # as pykitti does
        assert [(time - times[0]).total_seconds() for time in times] == [0, 0.1, 0.2]


def test_one_frame_is_a_clip_at_rest(made, tmp_path):
    KittiLayout().write_clip(tmp_path, 0, made[:1])
    packet = (tmp_path / "2011_09_26/2011_09_26_drive_0001_sync/oxts/data/0000000000.txt").read_text().split()
    assert [float(value) for value in packet[6:11]] == [0] * 5


def test_cameras_before_and_after_rectification_agree(root):
    calib = read_calib(root / "2011_09_27/calib_cam_to_cam.txt")
    for key in ("00", "01", "02", "03"):
        projection = calib[f"P_rect_{key}"].reshape(3, 4)
        offset = np.linalg.solve(projection[:, :3], projection[:, 3])
        np.testing.assert_allclose(calib[f"R_rect_{key}"].reshape(3, 3) @ calib[f"T_{key}"], offset, atol=1e-5)
