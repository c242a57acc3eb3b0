from __future__ import annotations

import numpy as np
import pytest

from common.kitti import public, read_calib
from leadline.data.kitti_object import KittiObject
from leadline.data.lists import FrameId
from leadline.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))


def test_real_images_of_the_object_benchmark(real_data):
    data = KittiObject(real_data / "kitti_object")
    assert data.ids == [FrameId("training", number, "image_2") for number in range(3)]
    calib = read_calib(real_data / "kitti_object/training/calib/000001.txt")
    rectify, to_camera = np.eye(4), np.eye(4)
    rectify[:3, :3] = calib["R0_rect"].reshape(3, 3)
    to_camera[:3] = calib["Tr_velo_to_cam"].reshape(3, 4)
    frame = data[1]
    points = np.fromfile(data.files(data.ids[1])[2], np.float32).reshape(-1, 4)
    projection = calib["P2"].reshape(3, 4) @ rectify @ to_camera
    expected = public(points, projection, frame.height, frame.width, ahead=False)
    np.testing.assert_allclose(np.where(frame.depth.valid, frame.depth.values, 0), expected, rtol=1e-5)
    assert frame.depth.valid.sum() > 10000
    assert (frame.camera.fx, frame.camera.cx) == (721.5377, 608.5593)
    assert data.parse("000002") == data.ids[2]
    assert data.neighbour(data.ids[0], 1) is None
    with pytest.raises(InputError, match=r"000007\.png: no such file"):
        KittiObject(real_data / "kitti_object").depth(FrameId("training", 7, "image_2"))


def test_images_may_be_jpeg_and_macos_files_are_left_alone(tmp_path):
    folder = tmp_path / "testing/image_2"
    folder.mkdir(parents=True)
    for name in ("000000.jpg", "000001.png", "._000001.png"):
        (folder / name).touch()
    data = KittiObject(tmp_path, "all")
    assert data.paths == [folder / "000000.jpg", folder / "000001.png"]
    bare = KittiObject(tmp_path, "all", "none")
    assert [path.name for path in bare.files(data.ids[0])] == ["000000.jpg", "000000.txt"]
