from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from leadline.data.diode import CAMERA, Diode
from leadline.data.lists import FrameId
from leadline.errors import InputError

DEPTH = np.array([[0.0, 1.5, 300.0], [2.25, np.nan, 4.0]], np.float32)
MASK = np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])


def put_crop(scan, name):
    scan.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((2, 3, 3), 51, np.uint8)).save(scan / f"{name}.png")
    np.save(scan / f"{name}_depth.npy", DEPTH[..., None])
    np.save(scan / f"{name}_depth_mask.npy", MASK)


@pytest.fixture
def root(tmp_path):
    put_crop(tmp_path / "val/indoors/scene_00021/scan_00189", "00021_00189_indoors_200_010")
    put_crop(tmp_path / "val/indoors/scene_00021/scan_00189", "00021_00189_indoors_000_040")
    put_crop(tmp_path / "val/outdoor/scene_00022/scan_00193", "00022_00193_outdoor_350_020")
    put_crop(tmp_path / "train/indoors/scene_00000/scan_00001", "00000_00001_indoors_010_000")
    return tmp_path


def test_splits_are_by_folder(root):
    counts = {split: len(Diode(root, split=split)) for split in Diode.splits}
    assert counts == {"val": 3, "val-indoor": 2, "val-outdoor": 1, "train": 1, "all": 4}
    assert [str(id) for id in Diode(root).ids] == [
        "indoors/scene_00021/scan_00189/000040", "indoors/scene_00021/scan_00189/200010",
        "outdoor/scene_00022/scan_00193/350020",
    ]  # fmt: skip


def test_the_folder_of_a_split_will_do(root):
    assert Diode(root / "val").digest == Diode(root).digest
    assert Diode(root / "train", split="train").digest == Diode(root, split="train").digest
    with pytest.raises(InputError, match="holds no frame of diode, split val"):
        Diode(root / "train")
    (root / "val").rename(root / "diode_val")
    assert len(Diode(root / "diode_val")) == 3


def test_depth_is_known_where_the_mask_says(root):
    frame = Diode(root)[1]
    assert frame.depth.valid.tolist() == [[False, True, True], [False, False, True]]
    assert frame.depth.values[frame.depth.valid].tolist() == [1.5, 300, 4]
    assert frame.depth.unit == "m"
    assert frame.camera == CAMERA.resize(2, 3)
    assert frame.name == "200010"
    assert np.allclose(frame.image, 0.2)


def test_a_crop_of_real_size_has_the_published_camera(root):
    scan = root / "val/outdoor/scene_00023/scan_00200"
    put_crop(scan, "00023_00200_outdoor_000_000")
    Image.fromarray(np.zeros((768, 1024, 3), np.uint8)).save(scan / "00023_00200_outdoor_000_000.png")
    data = Diode(root)
    assert data.camera(data.ids[-1]).to_dict() == {
        "model": "pinhole", "width": 1024, "height": 768, "fx": 886.81, "fy": 927.06, "cx": 512.0, "cy": 384.0
    }  # fmt: skip


def test_lists_of_the_field_are_understood(root):
    line = "indoors/scene_00021/scan_00189/00021_00189_indoors_200_010.png indoors/scene_00021/scan_00189/x_depth.npy"
    data = Diode(root)
    assert data.parse(line) == data.parse(f"val/{line}") == data.ids[1]
    for line in ("indoors/scene_00021", "indoors/scene_00021/scan_00189/picture.png"):
        with pytest.raises(InputError, match="is not indoors/scene_00021"):
            data.parse(line)


def test_crops_are_no_film(root):
    with pytest.raises(InputError, match="has no neighbour"):
        Diode(root).clip(0)


def test_what_is_missing_is_named(root):
    data = Diode(root)
    image, depth, mask = data.files(data.ids[0])
    np.save(mask, MASK[:1])
    with pytest.raises(InputError, match=r"000_040_depth_mask.npy: is \(1, 3\) but the depth is \(2, 3\)"):
        data[0]
    for path in (mask, depth):
        path.unlink()
        with pytest.raises(InputError, match=rf"{path.name}: no such file"):
            data.depth(data.ids[0])
    image.unlink()
    with pytest.raises(InputError, match=image.name):
        data.camera(data.ids[0])
    assert data.load(FrameId("outdoor/scene_00022/scan_00193", 350020)).depth.valid.sum() == 3


def test_a_frame_of_no_scan_is_refused(tmp_path):
    (tmp_path / "val/indoors/scene_00021/scan_00189").mkdir(parents=True)
    for name in ("00021_00189_indoors_200_010.png", "._00021_00189_indoors_200_010.png"):
        (tmp_path / "val/indoors/scene_00021/scan_00189" / name).touch()
    data = Diode(tmp_path)
    assert len(data) == 1
    with pytest.raises(InputError, match=r"frame a/b/000001 is not of a scan such as indoors/scene_00021/scan_00189"):
        data.image(FrameId("a/b", 1))
    assert Diode(tmp_path, truth="none").files(data.ids[0]) == data.paths
