from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.reprojection import reprojected
from common.rigs import rigs
from leadline.camera import Pinhole
from leadline.data.servct import ServCt, ServCtLayout
from leadline.errors import InputError
from leadline.rig import Rig


@pytest.fixture(scope="module")
def shot() -> list[Rig]:
    return rigs(ServCtLayout().mounts(), count=2, scale=0.125, unit="mm")


@pytest.fixture(scope="module")
def root(shot: list[Rig], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("servct")
    for number in range(2):
        for path in ServCtLayout().write_clip(root, number, shot):
            assert path.is_file()
    return root


def read(root: Path, name: str) -> np.ndarray:
    return cv2.imread(str(root / "Experiment_1" / name / "001.png"), cv2.IMREAD_UNCHANGED)


def calibration(root: Path) -> dict[str, np.ndarray]:
    stored = json.loads((root / "Experiment_1" / "Rectified_calibration" / "001.json").read_text())
    return {name: np.array(m["data"]).reshape(m["rows"], m["cols"]) for name, m in stored.items()}


def test_numbers_go_on_through_both_experiments(root: Path) -> None:
    names = {"Left_rectified", "Right_rectified", "Rectified_calibration"}
    truths = {"DepthL", "DepthR", "Disparity", "OcclusionL", "OcclusionR"}
    for experiment, stems in (("Experiment_1", ["001", "002"]), ("Experiment_2", ["003", "004"])):
        assert {path.name for path in (root / experiment).iterdir()} == names | {"Reference_CT"}
        assert {path.name for path in (root / experiment / "Reference_CT").iterdir()} == truths
        for folder in [*names, *(f"Reference_CT/{truth}" for truth in truths)]:
            assert sorted(path.stem for path in (root / experiment / folder).iterdir()) == stems


def test_depth_is_mm_times_256(root: Path, shot: list[Rig]) -> None:
    for name, side in (("DepthL", "left"), ("DepthR", "right")):
        codes = read(root, f"Reference_CT/{name}")
        assert codes.dtype == np.uint16
        assert codes.min() > 0
        np.testing.assert_allclose(codes / 256, shot[0][side].depth.values, atol=1 / 512 + 1e-4)


def test_disparity_agrees_with_depth_by_the_calibration(root: Path) -> None:
    depth, disparity = (read(root, f"Reference_CT/{name}") / 256 for name in ("DepthL", "Disparity"))
    matrices = calibration(root)
    baseline = -matrices["P2"][0, 3] / matrices["P2"][0, 0]
    assert baseline == pytest.approx(5)
    np.testing.assert_allclose(disparity, matrices["P1"][0, 0] * baseline / depth, atol=0.02)
    points = cv2.reprojectImageTo3D(disparity.astype(np.float32), matrices["Q"])
    np.testing.assert_allclose(points[..., 2], depth, rtol=0.01)
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
    seen = np.concatenate((points, np.ones_like(points[..., :1])), axis=-1) @ matrices["P2"].T
    np.testing.assert_allclose(seen[..., 0] / seen[..., 2], u - disparity, atol=0.02)
    np.testing.assert_allclose(seen[..., 1] / seen[..., 2], v, atol=0.02)


def test_left_depth_lands_on_the_right_one(root: Path) -> None:
    depth, right, disparity = (read(root, f"Reference_CT/{name}") / 256 for name in ("DepthL", "DepthR", "Disparity"))
    matrices = calibration(root)
    beside = np.eye(4)
    beside[:3] = np.linalg.inv(matrices["P1"][:, :3]) @ matrices["P2"]
    moved, there = reprojected(depth, right, matrices["P1"][:, :3], beside)
    assert len(moved) > 0.8 * depth.size
    assert np.mean(abs(there / moved - 1) < 0.02) > 0.95
    # What lies outside the other image is yellow, and in a box nothing is hidden.
    yellow = (read(root, "Reference_CT/OcclusionL") == (0, 255, 255)).all(axis=2)
    np.testing.assert_array_equal(yellow, np.indices(depth.shape)[1] - disparity < -0.5)
    assert (read(root, "Reference_CT/OcclusionL")[~yellow] == 0).mean() > 0.99


def test_what_is_unknown_or_hidden_is_marked(shot: list[Rig], tmp_path: Path) -> None:
    left, right = shot[0]["left"], shot[0]["right"]
    height, width = left.height, left.width
    changed = {"left": (np.full((height, width), 60.0), np.ones((height, width), bool))}
    changed["left"][1][:5] = False
    changed["left"][0][6] = 300.0
    # The right camera sees something nearer in some columns.
    changed["right"] = (np.full((height, width), 60.0), np.ones((height, width), bool))
    changed["right"][0][:, 40:45] = 20.0
    frames = {}
    for name, frame in (("left", left), ("right", right)):
        values, valid = changed[name]
        frames[name] = frame.replace(depth=type(frame.depth)(values, frame.depth.kind, "mm", valid, frame.camera))
    ServCtLayout().write_clip(tmp_path, 0, [Rig(frames, shot[0].pose)])
    depth, disparity = (read(tmp_path, f"Reference_CT/{name}") for name in ("DepthL", "Disparity"))
    assert (depth[:5] == 0).all()
    assert (disparity[:5] == 0).all()
    assert (depth[6] == 0).all()  # more than 16 bits hold
    assert (depth[7:] == 60 * 256).all()
    occlusion = read(tmp_path, "Reference_CT/OcclusionL")[..., ::-1]
    assert (occlusion[:5] == (0, 0, 255)).all()
    red = (occlusion == (255, 0, 0)).all(axis=2)
    shift = round(calibration(tmp_path)["P1"][0, 0] * 5 / 60)
    np.testing.assert_array_equal(np.flatnonzero(red[20]), np.arange(40, 45) + shift)


def test_pictures(root: Path, shot: list[Rig]) -> None:
    for name, side in (("Left_rectified", "left"), ("Right_rectified", "right")):
        np.testing.assert_array_equal(read(root, name)[..., ::-1], np.rint(shot[0][side].image * 255))


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), values)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """The other names of the references, and a second truth of the second experiment."""
    for experiment, stem in ((1, "001"), (2, "009")):
        folder = tmp_path / "SERV-CT" / f"Experiment_{experiment}"
        for side, letter, value in (("Left", "L", 50), ("Right", "R", 90)):
            write(folder / f"{side}_rectified/{stem}.png", np.full((4, 6, 3), (1, 2, value), np.uint8))
            write(folder / f"Ground_truth_CT/Depth{letter}/{stem}.png", np.full((4, 6), value * 256 + 64, np.uint16))
            if experiment == 2:
                write(folder / f"Ground_truth_RGB/Depth{letter}/{stem}.png", np.full((4, 6), 20 * 256, np.uint16))
        calibration = {
            "P1": {"type_id": "opencv-matrix", "rows": 3, "cols": 4, "dt": "d",
                   "data": [770.0, 0, 3, 0, 0, 771, 2, 0, 0, 0, 1, 0]},
            "P2": {"type_id": "opencv-matrix", "rows": 3, "cols": 4, "dt": "d",
                   "data": [770.0, 0, 4, -3850, 0, 771, 2, 0, 0, 0, 1, 0]},
        }  # fmt: skip
        (folder / "Rectified_calibration").mkdir()
        (folder / f"Rectified_calibration/{stem}.json").write_text(json.dumps(calibration))
    codes = np.full((4, 6), 70 * 256, np.uint16)
    codes[1, 2] = 0
    write(tmp_path / "SERV-CT/Experiment_1/Ground_truth_CT/DepthL/001.png", codes)
    return tmp_path


def test_pairs_are_read(release: Path) -> None:
    data = ServCt(release)
    assert [str(id) for id in data.ids] == ["Experiment_1/001/left/000001", "Experiment_2/009/left/000009"]
    frame = data[0]
    np.testing.assert_allclose(frame.image[0, 0] * 255, [50, 2, 1], atol=1e-4)
    assert frame.depth.unit == "mm"
    assert frame.depth.values[0, 0] == 70
    assert np.argwhere(~frame.depth.valid).tolist() == [[1, 2]]
    assert data[1].depth.values[0, 0] == 50.25
    assert (frame.camera.fx, frame.camera.fy, frame.camera.cx, frame.camera.cy) == (770, 771, 3, 2)
    assert data.neighbour(data.ids[0], 1) is None
    both = ServCt(release, "all")
    assert len(both) == 4
    right = both.rig(both.instants()[0])["right"]
    assert (right.depth.values[0, 0], right.camera.cx) == (90.25, 4)
    # a point is seen 3850 / z pixels further left, and one further right for the principal point
    moved = np.linalg.inv(right.pose) @ [0, 0, 77, 1]
    np.testing.assert_allclose(right.camera.project(moved[:3])[0], [770 * -5 / 77 + 4, 2])


def test_structured_light_is_of_the_second_experiment_only(release: Path) -> None:
    data = ServCt(release, truth="rgb")
    assert data[0].depth is None
    assert (data[1].depth.values == 20).all()
    assert len(data.files(data.ids[0])) == 2
    assert data.files(data.ids[1])[2].is_file()


def test_what_the_writer_writes_is_read(root: Path, shot: list[Rig]) -> None:
    data = ServCt(root, "all")
    assert len(data) == 8
    for index, (rig, side) in enumerate((rig, side) for rig in shot for side in ("left", "right")):
        frame, truth = data[index], rig[side]
        np.testing.assert_allclose(frame.depth.values, truth.depth.values, atol=1 / 512 + 1e-4)
        np.testing.assert_array_equal(frame.depth.valid, truth.depth.valid)
        np.testing.assert_allclose(frame.camera.K, truth.camera.K)
        np.testing.assert_allclose(frame.pose, np.linalg.inv(rig["left"].pose) @ truth.pose, atol=1e-9)
        np.testing.assert_allclose(frame.image, truth.image, atol=1e-6)
        assert all(path.is_file() for path in data.files(data.ids[index]))


def test_a_list_of_files_is_a_split(release: Path) -> None:
    (release / "mine.txt").write_text("Experiment_2/Right_rectified/009.png\n")
    assert [str(id) for id in ServCt(release, str(release / "mine.txt")).ids] == ["Experiment_2/009/right/000009"]
    (release / "mine.txt").write_text("009.png\n")
    with pytest.raises(InputError, match=r"mine\.txt: line 1, '009\.png': is not Experiment_1/Left_rectified/001\.png"):
        ServCt(release, str(release / "mine.txt"))


def test_what_is_missing_is_named(release: Path, tmp_path: Path) -> None:
    data, folder = ServCt(release), release / "SERV-CT/Experiment_1"
    (folder / "Ground_truth_CT/DepthL/001.png").unlink()
    with pytest.raises(InputError, match=r"Reference_CT/DepthL/001\.png: no such file"):
        data[0]
    (folder / "Rectified_calibration/001.json").write_text('{"P1": {"data": [1, 2]}}')
    with pytest.raises(InputError, match=r"001\.json: P1 should be OpenCV's matrix of 3x4 numbers"):
        data.camera(data.ids[0])
    with pytest.raises(InputError, match="holds no frame of servct"):
        ServCt(folder / "Left_rectified")


def test_images_made_smaller_have_no_depth_but_a_camera(release: Path) -> None:
    folder = release / "SERV-CT/Experiment_1"
    file = folder / "Rectified_calibration/001.json"
    file.write_text(file.read_text().replace("770.0, 0, 3,", "770.0, 0, 360.5,").replace("771, 2,", "771, 287.5,"))
    write(folder / "Left_rectified/001.png", np.zeros((288, 360, 3), np.uint8))
    assert ServCt(release, truth="none")[0].camera == Pinhole(720, 576, 770.0, 771.0, 360.5, 287.5).resize(288, 360)
    with pytest.raises(InputError, match=r"Left_rectified/001.png: is 360x288 but its depth is of 6x4"):
        ServCt(release)[0]


def test_what_macos_leaves_is_no_frame(release: Path) -> None:
    (release / "SERV-CT/Experiment_1/Left_rectified/._001.png").write_bytes(b"\0\5\26\7")
    assert len(ServCt(release)) == 2
