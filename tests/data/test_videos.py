from __future__ import annotations

import json

import numpy as np
import pytest

from leadline.camera import Pinhole
from leadline.data.dataset import open_dataset
from leadline.data.lists import FrameId
from leadline.data.videos import Videos
from leadline.errors import ConfigError, InputError
from leadline.io.video import VideoWriter


def video(path, count, shade=0, size=(48, 64), fps=10):
    with VideoWriter(path, fps, size) as writer:
        for index in range(count):
            writer.write(np.full((*size, 3), shade + 10 * index, np.uint8))
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    """Two videos, a with intrinsics of its own and b with those of the folder, which are for twice the size."""
    root = tmp_path / "clips"
    video(root / "a.mp4", 5)
    video(root / "b.mov", 4, shade=100)
    (root / "a.txt").write_text("50 0 32\n0 51 24\n0 0 1\n")
    (root / "intrinsics.json").write_text(json.dumps(Pinhole(128, 96, 80.0, 80.0, 63.5, 47.5).to_dict()))
    return root


def test_a_folder_of_videos_is_one_sequence_for_each(folder):
    frames = open_dataset("video", folder)
    assert [str(id) for id in frames.ids] == [f"a/{n:06d}" for n in range(5)] + [f"b/{n:06d}" for n in range(4)]
    frame = frames[6]
    assert (frame.sequence, frame.name, frame.depth, frame.pose) == ("b", "000001", None, None)
    assert abs(frame.image.mean() * 255 - 110) < 4
    assert frame.time == pytest.approx(0.1)
    assert frames[4].time == pytest.approx(0.4)
    assert frames.files(frames.ids[6]) == [folder / "b.mov"]


def test_intrinsics_beside_a_video_go_before_those_of_the_folder(folder, tmp_path):
    frames = Videos(folder)
    assert frames[0].camera == Pinhole(64, 48, 50.0, 51.0, 32.0, 24.0)
    assert frames[5].camera == Pinhole(64, 48, 40.0, 40.0, 31.5, 23.5)
    own = tmp_path / "own.yaml"
    own.write_text("{width: 64, height: 48, fx: 9, fy: 9, cx: 31, cy: 23}")
    assert {frame.camera for frame in Videos(folder, intrinsics=own)} == {Pinhole(64, 48, 9.0, 9.0, 31.0, 23.0)}


def test_clips_do_not_reach_into_another_video(folder):
    frames = Videos(folder)
    assert [one.name for one in frames.clip(1)] == ["000000", "000001", "000002"]
    for index, offset in ((4, 1), (5, -1), (0, -1), (8, 1)):
        assert frames.neighbour(frames.ids[index], offset) is None
        with pytest.raises(InputError, match="has no neighbour"):
            frames.clip(index, (0, offset))
    assert {frames.clip(index, (0, 1)).sequence for index in (0, 1, 2, 3)} == {"a"}
    assert frames.neighbour(FrameId("a", 99), -1) is None


def test_neighbours_are_the_next_frames_written(folder):
    frames = Videos(folder, step=2)
    assert [(id.sequence, id.number) for id in frames.ids] == [("a", 0), ("a", 2), ("a", 4), ("b", 0), ("b", 2)]
    assert [one.time for one in frames.clip(1)] == pytest.approx([0.0, 0.2, 0.4])
    assert frames.neighbour(frames.ids[2], 1) is None


def test_frames_are_written_once_until_the_video_changes(folder, cache):
    frames = Videos(folder)
    before = {path: path.stat().st_mtime_ns for path in frames.paths}
    assert all(path.is_relative_to(cache) for path in before)
    assert {path: path.stat().st_mtime_ns for path in Videos(folder).paths} == before
    video(folder / "a.mp4", 3, shade=50)
    changed = Videos(folder)
    assert [id.sequence for id in changed.ids] == ["a"] * 3 + ["b"] * 4
    assert abs(changed[0].image.mean() * 255 - 50) < 4


def test_one_video_is_enough(folder):
    frames = Videos(folder / "b.mov")
    assert {id.sequence for id in frames.ids} == {"b"}
    assert len(frames) == 4


def test_a_list_names_video_and_frame(folder, tmp_path):
    (tmp_path / "list.txt").write_text("b 3\na 1\n")
    assert Videos(folder, str(tmp_path / "list.txt")).ids == [FrameId("b", 3), FrameId("a", 1)]
    (tmp_path / "list.txt").write_text("b 3\nc 1\n")
    with pytest.raises(InputError, match=r"line 2, 'c 1': is not NAME NUMBER, NAME one of a, b"):
        Videos(folder, str(tmp_path / "list.txt"))
    (tmp_path / "list.txt").write_text("b 30\n")
    with pytest.raises(InputError, match="has no frame b/000030"):
        Videos(folder, str(tmp_path / "list.txt"))


def test_what_is_missing_or_wrong_is_named(folder, tmp_path, scenes):
    for root in (tmp_path / "none", scenes / "images"):
        with pytest.raises(InputError, match="no video, nor a folder with one"):
            Videos(root)
    with pytest.raises(ConfigError, match="truth: video has no truth 'depth'"):
        Videos(folder, truth="depth")
    with pytest.raises(ConfigError, match="step"):
        Videos(folder, step=0)
    (folder / "a.txt").write_text("a talk about nothing")
    with pytest.raises(InputError, match=r"a\.txt: .*3x3 matrix"):
        Videos(folder)[0]


def test_a_real_video(real_data):
    frames = Videos(real_data / "video" / "highway.mp4", step=10)
    assert [id.number for id in frames.ids] == [0, 10, 20, 30]
    clip = frames.clip(1)
    assert 0 < clip[0].image.std() < 1
    assert clip[1].time > 0.3
