from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from common.reprojection import reprojected
from common.rigs import rigs
from leadline.camera import Pinhole
from leadline.data.layout import open_layout
from leadline.data.lists import FrameId
from leadline.data.scannet import ScanNet, ScanNetLayout
from leadline.errors import InputError
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


IMAGE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
#: Half the image's size, so that every depth covers two by two pixels of it.
CODES = np.array([[0, 1000, 2500], [65535, 1, 40000]], np.uint16)
POSE = "0 -1 0 1.5\n1 0 0 -2\n0 0 1 0.25\n0 0 0 1\n"
INTRINSIC = "5.5 0 2.75 0\n0 5.25 1.5 0\n0 0 1 0\n0 0 0 1\n"


def put(path, what):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(what, str):
        path.write_text(what)
    else:
        Image.fromarray(what).save(path)


def put_scene(scene, numbers=("0", "7", "10")):
    for number in numbers:
        put(scene / f"color/{number}.jpg", IMAGE)
        put(scene / f"depth/{number}.png", CODES)
        put(scene / f"pose/{number}.txt", POSE)
    put(scene / "intrinsic/intrinsic_color.txt", INTRINSIC)
    return scene


def test_a_scene_of_the_exporter_is_read(tmp_path):
    put_scene(tmp_path / "scans/scene0011_01")
    data = ScanNet(tmp_path, split="all")
    assert [str(id) for id in data.ids] == ["scene0011_01/000000", "scene0011_01/000007", "scene0011_01/000010"]
    frame = data[1]
    assert frame.camera == Pinhole(6, 4, 5.5, 5.25, 2.75, 1.5)
    assert frame.pose.tolist() == [[0, -1, 0, 1.5], [1, 0, 0, -2], [0, 0, 1, 0.25], [0, 0, 0, 1]]
    assert frame.time == pytest.approx(7 / 30)
    assert (frame.sequence, frame.name) == ("scene0011_01", "000007")
    assert frame.depth.unit == "m"
    assert frame.depth.camera == frame.camera
    assert frame.reflective is None
    twice = CODES.repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(frame.depth.values, twice / np.float32(1000))
    assert np.array_equal(frame.depth.valid, twice != 0)


def test_lost_tracking_leaves_a_frame_without_pose(tmp_path):
    scene = put_scene(tmp_path / "scans/scene0000_00")
    put(scene / "pose/7.txt", "-inf -inf -inf -inf\n" * 4)
    data = ScanNet(tmp_path, split="all")
    assert [data[index].pose is None for index in range(3)] == [False, True, False]


def test_the_25k_subset_and_bare_frames_are_read(tmp_path):
    scene = put_scene(tmp_path / "25k/scene0000_00", ("000000", "000100"))
    (scene / "intrinsic/intrinsic_color.txt").rename(scene / "intrinsics_color.txt")
    subset = ScanNet(tmp_path / "25k", split="all")
    assert [id.number for id in subset.ids] == [0, 100]
    assert subset[1].camera.fx == 5.5
    put(tmp_path / "bare/scene0084_00/color/001900.jpg", IMAGE)
    put(tmp_path / "bare/scene0084_00/depth/001900.png", CODES)
    bare = ScanNet(tmp_path / "bare", split="all")
    assert all(path.is_file() for path in bare.files(bare.ids[0]))
    assert (bare[0].camera, bare[0].pose) == (None, None)
    assert bare[0].depth.valid.sum() == 20


def test_the_test_split_is_the_scenes_from_707_on(tmp_path):
    for top, scene in (("scans", "scene0706_00"), ("scans_test", "scene0707_00"), ("scans_test", "scene0806_00")):
        put_scene(tmp_path / top / scene, ("0",))
    assert [id.sequence for id in ScanNet(tmp_path, split="test").ids] == ["scene0707_00", "scene0806_00"]


def test_lists_of_the_field_are_understood(tmp_path):
    put_scene(tmp_path / "scans/scene0011_01")
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/marigold.txt").write_text("scene0011_01/color/000010.jpg scene0011_01/depth/000010.png\n")
    (tmp_path / "splits/reflection-test.txt").write_text("# of 2023\nscene0011_01 7 0 10\n")
    assert ScanNet(tmp_path).ids == [FrameId("scene0011_01", 10)]
    assert ScanNet(tmp_path, split="reflection-test").ids == [FrameId("scene0011_01", 7)]
    for line in ("scene0011_01", "scene0011_01/depth/7.png", "chess 1 2 3"):
        with pytest.raises(InputError, match="SCENE REFERENCE"):
            ScanNet(tmp_path, split="all").parse(line)


def test_what_is_missing_is_named(tmp_path):
    scene = put_scene(tmp_path / "scans/scene0000_00")
    with pytest.raises(
        InputError, match=r"marigold.txt: split marigold needs this list; .*prs-eth/Marigold, 800 lines"
    ):
        ScanNet(tmp_path)
    with pytest.raises(InputError, match=r"ScanNet-Reflection.txt: cannot be read as a list of frames"):
        ScanNet(tmp_path, split="reflection")
    data = ScanNet(tmp_path, split="all")
    (scene / "intrinsic/intrinsic_color.txt").write_text(INTRINSIC.replace("2.75", "646.3"))
    with pytest.raises(InputError, match=r"intrinsic_color.txt: principal point 646.3, .* is not that of 6x4"):
        data[0]
    for name, read in (
        ("intrinsic/intrinsic_color.txt", data.camera),
        ("pose/0.txt", data.pose),
        ("depth/0.png", data.depth),
    ):
        (scene / name).unlink()
        with pytest.raises(InputError, match=rf"{name}: no such file"):
            read(data.ids[0])
    with pytest.raises(InputError, match="holds no frame of scannet"):
        ScanNet(tmp_path / "scans/scene0000_00", split="all")


def test_what_was_written_is_read(made):
    root, clips = made
    data = ScanNet(root, split="all")
    assert len(data) == 6
    for index, rig in enumerate([*clips[0], *clips[1]]):
        frame, color, seen = data[index], rig["color"], rig["depth"]
        assert np.allclose(frame.camera.K, color.camera.K, atol=1e-6)
        assert np.allclose(frame.pose, color.pose, atol=1e-6)
        grey = [0.299, 0.587, 0.114]  # JPEG halves the colours' resolution
        assert np.abs((frame.image - color.image) @ grey).mean() < 0.01
        assert frame.time == pytest.approx(index % 3 / 30)
        size = (frame.height, frame.width)
        rows, columns = ((2 * np.arange(n) + 1) * old // (2 * n) for n, old in zip(size, (48, 64), strict=True))
        nearest = np.ix_(rows, columns)
        assert np.array_equal(frame.depth.valid, seen.depth.valid[nearest])
        off = np.abs(frame.depth.values - seen.depth.values[nearest])
        assert off[frame.depth.valid].max() <= 0.00051
        assert np.array_equal(frame.reflective, seen.reflective[nearest])
        # the depth camera's pixels are taken for the colour camera's: off by less than one of them
        assert np.median(np.abs(frame.depth.values / color.depth.values - 1)[frame.depth.valid]) < 0.01


def test_triplets_become_the_reflection_splits(made):
    root, _ = made
    assert ScanNet(root, split="reflection").ids == [FrameId("scene0000_00", 1)]
    assert ScanNet(root, split="no-reflection").ids == [FrameId("scene0001_00", 1)]


def test_what_macos_leaves_is_no_frame_and_truth_is_not_always_needed(tmp_path):
    scene = put_scene(tmp_path / "scans/scene0000_00")
    whole = ScanNet(tmp_path, "all")
    (scene / f"color/._{whole.paths[0].name}").write_bytes(b"\0\5\26\7")
    assert ScanNet(tmp_path, "all").ids == whole.ids
    assert {path.parent.name for path in ScanNet(tmp_path, "all", "none").files(whole.ids[0])} == {"color", "pose"}


def test_images_made_smaller_keep_their_calibration(tmp_path):
    scene = put_scene(tmp_path / "scans/scene0000_00")
    (scene / "intrinsic/intrinsic_color.txt").write_text("1170 0 646.5 0\n0 1167 489.5 0\n0 0 1 0\n0 0 0 1\n")
    data = ScanNet(tmp_path, "all", "none")
    Image.new("RGB", (648, 484)).save(data.paths[0])
    assert data.camera(data.ids[0]) == Pinhole(1296, 968, 1170.0, 1167.0, 646.5, 489.5).resize(484, 648)
