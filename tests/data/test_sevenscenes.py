from __future__ import annotations

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from common.reprojection import reprojected
from common.rigs import rigs
from leadline.camera import Pinhole
from leadline.data.layout import open_layout
from leadline.data.lists import FrameId
from leadline.data.sevenscenes import SevenScenes
from leadline.errors import InputError
from leadline.geometry.lift import reproject
from leadline.geometry.poses import relative
from leadline.geometry.warp import sample
from leadline.losses.photometric import photometric_error
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


CODES = np.array([[0, 1000, 65535], [2500, 1, 40000]], np.uint16)
POSE = (
    " 0.0\t -1.0\t 0.0\t 1.5e+00\t\n 1.0002\t 0.0\t 0.0\t -2.0\t\n 0.0\t 0.0\t 1.0\t 0.25\t\n 0.0\t 0.0\t 0.0\t 1.0\t\n"
)


def put_sequence(folder, count=2, suffix="png"):
    folder.mkdir(parents=True)
    for index in range(count):
        stem = folder / f"frame-{index:06d}"
        Image.fromarray(np.full((2, 3, 3), 50 * index, np.uint8)).save(f"{stem}.color.{suffix}")
        Image.fromarray(CODES).save(f"{stem}.depth.png")
        stem.with_suffix(".pose.txt").write_text(POSE)
    return folder


def test_a_frame_is_read_as_it_stands_in_its_files(tmp_path):
    put_sequence(tmp_path / "chess/seq-03")
    frame = SevenScenes(tmp_path, split="all")[1]
    assert (frame.sequence, frame.name, frame.depth.unit) == ("chess/seq-03", "000001", "m")
    assert frame.time == pytest.approx(1 / 30)
    assert frame.depth.valid.tolist() == [[False, True, False], [True, True, True]]
    assert np.array_equal(frame.depth.values[frame.depth.valid], np.array([1, 2.5, 0.001, 40], np.float32))
    # the stored rotation is not quite one, and put right
    assert np.allclose(frame.pose, [[0, -1, 0, 1.5], [1, 0, 0, -2], [0, 0, 1, 0.25], [0, 0, 0, 1]], rtol=0, atol=1e-12)
    assert frame.camera.fx == pytest.approx(585 * 3 / 640)
    assert np.allclose(frame.image, 50 / 255)


def test_splits_are_the_lists_of_the_scenes(tmp_path):
    for scene, name in (("chess", "seq-01"), ("chess", "seq-10"), ("fire", "seq-02")):
        put_sequence(tmp_path / scene / name, suffix="jpg")
    (tmp_path / "chess/TestSplit.txt").write_text("sequence10\n")
    (tmp_path / "chess/TrainSplit.txt").write_text("sequence1 \n\n")
    (tmp_path / "fire/TestSplit.txt").write_text("sequence2")
    assert [str(id) for id in SevenScenes(tmp_path).ids] == [
        "chess/seq-10/000000", "chess/seq-10/000001", "fire/seq-02/000000", "fire/seq-02/000001"
    ]  # fmt: skip
    assert {id.sequence for id in SevenScenes(tmp_path, split="train").ids} == {"chess/seq-01"}
    assert len(SevenScenes(tmp_path, split="all")) == 6
    assert SevenScenes(tmp_path / "fire").ids == [FrameId("fire/seq-02", 0), FrameId("fire/seq-02", 1)]
    (tmp_path / "mine.txt").write_text("fire/seq-02/frame-000001.color.png\n")
    assert SevenScenes(tmp_path, split=str(tmp_path / "mine.txt")).ids == [FrameId("fire/seq-02", 1)]


def test_intrinsics_beside_the_sequences_are_believed(tmp_path):
    put_sequence(tmp_path / "chess/seq-01")
    (tmp_path / "chess/camera-intrinsics.txt").write_text("5 0 1\n0 6 0.5\n0 0 1\n")
    assert SevenScenes(tmp_path, split="all")[0].camera == Pinhole(3, 2, 5, 6, 1, 0.5)


def test_what_is_missing_is_named(tmp_path):
    folder = put_sequence(tmp_path / "chess/seq-01")
    with pytest.raises(InputError, match=r"no scene has a TestSplit.txt; --split all takes every sequence"):
        SevenScenes(tmp_path)
    data = SevenScenes(tmp_path, split="all")
    with pytest.raises(InputError, match="is not SCENE/seq-NN/frame-000000"):
        data.parse("chess/seq-01")
    for name, read in (("frame-000000.depth.png", data.depth), ("frame-000000.pose.txt", data.pose)):
        assert folder / name in data.files(data.ids[0])
        (folder / name).unlink()
        with pytest.raises(InputError, match=rf"{name}: no such file"):
            read(data.ids[0])


def test_what_was_written_is_read(made):
    scene, frames = made
    data = SevenScenes(scene.parent, split="all")
    for found, wanted in zip(data, frames, strict=True):
        assert np.array_equal(found.depth.valid, wanted.depth.valid)
        assert np.abs(found.depth.values - wanted.depth.values)[found.depth.valid].max() <= 0.00051
        assert np.allclose(found.camera.K, wanted.camera.K)
        assert np.allclose(found.pose, wanted.pose, atol=1e-6)
        assert np.abs(found.image - wanted.image).max() < 0.003
    assert [len(SevenScenes(scene.parent, split=split)) for split in ("train", "test")] == [2, 1]


def tensor(image):
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def test_real_frames_warp_onto_their_neighbours(real_data):
    data = SevenScenes(real_data / "sevenscenes", split="all")
    assert len(data) == 480
    ratios = []
    for index in range(20, 480, 58):
        one, two = data.clip(index, (0, 4))
        depth = np.where(one.depth.valid, one.depth.values, 0)
        uv, moved, seen = reproject(depth, one.camera, relative(one.pose, two.pose), two.camera)
        assert seen.mean() > 0.7
        column, row = np.rint(uv[seen]).astype(int).clip(0, (639, 479)).T
        known = two.depth.valid[row, column]
        there = two.depth.values[row, column][known]
        assert np.median(np.abs(moved[seen][known] / there - 1)) < 0.006
        warped = sample(tensor(two.image), torch.from_numpy(np.where(seen[..., None], uv, 0)).float()[None])
        errors = (
            photometric_error(tensor(one.image), image)[0, 0].numpy()[seen] for image in (warped, tensor(two.image))
        )
        right, still = (values.mean() for values in errors)
        ratios.append(right / still)
    assert len(ratios) == 8
    assert max(ratios) < 0.9  # one of the pairs is blurred by motion
    assert np.mean(ratios) < 0.65


def test_sequences_are_called_the_same_from_every_folder(tmp_path):
    put_sequence(tmp_path / "rooms/chess/seq-01")
    data = [SevenScenes(root, split="all") for root in (tmp_path, tmp_path / "rooms", tmp_path / "rooms/chess")]
    assert {one.digest for one in data} == {data[0].digest}
    assert data[0].ids == [FrameId("chess/seq-01", 0), FrameId("chess/seq-01", 1)]
    for line in ("chess/seq-01/frame-000001.color.png", "seq-01/frame-000001"):
        assert data[2].parse(line) == data[0].ids[1]
    (tmp_path / "rooms/chess/TestSplit.txt").write_text("seq one\n")
    with pytest.raises(InputError, match="lists should have lines such as sequence1"):
        SevenScenes(tmp_path / "rooms")


def test_linked_scenes_and_mixed_suffixes_are_read(tmp_path):
    put_sequence(tmp_path / "disk/chess/seq-01")
    put_sequence(tmp_path / "disk/chess/seq-02", suffix="jpg")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/chess").symlink_to(tmp_path / "disk/chess")
    (tmp_path / "disk/chess/seq-01/._frame-000000.color.png").write_bytes(b"\0\5\26\7")
    data = SevenScenes(tmp_path / "root", split="all")
    assert [path.suffix for path in data.paths] == [".png", ".png", ".jpg", ".jpg"]
    assert all(path.is_file() for id in data.ids for path in data.files(id))
    assert [path.name for path in SevenScenes(tmp_path / "root", "all", "none").files(data.ids[2])] == [
        "frame-000000.color.jpg", "frame-000000.pose.txt"
    ]  # fmt: skip
