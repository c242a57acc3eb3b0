from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from common.reprojection import reprojected
from common.rigs import rigs
from leadline.camera import Pinhole
from leadline.data.lists import FrameId
from leadline.data.simcol3d import Simcol3d, Simcol3dLayout
from leadline.depth import DepthMap, Kind
from leadline.errors import InputError
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


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), values)


@pytest.fixture
def colons(tmp_path: Path) -> Path:
    """16 bits a colour and an alpha channel, as the real ones."""
    image = np.full((5, 5, 4), 65535, np.uint16)
    image[..., :3] = np.array([10, 20, 30]) * 256
    for name in ("SyntheticColon_I/Frames_S4", "SyntheticColon_I/Frames_S10", "SyntheticColon_I/Frames_S2"):
        for number in (0, 1):
            write(tmp_path / name / f"FrameBuffer_{number:04d}.png", image)
            codes = np.full((5, 5), 51 * 256, np.uint16)
            codes[0, :2] = 0, 65280
            write(tmp_path / name / f"Depth_{number:04d}.png", codes)
    half = np.sqrt(0.5)
    (tmp_path / "SyntheticColon_I/cam.txt").write_text("2.5 0 2.6 0 2 2.1 0 0 1")
    (tmp_path / "SyntheticColon_I/SavedPosition_S2.txt").write_text("0 0 0\n1.5 2.5 -3\n")
    (tmp_path / "SyntheticColon_I/SavedRotationQuaternion_S2.txt").write_text(f"0 0 0 1\n{half} 0 0 {half}\n")
    return tmp_path


def test_frames_are_read(colons: Path) -> None:
    data = Simcol3d(colons, "train")
    assert [str(id) for id in data.ids] == [f"SyntheticColon_I/Frames_S2/00000{number}" for number in (0, 1)]
    frame = data[1]
    np.testing.assert_allclose(frame.image[0, 0] * 255, [30, 20, 10], atol=1e-4)
    assert (frame.depth.unit, frame.time) == ("cm", 1 / 30)
    np.testing.assert_allclose(frame.depth.values[0], [0, 20, 4, 4, 4], rtol=1e-6)
    assert np.argwhere(~frame.depth.valid).tolist() == [[0, 0]]
    assert (frame.camera.fx, frame.camera.fy, frame.camera.cx, frame.camera.cy) == (2.5, 2.6, 2, 2.1)
    # Left-handed, y up: a turn by 90 degrees about x takes y to z; with y down it takes -y to z.
    np.testing.assert_allclose(frame.pose[:3, 3], [1.5, -2.5, -3])
    np.testing.assert_allclose(frame.pose[:3, :3] @ [0, -1, 0], [0, 0, 1], atol=1e-12)
    assert np.linalg.det(frame.pose[:3, :3]) == pytest.approx(1)
    assert [other.name for other in data.clip(0, (0, 1))] == ["000000", "000001"]


def test_splits_are_those_of_the_challenge(colons: Path) -> None:
    for number in range(33):
        colon, letter, start = next(entry for entry in (("III", "O", 30), ("II", "B", 15), ("I", "S", 0))
                                    if number >= entry[2])  # fmt: skip
        folder = colons / f"all/SyntheticColon_{colon}/Frames_{letter}{number - start + 1}"
        folder.mkdir(parents=True)
        (folder / "FrameBuffer_0000.png").touch()

    def names(split: str) -> list[str]:
        return [id.sequence.rpartition("_")[2] for id in Simcol3d(colons / "all", split).ids]

    assert names("test") == ["S5", "S10", "S15", "B5", "B10", "B15", "O1", "O2", "O3"]
    assert names("val") == ["S4", "S9", "S14", "B4", "B9", "B14"]
    assert len(names("train")) == 18
    assert len({*names("test"), *names("val"), *names("train")}) == len(names("all")) == 33


def test_a_trajectory_without_poses_and_a_colon_without_cam_txt(colons: Path) -> None:
    (colons / "SyntheticColon_I/cam.txt").unlink()
    frame = Simcol3d(colons, "test")[0]
    assert frame.pose is None
    assert frame.camera.fx == pytest.approx(227.60416 / 95)


def test_what_the_writer_writes_is_read(colon: Path, shot: list[Rig]) -> None:
    data = Simcol3d(colon.parent, "train")
    assert len(data) == 3
    for frame, rig in zip(data, shot, strict=True):
        truth = rig["camera"]
        np.testing.assert_allclose(frame.depth.to_unit("mm").values, truth.depth.values, atol=10 / 255 * 10 + 1e-3)
        np.testing.assert_allclose(frame.camera.K, truth.camera.K, rtol=1e-8)
        np.testing.assert_allclose(frame.pose[:3, 3] * 10, truth.pose[:3, 3], atol=1e-6)
        np.testing.assert_allclose(frame.pose[:3, :3], truth.pose[:3, :3], atol=1e-6)
        np.testing.assert_allclose(frame.image, truth.image, atol=1e-6)


def test_real_frames(real_data: Path) -> None:
    data = Simcol3d(real_data / "simcol", "all")
    assert [str(id) for id in data.ids] == [f"SyntheticColon_I/Frames_S1/{number:06d}" for number in range(10)]
    assert [id.number for id in Simcol3d(real_data / "simcol", "train").ids] == list(range(10))
    frame = data[3]
    assert frame.image.shape == (475, 475, 3)
    assert 0.1 < frame.image.mean() < 0.9
    stored = cv2.imread(str(real_data / "simcol/Frames_S1/Depth_0003.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(frame.depth.values, stored / 255 / 256 * 20, atol=1e-5)
    colours = cv2.imread(str(real_data / "simcol/Frames_S1/FrameBuffer_0003.png"))[..., ::-1]
    np.testing.assert_allclose(frame.image * 255, colours, atol=1)
    assert frame.depth.valid.mean() > 0.9
    assert 1 < np.median(frame.depth.values) < 12
    assert np.array_equal(frame.camera.K, [[227.60416, 0, 237.5], [0, 227.60416, 237.5], [0, 0, 1]])


@pytest.mark.parametrize(
    "line", ["SyntheticColon_I/Frames_S5/FrameBuffer_0012.png", "SyntheticColon_I/Frames_S5/ 12 l"]
)
def test_lines_of_lists(line: str, colons: Path) -> None:
    assert str(Simcol3d(colons, "all").parse(line)) == "SyntheticColon_I/Frames_S5/000012"


def test_what_is_missing_is_named(colons: Path) -> None:
    data, folder = Simcol3d(colons, "train"), colons / "SyntheticColon_I"
    with pytest.raises(InputError, match=r"is not SyntheticColon_I/Frames_S5/FrameBuffer_0000\.png, nor"):
        data.parse("SyntheticColon_I/Frames_S5")
    with pytest.raises(InputError, match=r"SavedPosition_S2\.txt: has 2 lines, none for frame 2"):
        data.pose(FrameId("SyntheticColon_I/Frames_S2", 2))
    (folder / "Frames_S2/Depth_0000.png").unlink()
    with pytest.raises(InputError, match=r"Frames_S2/Depth_0000\.png: no such file"):
        data[0]
    (folder / "SavedPosition_S2.txt").unlink()
    with pytest.raises(InputError, match=r"SavedPosition_S2\.txt: no such file"):
        Simcol3d(colons, "train")[1]
    (folder / "cam.txt").write_text("1 2")
    with pytest.raises(InputError, match=r"cam\.txt: holds 2 numbers"):
        data.camera(data.ids[0])
    with pytest.raises(InputError, match="holds no frame of simcol3d, split train"):
        Simcol3d(folder / "Frames_S2", "train")


def test_sequences_are_called_the_same_from_every_folder(colons: Path) -> None:
    whole, one = Simcol3d(colons, "test"), Simcol3d(colons / "SyntheticColon_I", "test")
    assert one.ids == [id for id in whole.ids if id.sequence.startswith("SyntheticColon_I/")]
    for id in one.ids:
        assert one.parse(f"{id.sequence.rpartition('/')[2]}/ {id.number} l") == id
        assert whole.parse(f"x/{id.sequence}/FrameBuffer_{id.number:04d}.png") == id


def test_images_made_smaller_keep_their_calibration(colons: Path) -> None:
    data = Simcol3d(colons, "test", truth="none")
    (colons / "SyntheticColon_I/cam.txt").write_text("227.60416 0 227.60416 0 237.5 237.5 0 0 1")
    assert data.camera(data.ids[0]) == Pinhole(475, 475, 227.60416, 227.60416, 237.5, 237.5).resize(*data.size(0))
