from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from common.reprojection import reprojected
from common.rigs import rigs
from leadline.data.layout import open_layout
from leadline.data.scannet import ScanNetLayout
from leadline.rig import Rig


def spoil(rig: Rig) -> Rig:
    """A fifth of what the depth camera sees reflects, its first column has no depth."""
    frame = rig["depth"]
    reflective, valid = frame.reflective.copy(), frame.depth.valid.copy()
    reflective[: frame.height // 5], valid[:, 0] = True, False
    frame = frame.replace(reflective=reflective, depth=replace(frame.depth, valid=valid))
    return replace(rig, frames={**rig.frames, "depth": frame})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root, layout = tmp_path_factory.mktemp("scannet"), open_layout("scannet", "room")
    plain = rigs(layout.mounts(), count=3)
    clips = [[spoil(rig) for rig in plain], plain]
    for number, clip in enumerate(clips):
        assert layout.write_clip(root, number, clip) == [root / "scans" / f"scene{number:04d}_00"]
    layout.finish(root, len(clips))
    return root, clips


def test_the_folders_are_sensreaders(made):
    root, _ = made
    scene = root / "scans" / "scene0000_00"
    for folder, suffix in (("color", "jpg"), ("depth", "png"), ("pose", "txt"), ("reflective", "png")):
        assert sorted(path.name for path in (scene / folder).iterdir()) == [f"{index}.{suffix}" for index in range(3)]
    kinds = [f"{what}_{of}.txt" for what in ("extrinsic", "intrinsic") for of in ("color", "depth")]
    assert sorted(path.name for path in (scene / "intrinsic").iterdir()) == kinds
    assert (scene / "intrinsic" / "extrinsic_depth.txt").read_text().startswith("1.000000 0.000000 0.000000 0.000000\n")


def test_depth_is_in_millimetres_and_0_where_unknown(made):
    root, clips = made
    for index, rig in enumerate(clips[0]):
        codes = cv2.imread(str(root / "scans/scene0000_00/depth" / f"{index}.png"), cv2.IMREAD_UNCHANGED)
        assert codes.dtype == np.uint16
        assert codes.shape == (48, 64)
        assert (codes[:, 0] == 0).all()
        assert np.abs(codes / 1000 - rig["depth"].depth.values)[:, 1:].max() <= 0.00051


def test_colour_has_its_own_size(made):
    root, clips = made
    with Image.open(root / "scans/scene0001_00/color/1.jpg") as picture:
        assert picture.format == "JPEG"
        grey = np.asarray(picture.convert("L")) / 255  # JPEG halves the colours' resolution
    assert np.abs(grey - clips[1][1]["color"].image @ [0.299, 0.587, 0.114]).mean() < 0.01


def test_depth_of_one_frame_lands_on_the_next(made):
    root, _ = made
    scene = root / "scans" / "scene0001_00"
    matrix = np.loadtxt(scene / "intrinsic/intrinsic_depth.txt")[:3, :3]
    first, second = (cv2.imread(str(scene / f"depth/{n}.png"), cv2.IMREAD_UNCHANGED) / 1000 for n in (0, 1))
    pose, to = (np.loadtxt(scene / f"pose/{n}.txt") for n in (0, 1))
    moved, there = reprojected(first, second, matrix, np.linalg.inv(to) @ pose)
    off = np.abs(there / moved - 1)
    assert len(off) > 0.8 * first.size
    assert np.median(off) < 0.005
    assert np.quantile(off, 0.95) < 0.05


def test_colour_intrinsics_see_the_same_world(made):
    root, clips = made
    matrix = np.loadtxt(root / "scans/scene0000_00/intrinsic/intrinsic_color.txt")
    assert matrix.shape == (4, 4)
    # A tenth of the real size: the edge of the image, not the centre of its first pixel, stays where it was.
    assert matrix[0, 0] == pytest.approx(1169.621094 * clips[0][0]["color"].width / 1296, abs=1e-5)
    assert matrix[0, 2] + 0.5 == pytest.approx((646.295044 + 0.5) * clips[0][0]["color"].width / 1296, abs=1e-5)


def test_triplets_are_sorted_by_what_reflects(made):
    root, _ = made
    assert (root / "splits/ScanNet-Reflection.txt").read_text() == "scene0000_00 1 0 2\n"
    assert (root / "splits/ScanNet-NoReflection.txt").read_text() == "scene0001_00 1 0 2\n"


def test_mounts_are_the_real_sizes():
    mounts = ScanNetLayout().mounts()
    sizes = {name: (mount.camera.width, mount.camera.height) for name, mount in mounts.items()}
    assert sizes == {"color": (1296, 968), "depth": (640, 480)}
