from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from common.toy import SIZE, Toy
from leadline.data.dataset import dataset_class, datasets
from leadline.data.lists import FrameId, digest, read_list, shipped
from leadline.errors import ConfigError, InputError
from leadline.io.images import write_image


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return Toy.write(tmp_path_factory.mktemp("toy"))


def test_a_frame_carries_what_the_data_set_knows(root):
    frame = Toy(root)[4]
    assert (frame.sequence, frame.name, frame.time) == ("two", "000001", 0.1)
    assert frame.image.shape == (*SIZE, 3)
    assert frame.depth.camera == frame.camera == Toy(root).camera(FrameId("two", 1))
    assert not frame.depth.valid[0].any()
    assert frame.depth.valid[1:].all()
    assert frame.pose[0, 3] == pytest.approx(0.1)


def test_the_truth_that_is_asked_for_is_read(root):
    assert np.allclose(Toy(root, truth="double")[0].depth.values, 2 * Toy(root)[0].depth.values)
    assert Toy(root, truth="none")[0].depth is None
    with pytest.raises(ConfigError, match="truth: toy has no truth 'dpth'; did you mean 'depth'"):
        Toy(root, truth="dpth")


def test_splits_are_names_or_files(root, tmp_path):
    assert len(Toy(root)) == 6
    assert len(Toy(root, split="first")) == 3
    assert [id.number for id in Toy(root, every=2).ids] == [0, 2, 1]

    class Pair(Toy):
        cameras = ("left", "right")
        image = Toy.image

    assert [str(id) for id in Pair(Pair.write(tmp_path / "pair"), every=4).ids] == [
        "one/left/000000", "one/right/000000", "two/left/000001", "two/right/000001"
    ]  # fmt: skip
    file = tmp_path / "mine.txt"
    file.write_text("# mine\ntwo 2\n\none 0\n")
    assert Toy(root, split=str(file)).ids == [FrameId("two", 2), FrameId("one", 0)]
    file.write_text("two 2\nthree 1\n")
    with pytest.raises(InputError, match=r"mine.txt: line 2, 'three 1': is not SEQUENCE NUMBER"):
        Toy(root, split=str(file))
    with pytest.raises(ConfigError, match="no split 'frist'; did you mean 'first'"):
        Toy(root, split="frist")


def test_a_list_that_is_not_shipped_says_where_it_goes(root):
    with pytest.raises(InputError, match=r"splits/listed.txt: split listed needs this list; write one"):
        Toy(root, split="listed")
    (root / "splits").mkdir()
    (root / "splits/listed.txt").write_text("one 1\n")
    assert Toy(root, split="listed").ids == [FrameId("one", 1)]


def test_clips_never_leave_their_sequence(root):
    data = Toy(root)
    clip = data.clip(1)
    assert [frame.name for frame in clip] == ["000000", "000001", "000002"]
    assert data.neighbour(FrameId("one", 2), 1) is None
    assert data.neighbour(FrameId("one", 0), -1) is None
    with pytest.raises(InputError, match=r"one-000000.png: has no neighbour at -1"):
        data.clip(0)
    with pytest.raises(InputError, match=r"no neighbour at \+1"):
        data.clip(2)


def test_the_digest_tells_frames_and_order(root):
    data = Toy(root)
    assert data.digest == digest(data.ids) == Toy(root).digest
    assert data.digest != digest(data.ids[::-1])
    assert data.digest in data.describe()
    assert len(data.digest) == 16


def test_no_frames_and_no_folder_are_one_clear_line(tmp_path):
    class Empty(Toy):
        def frames(self, split):
            return []

    with pytest.raises(InputError, match=r"holds no frame of toy, split all; expected are files such as \*.png; see"):
        Empty(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        Toy(tmp_path / "nowhere")


def test_lists_are_short_to_write(tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("# whose\nday/drive image_02: 69 0-2 30-36/3\nother: 5\n")
    assert read_list(file) == [
        *(FrameId("day/drive", number, "image_02") for number in (69, 0, 1, 2, 30, 33, 36)),
        FrameId("other", 5),
    ]
    for line in ("no numbers", "a: x", ": 1", "a: 1-"):
        file.write_text(f"a: 1\n{line}\n")
        with pytest.raises(InputError, match=r"list.txt: line 2 is not 'SEQUENCE CAMERA: 0 5"):
            read_list(file)


def test_every_data_set_says_what_it_is():
    wanted = """scared servct hamlyn c3vd simcol3d kitti cityscapes make3d ddad nuscenes scannet sevenscenes booster nyu
        diode eth3d folder video sfm"""
    every = datasets()
    assert set(wanted.split()) <= set(every)
    for name, data in every.items():
        assert data.name == name
        assert data.source
        assert data.licence
        assert data.splits, name
        assert all(data.splits.values()), name
        assert all(data.truths.values()), name
        assert data.tree, name
        assert set(data.elsewhere) <= set(data.splits) or not set(data.elsewhere) & set(data.splits), name
    with pytest.raises(ConfigError, match="did you mean 'kitti'"):
        dataset_class("kiti")


def test_impossible_steps_and_frames_twice_are_refused(root, tmp_path):
    for every in (0, -2):
        with pytest.raises(ConfigError, match=f"every: one in {every} frames"):
            Toy(root, every=every)

    class Twice(Toy):
        def frames(self, split):
            return [FrameId("one", 1), FrameId("two", 2), FrameId("two", 2)]

    with pytest.raises(InputError, match="frame two/000002 is there 2 times in split all"):
        Twice(root)
    file = tmp_path / "mine.txt"
    file.write_text("one 0\none 1\none 0\n")
    with pytest.raises(InputError, match="frame one/000000 is there 2 times"):
        Toy(root, split=str(file))


def test_an_incomplete_split_says_so(root):
    class Counted(Toy):
        counts: ClassVar = {"all": 8, "first": 3}

    assert Counted(root).incomplete == "6 of 8 frames of split all"
    assert Counted(root, every=2).incomplete == "6 of 8 frames of split all"
    assert Counted(root, "first").incomplete == Toy(root).incomplete == ""


def test_without_truth_its_files_are_not_needed(root):
    class Filed(Toy):
        def needs(self, id):
            return [self.root / "calibration"]

        def depth_files(self, id):
            return [self.root / "depth"]

    id = FrameId("one", 0)
    assert [path.name for path in Filed(root).files(id)] == ["one-000000.png", "calibration", "depth"]
    assert [path.name for path in Filed(root, truth="none").files(id)] == ["one-000000.png", "calibration"]


def test_what_is_no_film_has_no_neighbours_but_itself(root):
    class Stills(Toy):
        film = False

    id = FrameId("one", 1)
    assert [Stills(root).neighbour(id, offset) for offset in (-1, 0, 1)] == [None, id, None]
    assert Toy(root).neighbour(id, 1) == FrameId("one", 2)


def test_image_camera_and_depth_of_different_sizes_are_named(root, tmp_path):
    data = Toy(Toy.write(tmp_path / "toy"))
    write_image(data.paths[0], np.zeros((12, 16, 3), np.uint8))
    with pytest.raises(InputError, match=r"one-000000.png: is 16x12 but its depth is of 32x24; use the images as they"):
        data[0]
    data.truth = "none"
    with pytest.raises(InputError, match=r"one-000000.png: is 16x12 but its calibration is of 32x24"):
        data[0]


def test_every_shipped_list_has_the_frames_it_should(tmp_path):
    folder = tmp_path / "root"
    for name in ("2011_09_26", "dataset_1/keyframe_3", "cecum_t2_a/rgb"):
        (folder / name).mkdir(parents=True)
    lists = 0
    for data in datasets().values():
        for split, count in data.counts.items():
            assert split in data.splits, data.name
            if shipped(f"{data.name}-{split}").is_file() and data.name != "nuscenes":  # whose list is of scenes
                lists += 1
                assert len(data(folder, split).ids) == count, split
    assert lists == 5
