from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from common.rigs import rigs
from leadline.camera import Pinhole
from leadline.data.booster import Booster
from leadline.data.layout import open_layout
from leadline.data.lists import FrameId
from leadline.errors import InputError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root, layout = tmp_path_factory.mktemp("booster"), open_layout("booster", "room")
    clip = rigs(layout.mounts(), count=2, scale=0.05)
    left = clip[0]["left"]
    valid, reflective = left.depth.valid.copy(), left.reflective.copy()
    valid[0], reflective[:, -1] = False, True
    left = left.replace(depth=replace(left.depth, valid=valid), reflective=reflective)
    clip[0] = replace(clip[0], frames={**clip[0].frames, "left": left})
    scenes = layout.write_clip(root, 4, clip)
    assert scenes == [root / f"train/balanced/Room0004_{index:06d}" for index in range(2)]
    return scenes, clip


def calibration(scene):
    """As the authors' evaluation reads it."""
    storage = cv2.FileStorage(str(scene / "calib_00-02.xml"), cv2.FILE_STORAGE_READ)
    nodes = {name: storage.getNode(name).mat() for name in ("mtxL", "mtxR", "R", "T", "proj_matL", "proj_matR")}
    return nodes, storage.getNode("baselineLR").real()


def test_a_scene_has_the_files_of_the_train_split(made):
    scenes, _ = made
    assert sorted(path.relative_to(scenes[1]).as_posix() for path in scenes[1].rglob("*") if path.is_file()) == [
        "calib_00-02.xml", "camera_00/im0.png", "camera_02/im0.png", "disp_00.npy", "disp_02.npy",
        "mask_00.png", "mask_02.png", "mask_cat.png",
    ]  # fmt: skip


def test_depth_comes_back_from_disparity_focal_and_baseline(made):
    scenes, clip = made
    for scene, rig in zip(scenes, clip, strict=True):
        nodes, baseline = calibration(scene)
        assert baseline == pytest.approx(80)
        for name, number in (("left", "00"), ("right", "02")):
            disparity, depth = np.load(scene / f"disp_{number}.npy"), rig[name].depth
            assert disparity.dtype == np.float32
            assert ((disparity > 0) == depth.valid).all()
            metres = nodes["proj_matL"][0, 0] * baseline / 1000 / disparity[depth.valid]
            assert np.abs(metres / depth.values[depth.valid] - 1).max() < 1e-5


def test_matrices_agree(made):
    scenes, clip = made
    nodes, baseline = calibration(scenes[0])
    assert np.allclose(nodes["mtxL"], clip[0]["left"].camera.K)
    assert np.allclose(nodes["mtxR"], clip[0]["right"].camera.K)
    assert np.allclose(nodes["R"], np.eye(3))
    assert np.allclose(nodes["T"], [[-baseline], [0], [0]])
    assert np.allclose(nodes["proj_matL"][:, :3], nodes["mtxL"])
    assert nodes["proj_matR"][0, 3] == pytest.approx(-baseline * nodes["mtxR"][0, 0])


def test_left_pixels_land_on_the_right_ones_the_mask_calls_visible(made):
    scenes, _ = made
    left, right = (np.asarray(Image.open(scenes[0] / f"camera_{number}/im0.png")) / 255 for number in ("00", "02"))
    disparity = np.load(scenes[0] / "disp_00.npy")
    visible = cv2.imread(str(scenes[0] / "mask_00.png"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(visible)) == {0, 255}
    assert (visible[0] == 0).all()
    row, column = np.nonzero(visible)
    landing = np.rint(column - disparity[row, column]).astype(int)
    assert (landing >= 0).all()
    assert (visible[1:] > 0).mean() > 0.9
    moved = np.abs(left[row, column] - right[row, landing]).mean()
    assert moved < 0.5 * np.abs(left[row, column] - right[row, column]).mean()


def test_what_hides_behind_something_is_masked(tmp_path):
    layout = open_layout("booster", "room")
    rig = rigs(layout.mounts(), count=1, scale=0.05)[0]
    far = {name: np.full_like(frame.depth.values, 8.0) for name, frame in rig.items()}
    focal = rig["left"].camera.fx
    wide, shift = rig["left"].width, round(focal * 0.08 / 1.0)
    # A pole 1 m away and 20 pixels wide: in the left view it hides what lies beside its right edge in the right one.
    start = wide // 2
    far["left"][:, start : start + 20] = far["right"][:, start - shift : start - shift + 20] = 1.0
    frames = {
        name: frame.replace(depth=replace(frame.depth, values=far[name], valid=np.ones_like(far[name], bool)))
        for name, frame in rig.items()
    }
    scene = layout.write_clip(tmp_path, 0, [replace(rig, frames=frames)])[0]
    left, right = (cv2.imread(str(scene / f"mask_{number}.png"), cv2.IMREAD_UNCHANGED)[0] for number in ("00", "02"))
    behind = shift - round(focal * 0.08 / 8)
    assert (left[start : start + 20] == 255).all()
    assert (left[start - behind + 1 : start - 1] == 0).all()
    assert (right[start - shift + 21 : start - shift + 20 + behind - 1] == 0).all()
    assert left[start + 20 :].all()


def test_reflections_are_of_the_hardest_material(made):
    scenes, clip = made
    material = cv2.imread(str(scenes[0] / "mask_cat.png"), cv2.IMREAD_UNCHANGED)
    assert (material == 3 * clip[0]["left"].reflective).all()
    assert material.any()


def test_mounts_are_the_real_size():
    mounts = open_layout("booster", "room").mounts()
    assert [(mount.camera.width, mount.camera.height) for mount in mounts.values()] == [(4112, 3008)] * 2


IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
#: As OpenCV's FileStorage writes it, numbers over several lines.
XML = """<?xml version="1.0"?>
<opencv_storage>
<mtxL type_id="opencv-matrix"><rows>3</rows><cols>3</cols><dt>d</dt><data>
    9. 0. 1. 0. 9. 1. 0. 0. 1.</data></mtxL>
<proj_matL type_id="opencv-matrix">
  <rows>3</rows>
  <cols>4</cols>
  <dt>d</dt>
  <data>
    4. 0. 1.25 0. 0. 4.5 7.5e-01 0.
    0. 0. 1. 0.</data></proj_matL>
<proj_matR type_id="opencv-matrix"><rows>3</rows><cols>4</cols><dt>d</dt><data>
    4. 0. 1.25 -320. 0. 4.5 7.5e-01 0. 0. 0. 1. 0.</data></proj_matR>
<baselineLR>80.</baselineLR>
</opencv_storage>
"""


def put_scene(scene, names=("im0", "im1")):
    for camera in ("00", "02"):
        (scene / f"camera_{camera}").mkdir(parents=True)
        for name in names:
            Image.fromarray(IMAGE).save(scene / f"camera_{camera}" / f"{name}.png")
    np.save(scene / "disp_00.npy", np.array([[0, 1, 2], [4, np.inf, 8]], np.float32))
    np.save(scene / "disp_02.npy", np.full((2, 3), 2, np.float32))
    Image.fromarray(np.array([[0, 1, 2], [3, 3, 0]], np.uint8)).save(scene / "mask_cat.png")
    (scene / "calib_00-02.xml").write_text(XML)
    return scene


def test_every_illumination_is_a_frame_of_one_truth(tmp_path):
    put_scene(tmp_path / "train/balanced/Bathroom")
    put_scene(tmp_path / "train/balanced/Bottle", ("im0",))
    data = Booster(tmp_path)
    assert [str(id) for id in data.ids] == [
        "balanced/Bathroom/00/000000", "balanced/Bathroom/00/000001", "balanced/Bottle/00/000000"
    ]  # fmt: skip
    first, second, _ = data
    assert first.depth.unit == "m"
    assert first.depth.valid.tolist() == [[False, True, True], [True, False, True]]
    assert np.allclose(first.depth.values[first.depth.valid], [0.32, 0.16, 0.08, 0.04])
    assert np.array_equal(first.depth.values, second.depth.values)
    assert first.camera == Pinhole(3, 2, 4.0, 4.5, 1.25, 0.75)
    assert first.semantics.tolist() == [[0, 1, 2], [3, 3, 0]]
    assert first.reflective.tolist() == [[False, False, True], [True, True, False]]
    assert np.array_equal(first.pose, np.eye(4))
    assert first.time is None
    with pytest.raises(InputError, match="has no neighbour"):
        data.clip(0)


def test_the_right_camera_sits_at_the_baseline(tmp_path):
    put_scene(tmp_path / "train/balanced/Bathroom")
    data = Booster(tmp_path)
    right = data.load(replace(data.ids[0], camera="02"))
    assert right.pose[:3, 3].tolist() == [0.08, 0, 0]
    assert (right.semantics, right.reflective) == (None, None)
    assert np.allclose(right.depth.values, 0.16)
    pair = Booster(tmp_path, split="all")
    assert pair.instants() == [[0, 2], [1, 3]]
    assert set(pair.rig([0, 2])) == {"00", "02"}


@pytest.mark.parametrize("inner", ["", "train", "train/balanced"])
def test_the_folder_may_be_any_of_those_above_the_scenes(tmp_path, inner, monkeypatch):
    put_scene(tmp_path / "train/balanced/Bathroom")
    monkeypatch.chdir(tmp_path / inner)
    assert len(Booster(".")) == 2
    data = Booster(tmp_path / inner)
    assert len(data) == 2
    assert data.digest == Booster(tmp_path).digest
    assert data.parse("Bathroom/camera_00/im1.png Bathroom/disp_00.npy Bathroom/calib_00-02.xml") == data.ids[1]


def test_setups_are_not_taken_for_each_other(tmp_path):
    put_scene(tmp_path / "train/balanced/Bathroom")
    for root in (tmp_path, tmp_path / "train/balanced"):
        with pytest.raises(InputError, match="holds no frame of booster, split unbalanced-train"):
            Booster(root, split="unbalanced-train")
    scene = put_scene(tmp_path / "train/unbalanced/Car")
    (scene / "calib_00-02.xml").rename(scene / "calib_00-01.xml")
    data = Booster(tmp_path, split="unbalanced-train")
    assert data[0].depth.values[0, 1] == pytest.approx(0.32)
    assert [id.sequence for id in data.ids] == ["unbalanced/Car"] * 2


def test_scenes_of_the_challenges_count_in_four_digits(tmp_path):
    put_scene(tmp_path / "Window3", ("0000", "0002"))
    data = Booster(tmp_path)
    assert data.ids == [FrameId("balanced/Window3", 0, "00"), FrameId("balanced/Window3", 2, "00")]
    assert data[1].name == "000002"


def test_test_scenes_have_no_depth(tmp_path):
    scene = put_scene(tmp_path / "Window3", ("0000",))
    data = Booster(tmp_path, split="all")
    (scene / "disp_02.npy").unlink()
    assert [data[index].depth is None for index in (0, 1)] == [False, True]
    (scene / "disp_00.npy").unlink()
    assert [data[index].depth is None for index in (0, 1)] == [True, True]
    assert [len(data.files(id)) for id in data.ids] == [2, 2]
    assert len(Booster(tmp_path, truth="none").files(data.ids[0])) == 2
    with pytest.raises(InputError, match=r"disp_00.npy: no such file"):
        Booster(tmp_path)[0]


def test_what_is_missing_is_named(tmp_path):
    scene = put_scene(tmp_path / "Bathroom")
    data = Booster(tmp_path)
    (scene / "calib_00-02.xml").write_text(XML.replace("baselineLR", "baseline"))
    with pytest.raises(InputError, match=r"calib_00-02.xml: should hold proj_matL, proj_matR .* and baselineLR"):
        data[0]
    (scene / "calib_00-02.xml").unlink()
    with pytest.raises(InputError, match=r"calib_00-02.xml: no such file"):
        data[0]
    (scene / "disp_00.npy").unlink()
    with pytest.raises(InputError, match=r"disp_00.npy: no such file"):
        data.depth(data.ids[0])
    with pytest.raises(InputError, match=r"is not SCENE/camera_00/im0.png"):
        data.parse("Bathroom/im0.png")


def test_what_was_written_is_read(made):
    scenes, clip = made
    data = Booster(scenes[0].parents[2], split="all")
    for index, (rig, camera) in enumerate((rig, camera) for rig in clip for camera in ("left", "right")):
        frame, wanted = data[index], rig[camera]
        assert np.array_equal(frame.depth.valid, wanted.depth.valid)
        valid = wanted.depth.valid
        assert np.allclose(frame.depth.values[valid], wanted.depth.values[valid], rtol=1e-5)
        assert np.allclose(frame.camera.K, wanted.camera.K)
        assert np.allclose(frame.pose, np.linalg.inv(rig["left"].pose) @ wanted.pose)
        assert np.abs(frame.image - wanted.image).max() < 0.003
        if camera == "left":
            assert np.array_equal(frame.reflective, wanted.reflective)


def test_linked_folders_are_found_and_files_of_macos_are_not(tmp_path):
    scene = put_scene(tmp_path / "elsewhere/balanced/Bathroom")
    (scene / "camera_00/._im0.png").write_bytes(b"\0\5\26\7")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/train").symlink_to(tmp_path / "elsewhere")
    assert [str(id) for id in Booster(tmp_path / "root").ids] == [
        "balanced/Bathroom/00/000000", "balanced/Bathroom/00/000001"
    ]  # fmt: skip


def test_test_scenes_are_not_trained_on(tmp_path):
    put_scene(tmp_path / "train/balanced/Bathroom", ("im0",))
    put_scene(tmp_path / "test/balanced/Window", ("im0",))
    assert [id.sequence for id in Booster(tmp_path).ids] == ["balanced/Bathroom"]
    assert {id.sequence for id in Booster(tmp_path, "all").ids} == {"balanced/Bathroom", "balanced/Window"}
