from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import yaml

from common.toy import Toy
from leadline.camera import Pinhole
from leadline.data.rig_folder import RigFolder, dataset_instants, is_rig
from leadline.errors import ConfigError, InputError
from leadline.geometry.poses import compose, matrix_to_quaternion
from leadline.io.images import write_image
from leadline.io.video import write_video
from leadline.rig import FORWARD
from leadline.worlds.street.place import ring

SIZE = (24, 40)
CAMERA = Pinhole.from_fov(2 * SIZE[1], 2 * SIZE[0], 80).to_dict()  # of images twice as large
AHEAD = compose(FORWARD, np.array([1.0, 0.5, 1.5])).tolist()


def described(root, **changes):
    """Write a rig file of the cameras front and left; changes are of left, None drops a key."""
    left = {"images": "left", "camera": CAMERA, "pose": AHEAD} | changes
    cameras = {
        "front": {"camera": CAMERA, "pose": AHEAD},
        "left": {key: value for key, value in left.items() if value is not None},
    }
    (root / "rig.yaml").write_text(yaml.safe_dump({"cameras": cameras}))
    return root


def shoot(folder, names, size=SIZE):
    """Pictures whose red says which one of the folder they are."""
    for index, name in enumerate(names):
        write_image(folder / f"{name}.png", np.full((*size, 3), [10 * index, 0, 0], np.uint8))


def film(path, count, size=SIZE):
    return write_video(path, 10, (np.full((*size, 3), 10 * index % 250, np.uint8) for index in range(count)))


@pytest.fixture
def rig(tmp_path):
    for camera in ("front", "left"):
        shoot(tmp_path / camera, ["9", "10", "11"])
    return described(tmp_path)


def reds(instant):
    return {name: round(float(frame.image[..., 0].mean()) * 25.5) for name, frame in instant.rig.items()}


def test_cameras_sit_where_the_file_says_and_fit_their_images(rig):
    turned = ring(48, 80)["front_left"].pose
    w = np.roll(matrix_to_quaternion(turned[:3, :3]), 1)
    described(rig, pose={"rotation": w.tolist(), "translation": turned[:3, 3].tolist()})
    instants = list(RigFolder(rig))
    assert [(instant.sequence, instant.name) for instant in instants] == [(rig.name, n) for n in ("9", "10", "11")]
    for index, instant in enumerate(instants):
        assert reds(instant) == {"front": index, "left": index}
        assert np.array_equal(instant.rig.pose, np.eye(4))
        np.testing.assert_allclose(instant.rig["front"].pose, AHEAD)
        np.testing.assert_allclose(instant.rig["left"].pose, turned, atol=1e-12)
        camera = instant.rig["front"].camera
        assert (camera.width, camera.height) == (40, 24)
        assert camera.fx == pytest.approx(CAMERA["fx"] / 2)
        assert not instant.problems


def test_json_and_camera_files_are_read_too(rig):
    content = yaml.safe_load((rig / "rig.yaml").read_text())
    content["cameras"]["left"]["camera"] = "left.txt"
    (rig / "left.txt").write_text("20 0 19.5\n0 20 11.5\n0 0 1\n")
    (rig / "rig.yaml").unlink()
    assert not is_rig(rig)
    (rig / "rig.json").write_text(json.dumps(content))
    assert is_rig(rig)
    assert RigFolder(rig).mounts["left"].camera == Pinhole(40, 24, 20.0, 20.0, 19.5, 11.5)


def test_a_picture_that_is_missing_or_broken_leaves_its_camera_out(rig):
    (rig / "front" / "9.png").write_bytes(b"no picture")
    (rig / "left" / "10.png").unlink()
    shoot(rig / "left", ["11"], size=(24, 24))  # of another shape than its camera
    first, second, third = RigFolder(rig)
    assert (list(first.rig), list(second.rig), list(third.rig)) == (["left"], ["front"], ["front"])
    assert ["front/9.png: not a picture" in problem for problem in first.problems] == [True]
    assert second.problems == [f"{rig}/left/10.png: no such file"]
    assert ["left/11.png: the camera is of a 40x24 image" in problem for problem in third.problems] == [True]
    (rig / "front" / "10.png").write_bytes(b"")
    nothing = list(RigFolder(rig))[1]
    assert nothing.rig is None
    assert len(nothing.problems) == 2


def test_pictures_without_a_common_name_go_by_order(rig):
    for index in ("9", "10", "11"):
        (rig / "left" / f"{index}.png").rename(rig / "left" / f"left-{index}.png")
    instants = list(RigFolder(rig))
    assert [instant.name for instant in instants] == ["000000", "000001", "000002"]
    assert [reds(instant) for instant in instants] == [{"front": n, "left": n} for n in range(3)]
    (rig / "left" / "left-9.png").unlink()
    with pytest.raises(InputError, match=r"rig.yaml: .*front 3, left 2.*alike"):
        RigFolder(rig)


def test_videos_go_in_lockstep_and_a_shorter_one_ends_with_one_report(tmp_path):
    film(tmp_path / "front.mp4", 6)
    film(tmp_path / "side.mkv", 4)
    folder = RigFolder(described(tmp_path, images="side.mkv"))
    for _ in range(2):  # as often as one likes
        instants = list(folder)
        assert [list(instant.rig) for instant in instants] == [["front", "left"]] * 4 + [["front"]] * 2
        assert [problem for instant in instants for problem in instant.problems] == [
            f"{tmp_path}: left ends after 4 instants, others go on"
        ]
        levels = [[float(frame.image.mean()) for frame in instant.rig.values()] for instant in instants[:4]]
        np.testing.assert_allclose(levels, np.arange(4)[:, None] * np.full(2, 10 / 255), atol=0.02)


def test_a_broken_video_is_reported_once(tmp_path):
    film(tmp_path / "front.mp4", 6)
    noise = np.random.default_rng(0)
    whole = write_video(tmp_path / "whole.mkv", 10, (noise.integers(0, 255, (*SIZE, 3), np.uint8) for _ in range(60)))
    data = whole.read_bytes()
    (tmp_path / "left.mkv").write_bytes(data[: len(data) // 20])
    instants = list(RigFolder(described(tmp_path, images=None)))
    problems = [problem for instant in instants for problem in instant.problems]
    assert ["damaged or cut off" in problem for problem in problems] == [True]
    assert sum("front" in instant.rig for instant in instants) == 6


def test_a_video_beside_pictures(tmp_path):
    film(tmp_path / "front.mp4", 3)
    shoot(tmp_path / "left", ["1", "2"])
    instants = list(RigFolder(described(tmp_path)))
    assert [(instant.name, len(instant.rig)) for instant in instants] == [("000000", 2), ("000001", 2), ("000002", 1)]
    assert instants[2].problems == [f"{tmp_path}: left ends after 2 instants, others go on"]


def test_memory_does_not_grow_with_the_length_of_videos(tmp_path):
    film(tmp_path / "front.mp4", 120, size=(48, 80))
    film(tmp_path / "left.mp4", 120, size=(48, 80))
    instants = iter(RigFolder(described(tmp_path, images=None)))
    next(instants)
    tracemalloc.start()
    count = sum(len(instant.rig) for instant in instants)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 2 * 119
    assert peak < 20 * 48 * 80 * 3 * 4


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"pse": 1}, ConfigError, r"rig.yaml: cameras.left: pse: not a key; did you mean 'pose'"),
        ({"pose": None}, ConfigError, "cameras.left: pose: missing"),
        ({"camera": {**CAMERA, "fz": 3}}, ConfigError, "cameras.left: camera: fz: not a key of a pinhole camera"),
        ({"camera": "left.yaml"}, InputError, r"cameras.left: camera: .*left.yaml: cannot be read as a camera"),
        ({"camera": {**CAMERA, "height": 200}}, InputError, "cameras.left: camera: .* does not fit"),
        ({"images": "lft"}, InputError, "cameras.left: .*lft: no such file or folder; did you mean 'left'"),
        ({"images": "."}, InputError, "cameras.left: .*no picture or video in this folder"),
        ({"pose": [[1, 0], [0, 1]]}, InputError, "cameras.left: pose: is no rotation .* 4x4"),
        ({"pose": (2 * np.eye(4)).tolist()}, InputError, "cameras.left: pose: is no rotation"),
        ({"pose": np.diag([1.0, 1, -1, 1]).tolist()}, InputError, "cameras.left: pose: is no rotation"),
        ({"pose": {"rotation": [0, 0, 0, 0], "translation": [0, 0, 0]}}, InputError, "pose: .*of length 1"),
        ({"pose": {"rotatoin": [1, 0, 0, 0], "translation": [0, 0, 0]}}, ConfigError, "mean 'rotation'"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(rig, changes, error, message):
    with pytest.raises(error, match=message) as caught:
        RigFolder(described(rig, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("cameras: [", InputError, "rig.yaml: is not YAML"),
        ("camera: {}", ConfigError, "rig.yaml: camera: not a key; did you mean 'cameras'"),
        ("cameras: {}", ConfigError, "rig.yaml: cameras: names no camera"),
        ("- front", ConfigError, "rig.yaml: wanted the keys cameras"),
        ("cameras: {../x: {}}", ConfigError, "cannot be the name of a folder"),
        ("cameras: {front: 3}", ConfigError, "cameras.front: wanted the keys images, camera, pose, not 3"),
    ],
)
def test_files_that_describe_no_rig(tmp_path, text, error, message):
    (tmp_path / "rig.yaml").write_text(text)
    with pytest.raises(error, match=message):
        RigFolder(tmp_path)


def test_a_camera_without_images(rig):
    described(rig, images=None)
    (rig / "left").rename(rig / "elsewhere")
    with pytest.raises(InputError, match=r"cameras\.left: images: there is no folder and no video called left"):
        RigFolder(rig)
    with pytest.raises(InputError, match=r"no rig.yaml or rig.json"):
        RigFolder(rig / "front")


class Pair(Toy):
    name = "pair-of-toys"
    cameras = ("left", "right")


def test_the_instants_of_a_data_set(tmp_path):
    data = Pair(Pair.write(tmp_path), truth="none")
    (tmp_path / "one-right-000001.png").write_bytes(b"")
    instants = list(dataset_instants(data))
    assert [(i.sequence, i.name) for i in instants[:2]] == [(f"{tmp_path.name}/one", f"00000{n}") for n in (0, 1)]
    assert [list(instant.rig) for instant in instants[:2]] == [["left", "right"], ["left"]]
    assert ["000001.png: the file is empty" in problem for i in instants for problem in i.problems] == [True]


def test_a_data_set_of_single_cameras_has_no_instants_of_rigs(tmp_path):
    with pytest.raises(ConfigError, match=r"dataset: .*no instant that several cameras of toy saw"):
        dataset_instants(Toy(Toy.write(tmp_path)))


def test_the_example_of_the_page_is_a_rig(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "rig.md").read_text()
    (tmp_path / "rig.yaml").write_text(page.partition("```yaml\n")[2].partition("```")[0])
    film(tmp_path / "front.mp4", 2, size=(90, 160))
    shoot(tmp_path / "left", ["a", "b"])
    (tmp_path / "left.yaml").write_text(yaml.safe_dump(CAMERA))
    mounts = RigFolder(tmp_path).mounts
    assert mounts["front"].camera.fx == pytest.approx(126.64)
    np.testing.assert_allclose(mounts["front"].pose[:3, 2], [1, 0, 0], atol=1e-4)
    np.testing.assert_allclose(mounts["left"].pose[:3, 2], [0, 1, 0], atol=1e-4)
    np.testing.assert_allclose(mounts["left"].pose[:3, 1], [0, 0, -1], atol=1e-4)
