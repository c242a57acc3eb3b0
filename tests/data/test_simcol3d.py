from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from common.reprojection import reprojected
from common.rigs import rigs
from leadline.data.simcol3d import Simcol3dLayout
from leadline.depth import DepthMap, Kind
from leadline.frame import Frame
from leadline.rig import Rig


@pytest.fixture(scope="module")
def shot() -> list[Rig]:
    return rigs(Simcol3dLayout().mounts(), count=3, scale=0.2, unit="mm")


@pytest.fixture(scope="module")
def colon(shot: list[Rig], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("simcol3d")
    colon = root / "SyntheticColon_I"
    names = ("Frames_S1", "cam.txt", "SavedPosition_S1.txt", "SavedRotationQuaternion_S1.txt")
    assert Simcol3dLayout().write_clip(root, 0, shot) == [colon / name for name in names]
    return colon


def depth_cm(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED) / 255 / 256 * 20


def poses_cm(colon: Path) -> np.ndarray:
    """Camera-to-world in OpenCV axes, as the authors' code does it."""
    left_handed = np.tile(np.eye(4), (3, 1, 1))
    left_handed[:, :3, :3] = Rotation.from_quat(np.loadtxt(colon / "SavedRotationQuaternion_S1.txt")).as_matrix()
    left_handed[:, :3, 3] = np.loadtxt(colon / "SavedPosition_S1.txt")
    flip = np.diag([1, -1, 1, 1])
    return flip @ left_handed @ flip


@pytest.mark.parametrize(
    ("number", "frames"),
    [(14, "SyntheticColon_I/Frames_S15"), (15, "SyntheticColon_II/Frames_B1"), (32, "SyntheticColon_III/Frames_O3")],
)
def test_trajectories(number: int, frames: str, shot: list[Rig], tmp_path: Path) -> None:
    written = Simcol3dLayout().write_clip(tmp_path, number, shot[:1])
    assert written[0] == tmp_path / frames
    # Only the first clip of a colon writes the file they share.
    assert (tmp_path / frames).with_name("cam.txt").exists() == (number == 15)
    assert np.loadtxt(written[-1]).shape == (4,)


def test_names_and_encoding_are_those_of_the_real_set(colon: Path, real_data: Path) -> None:
    real = {path.name for path in (real_data / "simcol" / "Frames_S1").iterdir()}
    made = {path.name for path in (colon / "Frames_S1").iterdir()}
    assert len(made) == 6
    assert made < real
    for folder in (colon / "Frames_S1", real_data / "simcol" / "Frames_S1"):
        codes = cv2.imread(str(folder / "Depth_0001.png"), cv2.IMREAD_UNCHANGED)
        assert (codes.dtype, codes.ndim, (codes % 256).max()) == (np.uint16, 2, 0)


def test_depth(colon: Path, shot: list[Rig]) -> None:
    for index, rig in enumerate(shot):
        depth = depth_cm(colon / "Frames_S1" / f"Depth_{index:04d}.png")
        np.testing.assert_allclose(depth * 10, rig["camera"].depth.values, atol=10 / 255 * 10 + 1e-3)


def test_unknown_and_far_depth(shot: list[Rig], tmp_path: Path) -> None:
    frame = shot[0]["camera"]
    values, valid = np.full(frame.depth.shape, 300.0, np.float32), np.ones(frame.depth.shape, bool)
    valid[2] = False
    depth = type(frame.depth)(values, frame.depth.kind, "mm", valid, frame.camera)
    (frames, *_) = Simcol3dLayout().write_clip(tmp_path, 0, [Rig({"camera": frame.replace(depth=depth)}, None)])
    stored = depth_cm(frames / "Depth_0000.png")
    assert (stored[2] == 0).all()
    assert (stored[:2] == 20).all()


def test_images(colon: Path, shot: list[Rig]) -> None:
    image = cv2.imread(str(colon / "Frames_S1" / "FrameBuffer_0002.png"))[..., ::-1]
    np.testing.assert_array_equal(image, np.rint(shot[2]["camera"].image * 255))


def test_poses(colon: Path, shot: list[Rig]) -> None:
    poses = poses_cm(colon)
    poses[:, :3, 3] *= 10
    np.testing.assert_allclose(poses, [rig["camera"].pose for rig in shot], atol=1e-6)


def test_points_move_onto_the_next_frame_by_the_poses(colon: Path) -> None:
    first, second = (depth_cm(colon / "Frames_S1" / f"Depth_{index:04d}.png") for index in (0, 1))
    fx, _, fy, _, cx, cy, *_ = np.loadtxt(colon / "cam.txt")
    poses = poses_cm(colon)
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    moved, there = reprojected(first, second, matrix, np.linalg.inv(poses[1]) @ poses[0])
    assert len(moved) > 0.8 * first.size
    assert np.mean(abs(there - moved) < 0.12) > 0.95


def test_the_camera_file_has_the_real_ones_numbers_in_its_order(tmp_path: Path) -> None:
    (mount,) = Simcol3dLayout().mounts().values()
    frame = Frame(np.zeros((475, 475, 3)), DepthMap(np.ones((475, 475)), Kind("depth", "nothing"), "mm"), mount.camera)
    Simcol3dLayout().write_clip(tmp_path, 0, [Rig({"camera": frame.replace(pose=np.eye(4))})])
    text = (tmp_path / "SyntheticColon_I" / "cam.txt").read_text()
    assert text == "227.60416 0 227.60416 0 237.5 237.5 0 0 1\n"
