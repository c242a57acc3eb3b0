from __future__ import annotations

import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from leadline.camera import Pinhole
from leadline.data.dataset import open_dataset
from leadline.data.folder import DepthFormat, Folder, adjacent, numbered, write_frames
from leadline.data.images import Images, open_mask
from leadline.data.inputs import Inputs
from leadline.data.lists import FrameId
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError, InputError
from leadline.frame import Frame
from leadline.io.images import read_image
from leadline.io.video import VideoWriter


def test_images_and_depths_of_one_name_belong_together(scenes):
    frames = Folder(scenes)
    assert len(frames) == 24
    frame = frames[7]
    assert frame.name == "007"
    assert (frame.depth.unit, str(frame.depth.kind)) == ("m", "metric-depth")
    assert 1 < np.median(frame.depth.values) < 6
    assert len(Folder(scenes, every=5)) == 5


def test_globs_pair_by_what_stands_for_the_star(tmp_path):
    for number in (9, 10):
        Image.new("RGB", (8, 6), (number, 0, 0)).save(tmp_path / f"frame-{number}.color.jpg")
        Image.fromarray(np.full((6, 8), 1000 * number, np.uint16)).save(tmp_path / f"frame-{number}.depth.png")
    frames = Folder(tmp_path, "*.color.jpg", "*.depth.png", DepthFormat(scale=1000))
    assert [frame.depth.values[0, 0] for frame in (frames[0], frames[1])] == [9, 10]


def test_depth_of_another_size_is_picked_not_mixed(tmp_path, scenes):
    shutil.copytree(scenes, tmp_path / "d")
    depth = np.full((48, 64), 2000, np.uint16)
    depth[:, 32:] = 4000
    Image.fromarray(depth).save(tmp_path / "d" / "depths" / "000.png")
    values = Folder(tmp_path / "d", depth=DepthFormat(scale=1000))[0].depth.values
    assert values.shape == (96, 128)
    assert set(np.unique(values)) == {2.0, 4.0}
    assert (values[:, :64] == 2).all()


def test_sensor_frames_of_a_real_set(real_data):
    form = DepthFormat(scale=1000, invalid=(0, 65535))
    root = real_data / "sevenscenes"
    frames = Folder(root / "seq-01", "*.color.jpg", "*.depth.png", form, root / "camera-intrinsics.txt", every=100)
    frame = frames[1]
    assert len(frames) == 5
    assert frame.camera.fx == 585
    points = frame.depth.to_points()
    assert 0.5 < np.median(points[:, 2]) < 5
    assert frame.depth.values[frame.depth.valid].max() < 20


def test_masks(tmp_path, scenes, real_data):
    images = sorted((scenes / "images").glob("*.png"))
    assert open_mask("none", images) is None
    assert open_mask("auto", images) is None
    Image.fromarray(np.tri(96, 128, dtype=np.uint8) * 255).save(tmp_path / "mask.png")
    assert np.array_equal(Images(images, str(tmp_path / "mask.png"))[0].mask, np.tri(96, 128, dtype=bool))
    Image.new("L", (5, 5), 255).save(tmp_path / "small.png")
    with pytest.raises(InputError, match="mask is 5x5"):
        Images(images, str(tmp_path / "small.png"))[0]
    scope = Inputs([str(real_data / "sinus_endoscopy" / "*.jpg")], mask="auto")
    assert 0.2 < scope.mask.mean() < 0.8


def test_highlights_leave_the_mask(tmp_path):
    wet = np.full((40, 40, 3), (150, 60, 60), np.uint8)
    wet[10:14, 10:14] = 255
    Image.fromarray(wet).save(tmp_path / "wet.png")
    mask = Images([tmp_path / "wet.png"], drop_highlights=True)[0].mask
    assert not mask[11, 11]
    assert mask[30, 30]


def test_videos_become_frames_once(tmp_path):
    with VideoWriter(tmp_path / "clip.mp4", 10, (64, 96)) as video:
        for index in range(11):
            video.write(np.full((64, 96, 3), 20 * index, np.uint8))
    frames = Inputs([str(tmp_path / "clip.mp4")], tmp_path / "frames", video_step=5)
    assert len(frames) == 3
    assert np.allclose([frames[i].image.mean() * 255 for i in range(3)], [0, 100, 200], atol=6)
    before = [path.stat().st_mtime_ns for path in frames.paths]
    again = Inputs([str(tmp_path / "clip.mp4")], tmp_path / "frames", video_step=5)
    assert [path.stat().st_mtime_ns for path in again.paths] == before
    with pytest.raises(ConfigError, match="a folder is needed"):
        Inputs([str(tmp_path / "clip.mp4")])
    with pytest.raises(InputError, match="training needs an end"):
        Inputs(["rtsp://127.0.0.1/live"], tmp_path / "frames")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"root": "none"}, "no such folder"),
        ({"images": "*.bmp"}, "no images"),
        ({"depths": "*.exr"}, "no depth files"),
    ],
)
def test_what_is_missing_is_named(scenes, options, expected, tmp_path):
    arguments = {"root": scenes} | options
    with pytest.raises(InputError, match=expected):
        Folder(**arguments)


def test_written_frames_are_read_again(tmp_path):
    rng = np.random.default_rng(0)
    camera = Pinhole.from_fov(16, 12, 70)
    image = np.rint(rng.random((12, 16, 3)) * 255).astype(np.float32) / 255
    values = rng.uniform(5, 80, (12, 16)).astype(np.float32)
    normals = np.tile(np.float32([0, 0.6, -0.8]), (12, 16, 1))
    flow = rng.normal(size=(12, 16, 2)).astype(np.float32)
    flow[0] = np.nan
    pose = np.eye(4)
    pose[:3, 3] = 1, 2, 3
    frame = Frame(
        image, DepthMap(values, Kind.parse("metric-depth"), "mm", camera=camera), camera, pose, sequence="a", name="7",
        normals=normals, reflective=values > 60, semantics=(values > 40).astype(np.uint8), mask=values < 70,
        diffuse=image / 2, residual=(image + 1).astype(np.float32), forward_flow=flow, backward_flow=-flow,
    )  # fmt: skip
    assert write_frames(tmp_path, [frame, frame.replace(name="10")]) == ["a-7", "a-10"]
    read = Folder(tmp_path)
    assert [one.name for one in (read[0], read[1])] == ["a-7", "a-10"]
    np.testing.assert_array_equal(read[0].image, image)
    np.testing.assert_allclose(read[0].depth.values, values, atol=80 / 65534)
    assert read[0].depth.unit == "mm"
    assert read[0].camera == read[0].depth.camera == camera
    np.testing.assert_allclose(np.loadtxt(tmp_path / "poses" / "a-7.txt"), pose)
    np.testing.assert_allclose(read_image(tmp_path / "normals" / "a-7.png") / 127.5 - 1, normals, atol=0.01)
    np.testing.assert_array_equal(read_image(tmp_path / "reflective" / "a-7.png")[..., 0] > 0, values > 60)
    np.testing.assert_array_equal(read_image(tmp_path / "semantics" / "a-7.png")[..., 0], values > 40)
    assert np.array_equal(open_mask(str(tmp_path / "masks" / "a-7.png"), []), values < 70)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "diffuse" / "a-7.tiff"), image / 2)
    for name in ("residual", "forward_flow", "backward_flow"):
        np.testing.assert_array_equal(tifffile.imread(tmp_path / name / "a-7.tiff"), getattr(frame, name))


def test_only_images_and_depth_are_written_where_no_more_is_wanted(tmp_path):
    image = np.zeros((12, 16, 3), np.float32)
    depth = DepthMap(np.ones((12, 16)), Kind.parse("metric-depth"), "m")
    write_frames(tmp_path, [Frame(image, depth, pose=np.eye(4), name="1")], ())
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")) == ["depths/1.png", "images/1.png"]


def test_depth_to_the_horizon_is_written_exactly(tmp_path):
    values = np.array([[3.0, 9000.0], [3.001, 0.0]], np.float32)
    frame = Frame(np.zeros((2, 2, 3), np.float32), DepthMap(values, "metric-depth", "m", values > 0), name="a")
    near = DepthMap(values.clip(0, 50), "metric-depth", "m", values > 0)
    write_frames(tmp_path, [frame, frame.replace(name="b", depth=near)])
    assert sorted(path.name for path in (tmp_path / "depths").iterdir()) == ["a.npz", "b.png"]
    np.testing.assert_array_equal(Folder(tmp_path)[0].depth.values, values)
    np.testing.assert_allclose(Folder(tmp_path)[1].depth.values, near.values, atol=50 / 65534)


def clip_in(root):
    """Four frames of two sequences with all that is known of them, written as frames are."""
    rng = np.random.default_rng(1)
    frames = []
    for sequence, name in (("a-1", "000002"), ("a-1", "000010"), ("a-1", "000003"), ("b", "7")):
        values = rng.uniform(2, 9, (12, 16)).astype(np.float32)
        normals = rng.normal(size=(12, 16, 3)) - (0, 0, 4)
        image = np.rint(rng.random((12, 16, 3)) * 255).astype(np.float32) / 255
        pose = np.eye(4)
        pose[:3, 3] = rng.random(3)
        camera = Pinhole.from_fov(16, 12, 70)
        frames.append(Frame(
            image, DepthMap(values, Kind.parse("metric-depth"), "m", camera=camera), camera, pose, sequence=sequence,
            name=name, normals=normals / np.linalg.norm(normals, axis=2, keepdims=True), reflective=values > 6,
            semantics=(values > 4).astype(np.uint8), mask=values < 7, diffuse=image / 2, residual=image + 1,
            forward_flow=rng.normal(size=(12, 16, 2)), backward_flow=rng.normal(size=(12, 16, 2)),
        ))  # fmt: skip
    write_frames(root, frames)
    return frames


def test_a_folder_is_a_data_set(tmp_path):
    clip_in(tmp_path)
    frames = open_dataset("folder", tmp_path)
    assert frames.ids == [FrameId("a-1", 2), FrameId("a-1", 3), FrameId("a-1", 10), FrameId("b", 7)]
    assert frames.files(frames.ids[3]) == [tmp_path / "images" / "b-7.png", tmp_path / "depths" / "b-7.png"]
    assert [(frame.sequence, frame.name) for frame in frames.clip(1)] == [
        ("a-1", "a-1-000002"), ("a-1", "a-1-000003"), ("a-1", "a-1-000010")]  # fmt: skip
    assert frames.neighbour(frames.ids[2], 1) is None
    assert frames.depth(frames.ids[0]).camera is None
    np.testing.assert_array_equal(frames.depth(frames.ids[0]).values, frames[0].depth.values)
    assert frames.camera(frames.ids[0]) == frames[0].camera == Pinhole.from_fov(16, 12, 70)
    (tmp_path / "list.txt").write_text("b-7\nimages/a-1-000003.png\n")
    chosen = open_dataset("folder", tmp_path, split=str(tmp_path / "list.txt"))
    assert [frame.name for frame in chosen] == ["b-7", "a-1-000003"]
    assert [path.stem for path in chosen.depth_paths] == ["b-7", "a-1-000003"]
    assert len({frames.digest, chosen.digest, Folder(tmp_path, every=2).digest}) == 3
    (tmp_path / "list.txt").write_text("c-7\n")
    with pytest.raises(InputError, match=r"list\.txt: line 1, 'c-7': .*holds no image of this name"):
        Folder(tmp_path, split=str(tmp_path / "list.txt"))
    with pytest.raises(InputError, match="has no frame c/000007; there are 4, a-1/000002 to b/000007"):
        frames.load(FrameId("c", 7))


def test_masks_and_poses_are_read_and_the_rest_where_it_is_wanted(tmp_path):
    written = clip_in(tmp_path)[0]
    read, whole = Folder(tmp_path)[0], Folder(tmp_path, extras=True)[0]
    for frame in (read, whole):
        np.testing.assert_array_equal(frame.mask, written.mask)
        np.testing.assert_allclose(frame.pose, written.pose, atol=1e-8)
    assert read.normals is read.reflective is read.semantics is read.diffuse is read.forward_flow is None
    for name in ("reflective", "semantics", "diffuse", "residual", "forward_flow", "backward_flow"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(written, name))
    np.testing.assert_allclose(whole.normals, written.normals, atol=0.01)
    np.testing.assert_allclose(np.linalg.norm(whole.normals, axis=2), 1, atol=1e-6)
    (tmp_path / "poses" / "a-1-000002.txt").write_text("1 0 0")
    with pytest.raises(InputError, match=r"poses/a-1-000002\.txt: holds 3 numbers"):
        Folder(tmp_path)[0]


def test_a_given_mask_and_that_of_the_folder_hold_both(tmp_path):
    written = clip_in(tmp_path)[0]
    left = np.zeros((12, 16), np.uint8)
    left[:, :8] = 255
    Image.fromarray(left).save(tmp_path / "left.png")
    np.testing.assert_array_equal(Folder(tmp_path, mask=str(tmp_path / "left.png"))[0].mask, written.mask & (left > 0))


def test_images_without_depth_are_enough_where_none_is_wanted(tmp_path, scenes):
    shutil.copytree(scenes / "images", tmp_path / "images")
    with pytest.raises(InputError, match="no depth files"):
        Folder(tmp_path)
    frames = Folder(tmp_path, truth="none")
    assert len(frames) == 24
    assert frames[3].depth is frames[3].camera is None
    assert frames.files(frames.ids[3]) == [tmp_path / "images" / "003.png"]
    (tmp_path / "K.txt").write_text("100 0 64 0 100 48 0 0 1")
    assert Folder(tmp_path, truth="none", intrinsics=tmp_path / "K.txt")[0].camera.fx == 100
    with pytest.raises(ConfigError, match="truth: folder has no truth 'sensor'"):
        Folder(scenes, truth="sensor")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["7", "10"], ["000007", "000010"]),
        (["a-b-7", "a-b-10", "c-7"], ["a-b/000007", "a-b/000010", "c/000007"]),
        (["cam/7", "cam/a-8"], ["cam/000007", "cam/a/000008"]),
        (["7", "left"], ["000000", "000001"]),
        (["07", "7"], ["000000", "000001"]),
        (["u/x", "u/y", "v/x"], ["u/000000", "u/000001", "v/000000"]),
        (["-7", "IMG_7"], ["000000", "000001"]),
    ],
)
def test_names_say_which_frames_files_are(names, expected):
    assert [str(id) for id in numbered(names)] == expected


def test_neighbours_are_the_next_ones_there_are():
    order = [FrameId("a", 1), FrameId("a", 5), FrameId("b", 0)]
    assert adjacent(order, order[0], 1) == order[1]
    assert adjacent(order, order[1], 0) == order[1]
    assert adjacent(order, order[0], -1) is adjacent(order, order[1], 1) is adjacent(order, order[2], -1) is None
    assert adjacent(order, FrameId("a", 3), 1) is None
