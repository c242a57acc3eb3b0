from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from leadline.data.eth3d import TRAINING, Eth3d
from leadline.data.lists import FrameId
from leadline.errors import InputError

DEPTH = np.array([[np.inf, 1.5, 2.0], [0.25, 70.0, np.inf]], "<f4")
#: A turn of 90 degrees about z, world-to-camera, and another photograph without features.
IMAGES = """# Image list with two lines of data per image:
1 0.7071067811865476 0 0 0.7071067811865476 1 2 3 0 dslr_images/DSC_0219.JPG
10.5 11.5 -1 20.5 21.5 7
2 1 0 0 0 0 0 -4 0 dslr_images/DSC_0220.JPG

"""


def put_photograph(folder, number):
    (folder / "images/dslr_images").mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((2, 3, 3), 51, np.uint8)).save(folder / f"images/dslr_images/DSC_{number:04d}.JPG")


def put_depth(folder, number):
    (folder / "ground_truth_depth/dslr_images").mkdir(parents=True, exist_ok=True)
    DEPTH.tofile(folder / f"ground_truth_depth/dslr_images/DSC_{number:04d}.JPG")


@pytest.fixture
def root(tmp_path):
    for scene, numbers in (("office", (220, 219)), ("relief_2", (427,)), ("lounge", (1,))):
        for number in numbers:
            put_photograph(tmp_path / scene, number)
            if scene != "lounge":
                put_depth(tmp_path / scene, number)
    (tmp_path / "office/dslr_calibration_jpg").mkdir()
    (tmp_path / "office/dslr_calibration_jpg/images.txt").write_text(IMAGES)
    return tmp_path


def test_depth_is_raw_numbers_under_the_name_of_a_picture(root):
    frame = Eth3d(root)[0]
    assert (frame.sequence, frame.name, frame.depth.unit) == ("office", "000219", "m")
    assert frame.depth.valid.tolist() == [[False, True, True], [True, True, False]]
    assert frame.depth.values[frame.depth.valid].tolist() == [1.5, 2, 0.25, 70]
    assert np.allclose(frame.image, 0.2, atol=0.01)
    assert frame.camera is None


def test_splits_are_the_scenes_with_truth(root):
    ids = [FrameId("office", 219), FrameId("office", 220), FrameId("relief_2", 427)]
    assert Eth3d(root).ids == Eth3d(root, split="train").ids == ids
    assert Eth3d(root, split="all").ids == [FrameId("lounge", 1), *ids]
    assert len(TRAINING) == 13


def test_test_scenes_have_no_depth(root):
    data = Eth3d(root, split="all")
    assert data[0].depth is None
    assert [len(data.files(id)) for id in data.ids] == [1, 2, 2, 2]


def test_poses_are_turned_into_camera_to_world(root):
    first, second, third = Eth3d(root)
    # the camera's place is minus the turned-back translation (1, 2, 3)
    assert np.allclose(first.pose, [[0, 1, 0, -2], [-1, 0, 0, 1], [0, 0, 1, -3], [0, 0, 0, 1]])
    assert np.allclose(second.pose[:3, 3], [0, 0, 4])
    assert third.pose is None


def test_the_copy_of_marigold_is_read(tmp_path):
    put_photograph(tmp_path / "rgb/office", 219)
    put_depth(tmp_path / "depth/office_dslr_depth/office", 219)
    data = Eth3d(tmp_path)
    line = "rgb/office/images/dslr_images/DSC_0219.JPG depth/office_dslr_depth/office/ground_truth_depth/DSC_0219.JPG"
    assert data.ids == [data.parse(line)] == [FrameId("office", 219)]
    assert all(path.is_file() for path in data.files(data.ids[0]))
    assert data[0].depth.values[0, 1] == 1.5
    with pytest.raises(InputError, match=r"is not office/images/dslr_images/DSC_0219.JPG"):
        data.parse("office/DSC_0219.JPG")


def test_what_is_missing_is_named(root):
    data = Eth3d(root)
    _, depth = data.files(data.ids[0])
    depth.write_bytes(DEPTH.tobytes()[:-4])
    with pytest.raises(InputError, match=r"DSC_0219.JPG: holds 5 numbers, not the 3x2 of its photograph"):
        data[0]
    depth.unlink()
    with pytest.raises(InputError, match=r"DSC_0219.JPG: no such file; it is in the archive office_dslr_depth.7z"):
        data[0]
    (root / "office/dslr_calibration_jpg/images.txt").unlink()
    with pytest.raises(InputError, match=r"images"):
        Eth3d(root).pose(data.ids[1])
    with pytest.raises(InputError, match=r"holds no frame of eth3d"):
        Eth3d(root / "office")


def test_depth_and_pose_turn_with_the_photograph(root):
    image = np.zeros((20, 30, 3), np.uint8)
    image[:10, :15] = 250  # the top left quarter
    raw = np.where(image[..., 0] > 0, np.float32(9), np.float32(2))
    path = root / "office/images/dslr_images/DSC_0219.JPG"
    raw.astype("<f4").tofile(root / "office/ground_truth_depth/dslr_images/DSC_0219.JPG")
    Image.fromarray(image).save(path)
    upright = Eth3d(root)[0].pose
    # right in the upright photograph, in the stored one's axes
    for orientation, shape, right in ((3, (20, 30), [-1, 0, 0]), (6, (30, 20), [0, -1, 0]), (8, (30, 20), [0, 1, 0])):
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(image).save(path, exif=exif)
        frame = Eth3d(root)[0]
        assert frame.image.shape[:2] == frame.depth.shape == shape
        assert np.array_equal(frame.image[..., 0] > 0.5, frame.depth.values == 9)
        assert np.allclose(frame.pose[:3, 0], upright[:3, :3] @ right)
        assert np.allclose(frame.pose[:3, 3], upright[:3, 3])
