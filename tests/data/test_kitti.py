from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from common.kitti import public, read_calib
from common.rigs import rigs
from leadline.data.kitti import Kitti, KittiLayout
from leadline.data.lists import FrameId
from leadline.errors import InputError
from leadline.rig import Rig


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))


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


# Focal length 4, principal point (3, 2) counted from 0, (4, 3) in the file; camera 2 is 0.5 m left of and 0.25 m behind
# camera 0, and the lidar 0.27 m behind that.
CAM_TO_CAM = """calib_time: 09-Jan-2012 13:57:47
S_rect_02: 8.000000e+00 4.000000e+00
R_rect_00: 1 0 0 0 1 0 0 0 1
P_rect_02: 4 0 4 3.0 0 4 3 0.75 0 0 1 0.25
S_rect_03: 8 4
P_rect_03: 4 0 4 0 0 4 3 0 0 0 1 0
"""
VELO_TO_CAM = "calib_time: 15-Mar-2012 11:37:16\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 -0.27\ndelta_f: 0 0\n"
IMU_TO_VELO = "calib_time: x\nR: 1 0 0 0 1 0 0 0 1\nT: -1 0 0\n"
DRIVE = "2011_09_26/2011_09_26_drive_0001_sync"
POINTS = [
    [2.02, 0, 0, 0.5],  # pixel (4, 2), 2 m from camera 2
    [4.02, -0.5, 0, 0.5],  # the same, farther
    [1.02, 0.5, 0.25, 0.5],  # pixel (3, 1), 1 m
    [-3, 0, 0, 0.5],  # behind
    [2.02, 20, 0, 0.5],  # outside
]


@pytest.fixture(params=["png", "jpg"])
def small(tmp_path, request) -> Path:
    root = tmp_path / "kitti"
    drive = root / DRIVE
    for camera in ("image_02", "image_03"):
        (drive / camera / "data").mkdir(parents=True)
        for number in (5, 6):
            Image.new("RGB", (8, 4), (51, 102, 204)).save(drive / camera / "data" / f"{number:010d}.{request.param}")
    (drive / "image_02/timestamps.txt").write_text(
        "".join(f"2011-09-26 13:02:2{index}.964389445\n" for index in range(6)) + "2011-09-26 13:02:25.964389448\n"
    )
    (drive / "velodyne_points/data").mkdir(parents=True)
    np.array(POINTS, np.float32).tofile(drive / "velodyne_points/data/0000000005.bin")
    for name, text in (("cam_to_cam", CAM_TO_CAM), ("velo_to_cam", VELO_TO_CAM), ("imu_to_velo", IMU_TO_VELO)):
        (drive.parent / f"calib_{name}.txt").write_text(text)
    return root


def packet(drive: Path, number: int, *values: float) -> None:
    (drive / "oxts/data").mkdir(parents=True, exist_ok=True)
    (drive / f"oxts/data/{number:010d}.txt").write_text(" ".join(map(str, values)) + " 0" * 24)


FIVE = FrameId(DRIVE, 5, "image_02")


def test_frames_of_both_cameras_are_found(small):
    data = Kitti(small, "all")
    assert data.ids == [FrameId(DRIVE, number, camera) for camera in ("image_02", "image_03") for number in (5, 6)]
    assert data.instants() == [[0, 2], [1, 3]]
    assert data.neighbour(FIVE, 1) == FrameId(DRIVE, 6, "image_02")
    assert data.neighbour(FIVE, 2) is None
    frame = data[0]
    np.testing.assert_allclose(frame.image[0, 0], [0.2, 0.4, 0.8], atol=0.02)
    assert (frame.sequence, frame.name) == (f"{DRIVE}/image_02", "000005")
    assert all(path.is_file() for path in data.files(FIVE))


def test_the_camera_counts_pixels_from_0(small):
    camera = Kitti(small, "all").camera(FIVE)
    assert (camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy) == (8, 4, 4, 4, 3, 2)


@pytest.mark.parametrize(("truth", "values"), [("velodyne", [1.02, 2.02]), ("lidar", [1.0, 2.0])])
def test_lidar_points_lie_where_they_are_seen(small, truth, values):
    depth = Kitti(small, "all", truth).depth(FIVE)
    expected = np.zeros((4, 8), np.float32)
    expected[1, 3], expected[2, 4] = values
    np.testing.assert_allclose(np.where(depth.valid, depth.values, 0), expected, atol=1e-6)
    assert (str(depth.kind), depth.unit) == ("metric-depth", "m")


@pytest.mark.parametrize(
    "place", ["train/{}", "val/{}", "depth/val/{}", "data_depth_annotated/train/{}", "../data_depth_annotated/val/{}",
              "2011_09_26/{}"],
)  # fmt: skip
def test_annotated_depth_is_found_where_people_keep_it(small, place):
    folder = small / place.format(Path(DRIVE).name) / "proj_depth/groundtruth/image_02"
    folder.mkdir(parents=True)
    codes = np.zeros((4, 8), np.uint16)
    codes[2, 1], codes[3, 7] = 256, 20000
    Image.fromarray(codes).save(folder / "0000000005.png")
    data = Kitti(small, "all", "annotated")
    depth = data.depth(FIVE)
    assert depth.values[2, 1] == 1
    assert depth.values[3, 7] == 78.125
    assert depth.valid.sum() == 2
    assert (folder / "0000000005.png").resolve() in [path.resolve() for path in data.files(FIVE)]
    # the first and last frames of a drive have none
    assert data.depth(FrameId(DRIVE, 6, "image_02")) is None
    assert len(data.files(FrameId(DRIVE, 6, "image_02"))) == 2


def test_times_are_since_the_first_image(small):
    data = Kitti(small, "all")
    assert data.time(FIVE) == 5
    assert data.time(FrameId(DRIVE, 6, "image_02")) == pytest.approx(5 + 3e-9, abs=1e-12)
    assert data.time(FrameId(DRIVE, 6, "image_03")) == 0.6  # without timestamps, 10 frames a second


def test_poses_are_there_where_oxts_is(small):
    data = Kitti(small, "all")
    assert data.pose(FIVE) is None
    # at the equator a degree is 111.3 km; 1e-5 degrees to the north and east, 2 m up, turned to the north
    packet(small / DRIVE, 5, 0, 8, 100, 0, 0, 0)
    packet(small / DRIVE, 6, 1e-5, 8 + 1e-5, 102, 0, 0, np.pi / 2)
    degree = 6378137 * np.pi / 180
    # the unit's axes are x forward, y left; camera 2 is 1 - 0.27 + 0.25 behind, seen from camera 0 0.5 to the right
    start, later = data.pose(FIVE), data.pose(FrameId(DRIVE, 6, "image_02"))
    np.testing.assert_allclose(start[:3, :3], [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], atol=1e-9)
    np.testing.assert_allclose(start[:3, 3], [1 + 0.27 - 0.25, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(later[:3, :3], [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-9)
    np.testing.assert_allclose(later[:3, 3], [degree * 1e-5 - 0.5, degree * 1e-5 + 1.02, 2], atol=1e-6)


def test_images_made_smaller_keep_their_calibration(small):
    data = Kitti(small, "all")
    Image.new("RGB", (4, 2)).save(data.image(FIVE))
    assert data.camera(FIVE) == Kitti(small, "all").camera(FrameId(DRIVE, 6, "image_02")).resize(2, 4)
    assert data.depth(FIVE).shape == (2, 4)
    Image.new("RGB", (4, 4)).save(data.image(FIVE))
    with pytest.raises(InputError, match=r"calib_cam_to_cam\.txt: the camera is of a 8x4 image and does not fit"):
        data.camera(FIVE)


def test_lists_as_the_field_writes_them(small):
    data = Kitti(small, "all")
    assert data.parse(f"{DRIVE} 5 l") == FIVE
    assert data.parse(f"{DRIVE} 0000000005") == FIVE
    assert data.parse(f"{DRIVE} 12 r") == FrameId(DRIVE, 12, "image_03")
    name = Path(DRIVE).name
    line = f"{DRIVE}/image_02/data/0000000005.png {name}/proj_depth/groundtruth/image_02/0000000005.png 721.5377"
    assert data.parse(line) == FIVE
    assert data.parse(f"{DRIVE}/image_03/data/0000000012.jpg") == FrameId(DRIVE, 12, "image_03")
    for wrong in ("0001 5 l", f"{DRIVE} five l", ""):
        with pytest.raises(InputError, match="is not DAY/DRIVE NUMBER l"):
            data.parse(wrong)
    (small / "splits").mkdir()
    (small / "splits/zhou-val.txt").write_text(f"{DRIVE} 5 l\n{DRIVE} 6 r\n")
    assert Kitti(small, "zhou-val").ids == [FIVE, FrameId(DRIVE, 6, "image_03")]


def test_the_splits_of_eigen(tmp_path):
    test, improved = (Kitti(tmp_path, split).ids for split in ("eigen-test", "eigen-improved"))
    assert (len(test), len(set(test)), len({id.sequence for id in test})) == (697, 697, 28)
    assert test[0] == FrameId("2011_09_26/2011_09_26_drive_0002_sync", 69, "image_02")
    assert test[-1] == FrameId("2011_10_03/2011_10_03_drive_0047_sync", 768, "image_02")
    # KITTI depth leaves out the first five frames, and the last five, of a drive
    assert (len(improved), min(id.number for id in improved)) == (652, 5)
    assert improved == [id for id in test if id in set(improved)]


def test_what_is_missing_is_named(small):
    data, lidar = Kitti(small, "all"), Kitti(small, "all", "lidar")
    six = FrameId(DRIVE, 6, "image_02")
    with pytest.raises(InputError, match=r"0000000006\.bin: no such file"):
        lidar.depth(six)
    with pytest.raises(InputError, match=r"train.*0000000005\.png: no such file"):
        Kitti(small, "all", "annotated").depth(FIVE)
    with pytest.raises(InputError, match=r"zhou-train\.txt: split zhou-train needs this list; it is splits/eigen_zhou"):
        Kitti(small, "zhou-train")
    packet(small / DRIVE, 5, 0, 8)
    (small / DRIVE / "oxts/data/0000000005.txt").write_text("1 2 3")
    with pytest.raises(InputError, match=r"0000000005\.txt: should hold the 30 numbers"):
        data.pose(FIVE)
    (small / DRIVE / "image_02/timestamps.txt").write_text("2011-09-26 13:02:20\n")
    with pytest.raises(InputError, match=r"timestamps\.txt: line 6 should say when frame 5 was taken"):
        data.time(FIVE)
    calibration = small / "2011_09_26/calib_cam_to_cam.txt"
    calibration.write_text(CAM_TO_CAM.replace("P_rect_02: 4", "P_rect_02: four"))
    with pytest.raises(InputError, match=r"calib_cam_to_cam\.txt: should have a line 'P_rect_02:' with 12 numbers"):
        data.camera(FIVE)
    calibration.unlink()
    with pytest.raises(InputError, match=r"calib_cam_to_cam\.txt: no such file"):
        data.camera(FIVE)


def test_what_the_layout_writes_is_read(made, root):
    data = Kitti(root, "all", "annotated")
    assert len(data) == 6
    for index in range(3):
        rig = data.rig(data.instants()[index])
        for name, true in made[index].items():
            frame = rig[name]
            np.testing.assert_allclose(frame.image, true.image, atol=1e-6)
            assert frame.depth.valid.all()
            np.testing.assert_allclose(frame.depth.values, true.depth.values, atol=1 / 512 + 1e-5)
            np.testing.assert_allclose(frame.camera.K, true.camera.K, atol=1e-3)
            assert frame.time == pytest.approx(0.1 * index)
            assert all(path.is_file() for path in data.files(data.ids[0]))
    poses = [data.pose(id) for id in data.ids[:3]]
    for index in (1, 2):
        true = np.linalg.inv(made[0]["image_02"].pose) @ made[index]["image_02"].pose
        np.testing.assert_allclose(np.linalg.inv(poses[0]) @ poses[index], true, atol=2e-5)
    right = np.linalg.inv(data.pose(data.ids[0])) @ data.pose(data.ids[3])
    true = np.linalg.inv(made[0]["image_02"].pose) @ made[0]["image_03"].pose
    np.testing.assert_allclose(right, true, atol=2e-5)


def test_lidar_of_the_layout_is_the_depth_of_its_frames(made, root):
    data = Kitti(root, "all", "lidar")
    depth, true = data.depth(data.ids[4]), made[1]["image_03"].depth.values
    assert depth.valid.mean() > 0.3
    assert np.abs(depth.values[depth.valid] / true[depth.valid] - 1).mean() < 0.01


@pytest.mark.parametrize("truth", ["velodyne", "lidar"])
def test_real_lidar_is_the_fields_ground_truth(real_data, truth):
    data = Kitti(real_data / "kitti_raw", "all", truth)
    assert len(data) == 18
    id = data.ids[7]
    day = real_data / "kitti_raw/2011_09_26"
    cameras, lidar = (read_calib(day / f"calib_{name}.txt") for name in ("cam_to_cam", "velo_to_cam"))
    rectify, to_camera = np.eye(4), np.eye(4)
    rectify[:3, :3] = cameras["R_rect_00"].reshape(3, 3)
    to_camera[:3] = np.column_stack([lidar["R"].reshape(3, 3), lidar["T"]])
    points = np.fromfile(data.files(id)[2], np.float32).reshape(-1, 4)
    expected = public(points, cameras["P_rect_02"].reshape(3, 4) @ rectify @ to_camera, 375, 1242, truth == "velodyne")
    depth = data.depth(id)
    np.testing.assert_allclose(np.where(depth.valid, depth.values, 0), expected, rtol=1e-6)
    assert 12000 < depth.valid.sum() < 25000
    frame = data[7]
    assert frame.pose is None
    assert (frame.camera.cx, frame.camera.cy) == pytest.approx((608.5593, 171.854))


def test_the_eigen_truth_is_ahead_of_the_lidar_not_of_the_camera(real_data):
    ahead, depth = (Kitti(real_data / "kitti_raw", "all", truth)[0].depth for truth in ("velodyne", "lidar"))
    both = ahead.valid & depth.valid
    assert np.median((ahead.values - depth.values)[both]) == pytest.approx(0.27, abs=0.02)


def test_each_camera_may_have_its_own_suffix_and_macos_its_files(small):
    whole = Kitti(small, "all").ids
    folder = small / DRIVE / "image_03/data"
    for path in list(folder.iterdir()):
        Image.open(path).save(path.with_suffix({".png": ".jpg", ".jpg": ".png"}[path.suffix]))
        path.unlink()
    (folder / "._0000000005.png").write_bytes(b"\0\5\26\7")
    data = Kitti(small, "all")
    assert data.ids == whole
    assert all(path.is_file() for path in data.paths)


def test_four_frames_are_known_to_have_no_lidar(small):
    day = small / "2011_09_26"
    (day / "2011_09_26_drive_0001_sync").rename(day / "2011_09_26_drive_0009_sync")
    data = Kitti(small, "all")
    for number, count in ((176, 4), (177, 2), (180, 2), (181, 4)):
        id = FrameId("2011_09_26/2011_09_26_drive_0009_sync", number, "image_02")
        assert len(data.files(id)) == count
    assert data.depth(replace(id, number=177)) is None
