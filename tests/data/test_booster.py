from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from common.rigs import rigs
from leadline.data.layout import open_layout


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
