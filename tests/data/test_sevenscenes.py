from __future__ import annotations

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from common.reprojection import reprojected
from common.rigs import rigs
from leadline.data.layout import open_layout
from leadline.rig import Rig


def hole(rig: Rig) -> Rig:
    frame = rig["kinect"]
    valid = frame.depth.valid.copy()
    valid[:, 0] = False
    return Rig({"kinect": frame.replace(depth=replace(frame.depth, valid=valid))}, rig.pose)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root, layout = tmp_path_factory.mktemp("sevenscenes"), open_layout("sevenscenes", "room")
    clip = [hole(rig) for rig in rigs(layout.mounts(), count=3)]
    assert layout.write_clip(root, 7, clip) == [root / "room0007"]
    return root / "room0007", [rig["kinect"] for rig in clip]


def stems(scene):
    return [scene / "seq-01" / "frame-000000", scene / "seq-01" / "frame-000001", scene / "seq-02" / "frame-000000"]


def test_the_scene_has_two_sequences_and_the_lists_name_them(made):
    scene, _ = made
    files = {path.relative_to(scene).as_posix() for path in scene.rglob("*") if path.is_file()}
    frames = {f"{stem.relative_to(scene).as_posix()}.{kind}" for stem in stems(scene)
              for kind in ("color.png", "depth.png", "pose.txt")}  # fmt: skip
    assert files == frames | {"TrainSplit.txt", "TestSplit.txt"}
    assert (scene / "TrainSplit.txt").read_text() == "sequence1\n"
    assert (scene / "TestSplit.txt").read_text() == "sequence2\n"


def test_a_clip_of_one_frame_has_no_test_sequence(tmp_path):
    layout = open_layout("sevenscenes", "room")
    layout.write_clip(tmp_path, 0, rigs(layout.mounts(), count=1, scale=0.05))
    assert (tmp_path / "room0000/TestSplit.txt").read_text() == ""
    assert not (tmp_path / "room0000/seq-02").exists()


def test_depth_is_in_millimetres_and_65535_where_unknown(made):
    scene, frames = made
    for stem, frame in zip(stems(scene), frames, strict=True):
        codes = cv2.imread(f"{stem}.depth.png", cv2.IMREAD_UNCHANGED)
        assert codes.dtype == np.uint16
        assert (codes[:, 0] == 65535).all()
        assert np.abs(codes / 1000 - frame.depth.values)[:, 1:].max() <= 0.00051
        assert (np.asarray(Image.open(f"{stem}.color.png")) == np.rint(frame.image * 255)).all()


def test_depth_of_one_frame_lands_on_the_next(made):
    scene, _ = made
    a, b, _ = stems(scene)
    matrix = np.array([[58.5, 0, 320.5 / 10 - 0.5], [0, 58.5, 240.5 / 10 - 0.5], [0, 0, 1]])
    first, second = (cv2.imread(f"{stem}.depth.png", cv2.IMREAD_UNCHANGED) / 1000 for stem in (a, b))
    pose, to = (np.loadtxt(f"{stem}.pose.txt") for stem in (a, b))
    moved, there = reprojected(np.where(first < 65, first, 0), second, matrix, np.linalg.inv(to) @ pose)
    off = np.abs(there / moved - 1)[there < 65]
    assert len(off) > 0.8 * first.size
    assert np.median(off) < 0.005
    assert np.quantile(off, 0.95) < 0.05


def test_files_look_like_the_real_ones(made, real_data):
    pattern = re.compile(r"frame-\d{6}\.(color\.(png|jpg)|depth\.png|pose\.txt)")  # the sample's colour is repackaged
    scene, _ = made
    kinds = []
    for folder in (scene / "seq-01", real_data / "sevenscenes" / "seq-01"):
        assert all(pattern.fullmatch(path.name) for path in folder.iterdir())
        depth = cv2.imread(str(folder / "frame-000001.depth.png"), cv2.IMREAD_UNCHANGED)
        lines = (folder / "frame-000001.pose.txt").read_text().splitlines()
        pose = np.array([[float(number) for number in line.split()] for line in lines])
        assert pose.shape == (4, 4)
        assert pose[3].tolist() == [0, 0, 0, 1]
        assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-2)  # what a frame takes for a rotation
        kinds.append((depth.dtype, depth.ndim, all("e" in number for line in lines for number in line.split())))
    assert kinds[0] == kinds[1]
    mount = open_layout("sevenscenes", "room").mounts()["kinect"]
    assert np.array_equal(mount.camera.K, np.loadtxt(real_data / "sevenscenes" / "camera-intrinsics.txt"))
    assert depth.shape == (mount.camera.height, mount.camera.width)
