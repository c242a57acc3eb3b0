from __future__ import annotations

import json
import tarfile
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from common.reprojection import seen_at
from common.rigs import rigs
from leadline.data.scared import ScaredLayout
from leadline.geometry.poses import relative
from leadline.rig import Rig


@pytest.fixture(scope="module")
def shot() -> list[Rig]:
    return rigs(ScaredLayout().mounts(), count=3, scale=0.1, unit="mm")


@pytest.fixture(scope="module")
def keyframe(shot: list[Rig], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scared")
    written = ScaredLayout().write_clip(root, 6, shot)
    assert written == [root / "dataset_2" / "keyframe_2"]
    return written[0]


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path, "r:gz") as archive:
        return {name: archive.extractfile(name).read() for name in archive.getnames()}


def scenes(keyframe: Path) -> list[np.ndarray]:
    files = members(keyframe / "data" / "scene_points.tar.gz")
    assert list(files) == [f"scene_points{index:06d}.tiff" for index in range(3)]
    return [tifffile.imread(BytesIO(data)) for data in files.values()]


def records(keyframe: Path) -> list[dict]:
    files = members(keyframe / "data" / "frame_data.tar.gz")
    assert list(files) == [f"frame_data{index:06d}.json" for index in range(3)]
    return [json.loads(data) for data in files.values()]


def test_scene_points_are_left_over_right(keyframe: Path, shot: list[Rig]) -> None:
    for points, rig in zip(scenes(keyframe), shot, strict=True):
        height = rig["left"].height
        assert (points.dtype, points.shape) == (np.float32, (2 * height, rig["left"].width, 3))
        np.testing.assert_array_equal(points[:height, :, 2], rig["left"].depth.values)
        np.testing.assert_array_equal(points[height:, :, 2], rig["right"].depth.values)


def test_points_project_to_their_pixels_by_the_calibration(keyframe: Path, shot: list[Rig]) -> None:
    storage = cv2.FileStorage(str(keyframe / "endoscope_calibration.yaml"), cv2.FILE_STORAGE_READ)
    matrices = {name: storage.getNode(name).mat() for name in ("M1", "D1", "M2", "D2", "R", "T")}
    described = records(keyframe)[1]["camera-calibration"]
    for name, same in zip(("KL", "DL", "KR", "DR", "R", "T"), matrices.values(), strict=True):
        np.testing.assert_allclose(described[name], same, atol=1e-12)
    for side, number in (("left", "1"), ("right", "2")):
        points = tifffile.imread(keyframe / f"{side}_depth_map.tiff")
        none, lens = np.zeros(3), (matrices["M" + number], matrices["D" + number])
        pixels = cv2.projectPoints(points.reshape(-1, 3).astype(float), none, none, *lens)[0]
        v, u = np.mgrid[: points.shape[0], : points.shape[1]]
        np.testing.assert_allclose(pixels.reshape(*u.shape, 2), np.stack((u, v), axis=-1), atol=1e-3)
    # R, T bring a point from left to right axes
    moved = matrices["R"] @ [0, 0, 50] + matrices["T"][:, 0]
    np.testing.assert_allclose(moved, [-4.14339, 0, 50], atol=1e-6)


def test_unknown_is_nan_in_keyframes_and_0_in_sequences(shot: list[Rig], tmp_path: Path) -> None:
    left = shot[0]["left"]
    valid = left.depth.valid.copy()
    valid[3:7] = False
    depth = type(left.depth)(left.depth.values, left.depth.kind, "mm", valid, left.camera)
    rig = Rig({"left": left.replace(depth=depth), "right": shot[0]["right"]}, shot[0].pose)
    (folder,) = ScaredLayout().write_clip(tmp_path, 0, [rig])
    assert np.isnan(tifffile.imread(folder / "left_depth_map.tiff")[3:7]).all()
    points = tifffile.imread(BytesIO(members(folder / "data" / "scene_points.tar.gz")["scene_points000000.tiff"]))
    assert (points[3:7] == 0).all()
    assert (points[7:, :, 2] > 0).all()


def test_poses_are_world_to_camera_and_start_at_the_keyframe(keyframe: Path, shot: list[Rig]) -> None:
    poses = [np.array(record["camera-pose"]) for record in records(keyframe)]
    np.testing.assert_allclose(poses[0], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(poses[2], relative(shot[0]["left"].pose, shot[2]["left"].pose), atol=1e-9)


def test_points_move_onto_the_next_frame_by_the_poses(keyframe: Path) -> None:
    height = tifffile.imread(keyframe / "left_depth_map.tiff").shape[0]
    first, second = (points[:height].astype(float) for points in scenes(keyframe)[:2])
    record = records(keyframe)[1]
    pose, matrix = np.array(record["camera-pose"]), np.array(record["camera-calibration"]["KL"])
    moved = first.reshape(-1, 3) @ pose[:3, :3].T + pose[:3, 3]
    own, there = seen_at(moved, second[..., 2], matrix)
    assert len(own) > 0.8 * len(moved)
    assert np.mean(abs(there / own - 1) < 0.02) > 0.95


def test_pictures(keyframe: Path, shot: list[Rig]) -> None:
    for side in ("left", "right"):
        picture = cv2.imread(str(keyframe / f"{side.title()}_Image.png"))[..., ::-1]
        np.testing.assert_array_equal(picture, np.rint(shot[0][side].image * 255))
    video = cv2.VideoCapture(str(keyframe / "data" / "rgb.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == 25
    for rig in shot:
        # of colours a video keeps a quarter of the pixels
        picture = cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2GRAY) / 255
        expected = cv2.cvtColor(np.concatenate((rig["left"].image, rig["right"].image)), cv2.COLOR_RGB2GRAY)
        assert abs(picture - expected).mean() < 0.02
    assert not video.read()[0]


def test_the_fifth_keyframe_is_one_frame(shot: list[Rig], tmp_path: Path) -> None:
    (folder,) = ScaredLayout().write_clip(tmp_path, 4, shot)
    assert folder == tmp_path / "dataset_1" / "keyframe_5"
    assert list(members(folder / "data" / "frame_data.tar.gz")) == ["frame_data000000.json"]
