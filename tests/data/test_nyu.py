from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from leadline.data import nyu
from leadline.data.lists import FrameId
from leadline.data.nyu import CAMERA, Nyu, unpack
from leadline.errors import ConfigError, InputError
from leadline.io.images import read_image
from leadline.io.rasters import read_raster

IMAGE = np.arange(480 * 640 * 3, dtype=np.uint32).reshape(480, 640, 3).astype(np.uint8)


def put(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def depth(code):
    codes = np.full((480, 640), code, np.uint16)
    codes[0, :3] = 0, 1000, 9999
    return codes


def put_marigold(root):
    for part, scene, number in (("test", "office_0005", 9), ("test", "kitchen_0004", 2), ("train", "cafe_0001", 3)):
        folder = root / part / scene
        put(folder / f"rgb_{number:04d}.png", IMAGE)
        put(folder / f"depth_{number:04d}.png", depth(2000))
        put(folder / f"filled_{number:04d}.png", depth(3000))


def put_bts(root):
    for part, scene, number in (("test", "office", 8), ("test", "kitchen", 1), ("train", "cafe", 2)):
        folder = root / "official_splits" / part / scene
        put(folder / f"rgb_{number:05d}.jpg", IMAGE)
        put(folder / f"sync_depth_{number:05d}.png", depth(2000))


def test_both_layouts_hold_the_same_frames(tmp_path):
    put_marigold(tmp_path / "marigold")
    put_bts(tmp_path / "bts")
    one, two = Nyu(tmp_path / "marigold"), Nyu(tmp_path / "bts")
    assert one.ids == two.ids == [FrameId("test", 2), FrameId("test", 9)]
    assert one.digest == two.digest
    assert np.array_equal(one[1].depth.values, two[1].depth.values)
    assert [len(Nyu(tmp_path / "bts", split=split)) for split in ("train", "all")] == [1, 3]
    assert Nyu(tmp_path / "bts/official_splits/test").ids == one.ids


def test_depth_is_what_the_truth_says(tmp_path):
    put_marigold(tmp_path)
    frame = Nyu(tmp_path)[0]
    assert np.array_equal(frame.depth.values[0, :4], np.array([0, 1, 9.999, 2], np.float32))
    assert frame.depth.valid[0, :4].tolist() == [False, True, True, True]
    assert frame.depth.unit == "m"
    assert frame.camera == frame.depth.camera == CAMERA
    assert (frame.sequence, frame.name, frame.pose, frame.time) == ("test", "000002", None, None)
    assert Nyu(tmp_path, truth="filled")[0].depth.values[1, 1] == 3
    assert (frame.image * 255 == IMAGE).mean() > 0.9


def test_pictures_are_no_film(tmp_path):
    put_marigold(tmp_path)
    with pytest.raises(InputError, match="has no neighbour at -1"):
        Nyu(tmp_path).clip(0)


def test_lists_of_the_field_are_understood(tmp_path):
    put_marigold(tmp_path)
    data = Nyu(tmp_path)
    assert data.parse("test/office_0005/rgb_0009.png test/office_0005/depth_0009.png") == FrameId("test", 9)
    assert data.parse("/office/rgb_00008.jpg /office/sync_depth_00008.png 518.8579") == FrameId("test", 9)
    assert data.parse("train/cafe_0001/rgb_0003.png") == FrameId("train", 3)
    with pytest.raises(InputError, match=r"is neither test/SCENE/rgb_0001.png nor SCENE/rgb_00000.jpg"):
        data.parse("office/picture.jpg")


def test_what_is_missing_is_named(tmp_path):
    put_bts(tmp_path)
    filled = Nyu(tmp_path, truth="filled")
    with pytest.raises(InputError, match=r"filled_00001.png: no such file"):
        filled[0]
    (tmp_path / "official_splits/test/kitchen/sync_depth_00001.png").unlink()
    with pytest.raises(InputError, match=r"sync_depth_00001.png: no such file"):
        Nyu(tmp_path)[0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no frame of nyu, split test"):
        Nyu(tmp_path / "empty")


def test_the_file_of_the_data_set_has_to_be_unpacked(tmp_path, monkeypatch):
    (tmp_path / nyu.LABELLED).touch()
    with pytest.raises(InputError, match=r"nyu_depth_v2_labeled.mat: has to be unpacked first: .*unpack\('"):
        Nyu(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r"h5py: is needed .*; pip install h5py"):
        unpack(tmp_path)


def test_the_file_of_the_data_set_is_unpacked(tmp_path):
    h5py, scipy = pytest.importorskip("h5py"), pytest.importorskip("scipy.io")
    image = np.random.default_rng(0).integers(0, 256, (2, 480, 640, 3), np.uint8)
    metres = np.random.default_rng(1).uniform(0.7, 10, (2, 2, 480, 640)).astype(np.float32)
    metres[0, 0, 0, 0] = 0
    with pytest.raises(InputError, match=r"labeled.mat: no such file; the data set's page offers"):
        unpack(tmp_path)
    scipy.savemat(tmp_path / "splits.mat", {"testNdxs": np.array([[1]]), "trainNdxs": np.array([[2]])})
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w") as file:  # as Matlab writes: transposed, text as codes
        file["images"] = image.transpose(0, 3, 2, 1)
        file["rawDepths"], file["depths"] = metres.transpose(0, 1, 3, 2)
        names = [
            file.create_dataset(name, data=np.array([[ord(c)] for c in name], np.uint16)) for name in ("a_1", "b_2")
        ]
        file["scenes"] = np.array([[name.ref for name in names]], dtype=h5py.ref_dtype)
    unpack(tmp_path)
    assert (read_image(tmp_path / "test/a_1/rgb_0001.png") == image[0]).all()
    assert np.abs(read_raster(tmp_path / "train/b_2/filled_0002.png") / 1000 - metres[1, 1]).max() < 0.00051
    data = Nyu(tmp_path)
    assert data.ids == [FrameId("test", 1)]
    assert np.abs(data[0].depth.values - metres[0, 0]).max() < 0.00051
    assert not data[0].depth.valid[0, 0]
    (tmp_path / "splits.mat").write_bytes(b"no list")
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(tmp_path)


def test_what_macos_leaves_is_no_frame_and_truth_is_not_always_needed(tmp_path):
    (tmp_path / "test/kitchen_0004").mkdir(parents=True)
    for name in ("rgb_0001.png", "._rgb_0001.png"):
        (tmp_path / "test/kitchen_0004" / name).touch()
    data = Nyu(tmp_path, truth="none")
    assert data.ids == [FrameId("test", 1)]
    assert data.files(data.ids[0]) == data.paths
    assert data.incomplete == "1 of 654 frames of split test"
