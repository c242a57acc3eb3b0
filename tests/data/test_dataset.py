from __future__ import annotations

import numpy as np
import pytest

from common.toy import SIZE, Toy
from leadline.data.dataset import dataset_class, datasets
from leadline.data.lists import FrameId, digest, read_list
from leadline.errors import ConfigError, InputError


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
