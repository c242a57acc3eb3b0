from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from leadline.camera import Fisheye, Pinhole, RadialTangential
from leadline.data.colmap import has_model, read_cameras, read_images, read_points
from leadline.errors import InputError

CAMERAS = """# Camera list with one line of data per camera:
#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]
1 PINHOLE 640 480 500 510 320.5 240.5
2 SIMPLE_PINHOLE 640 480 500 320 240
3 SIMPLE_RADIAL 640 480 500 320 240 -0.1
5 RADIAL 640 480 500 320 240 -0.1 0.02
7 OPENCV 640 480 500 510 320 240 -0.1 0.02 0.001 -0.002
8 OPENCV_FISHEYE 640 480 500 510 320 240 0.01 0.02 0.003 0.004
9 RADIAL_FISHEYE 640 480 500 320 240 0.01 0.02
"""
#: A quarter turn about z: the world's x is the camera's y. The second image has no features, and blanks in its name.
IMAGES = """# Image list with two lines of data per image:
#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME
#   POINTS2D[] as (X, Y, POINT3D_ID)

1 0.7071067811865476 0 0 0.7071067811865476 1 2 3 1 left/a 1.jpg
10.5 20.5 7 30.25 40 -1
2 1 0 0 0 0 0 -1 7 b.jpg

3 2 0 0 0 0 0 4 7 c.jpg
"""
POINTS = """# 3D point list
7 1 2 3 255 0 0 0.5 1 0 3 2
3 -1 0.5 2 0 0 0 0.5
"""


@pytest.fixture(params=["text", "binary"])
def model(request, tmp_path):
    if request.param == "text":
        for name, text in (("cameras", CAMERAS), ("images", IMAGES), ("points3D", POINTS)):
            (tmp_path / f"{name}.txt").write_text(text)
        return tmp_path
    numbers = {"SIMPLE_PINHOLE": 0, "PINHOLE": 1, "SIMPLE_RADIAL": 2, "RADIAL": 3, "OPENCV": 4, "OPENCV_FISHEYE": 5,
               "RADIAL_FISHEYE": 9}  # fmt: skip
    rows = [line.split() for line in CAMERAS.splitlines() if line[0] != "#"]
    data = struct.pack("<Q", len(rows))
    for key, name, width, height, *values in rows:
        data += struct.pack(f"<IiQQ{len(values)}d", int(key), numbers[name], int(width), int(height),
                            *map(float, values))  # fmt: skip
    (tmp_path / "cameras.bin").write_bytes(data)
    half = np.sqrt(0.5)
    data = struct.pack("<Q", 3)
    data += struct.pack("<I7dI", 1, half, 0, 0, half, 1, 2, 3, 1) + b"left/a 1.jpg\0"
    data += struct.pack("<QddqddQ", 2, 10.5, 20.5, 7, 30.25, 40, 2**64 - 1)
    data += struct.pack("<I7dI", 2, 1, 0, 0, 0, 0, 0, -1, 7) + b"b.jpg\0" + struct.pack("<Q", 0)
    data += struct.pack("<I7dI", 3, 2, 0, 0, 0, 0, 0, 4, 7) + b"c.jpg\0" + struct.pack("<Q", 0)
    (tmp_path / "images.bin").write_bytes(data)
    data = struct.pack("<Q", 2)
    data += struct.pack("<QdddBBBdQIIII", 7, 1, 2, 3, 255, 0, 0, 0.5, 2, 1, 0, 3, 2)
    data += struct.pack("<QdddBBBdQ", 3, -1, 0.5, 2, 0, 0, 0, 0.5, 0)
    (tmp_path / "points3D.bin").write_bytes(data)
    return tmp_path


def test_cameras_are_ours_with_the_first_pixel_at_zero(model):
    cameras = read_cameras(model)
    assert list(cameras) == [1, 2, 3, 5, 7, 8, 9]
    assert cameras[1] == Pinhole(640, 480, 500.0, 510.0, 320.0, 240.0)
    assert cameras[2] == Pinhole(640, 480, 500.0, 500.0, 319.5, 239.5)
    assert cameras[3] == RadialTangential(640, 480, 500.0, 500.0, 319.5, 239.5, k1=-0.1)
    assert cameras[5] == RadialTangential(640, 480, 500.0, 500.0, 319.5, 239.5, k1=-0.1, k2=0.02)
    assert cameras[7] == RadialTangential(640, 480, 500.0, 510.0, 319.5, 239.5, -0.1, 0.02, 0.001, -0.002)
    assert cameras[8] == Fisheye(640, 480, 500.0, 510.0, 319.5, 239.5, 0.01, 0.02, 0.003, 0.004)
    assert cameras[9] == Fisheye(640, 480, 500.0, 500.0, 319.5, 239.5, 0.01, 0.02)


def test_a_distorted_camera_projects_as_opencv_does(model):
    point = np.array([[0.3, -0.2, 1.0]])
    matrix = np.array([[500.0, 0, 320], [0, 510, 240], [0, 0, 1]])
    plain = cv2.projectPoints(point, np.zeros(3), np.zeros(3), matrix, np.array([-0.1, 0.02, 0.001, -0.002]))[0]
    bent = cv2.fisheye.projectPoints(
        point[None], np.zeros(3), np.zeros(3), matrix, np.array([0.01, 0.02, 0.003, 0.004])
    )
    for key, expected in ((7, plain), (8, bent[0])):
        np.testing.assert_allclose(read_cameras(model)[key].project(point)[0][0], expected.ravel() - 0.5, atol=1e-9)


def test_images_have_camera_to_world_poses_and_what_they_see(model):
    first, second, third = read_images(model)
    assert (first.name, first.camera_id, second.name, second.camera_id) == ("left/a 1.jpg", 1, "b.jpg", 7)
    # world (1, 0, 0) turns to the camera's (0, 1, 0) and moves to (1, 3, 3)
    np.testing.assert_allclose(first.pose @ [1, 3, 3, 1], [1, 0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(second.pose[:3, 3], [0, 0, 1])
    np.testing.assert_allclose(third.pose[:3, :3], np.eye(3))  # a quaternion of any length
    assert first.points.tolist() == [7, -1]
    assert first.pixels.tolist() == [[10.0, 20.0], [29.75, 39.5]]
    assert second.points.shape == (0,)
    assert second.pixels.shape == (0, 2)


def test_points_are_in_the_order_of_their_ids(model):
    ids, places = read_points(model)
    assert ids.tolist() == [3, 7]
    assert places.tolist() == [[-1, 0.5, 2], [1, 2, 3]]


def test_the_binary_model_is_read_where_both_are_there(tmp_path):
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 10 10 5 5 5 5\n")
    assert not has_model(tmp_path)
    (tmp_path / "images.txt").write_text("")
    assert has_model(tmp_path)
    (tmp_path / "cameras.bin").write_bytes(struct.pack("<QIiQQ3d", 1, 4, 0, 10, 10, 6, 5, 5))
    assert read_cameras(tmp_path) == {4: Pinhole(10, 10, 6.0, 6.0, 4.5, 4.5)}
    assert read_images(tmp_path) == []


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"holds no cameras\.bin or cameras\.txt"):
        read_cameras(tmp_path)
    for text, problem in (
        ("4 FULL_OPENCV 64 48 5 5 5 5 0 0 0 0 1 0 0 0", r"cameras\.txt: camera 4 is of model FULL_OPENCV, .*undistort"),
        ("4 PINHOLE 64 48 5 5 5", r"camera 4 has 3 parameters, PINHOLE has 4"),
        ("4 PINHOLE 64 48 0 5 5 5", r"cameras\.txt: camera 4: .*fx is 0\.0, not positive"),
        ("4 PINHOLE", r"cameras\.txt: is not a whole file"),
    ):
        (tmp_path / "cameras.txt").write_text(text)
        with pytest.raises(InputError, match=problem):
            read_cameras(tmp_path)
    (tmp_path / "images.txt").write_text("1 1 0 0 0 0 0 1 a.jpg\n\n")
    with pytest.raises(InputError, match=r"images\.txt: is not a whole file"):
        read_images(tmp_path)
    (tmp_path / "images.txt").write_text("1 0 0 0 0 0 0 0 1 a.jpg\n\n")
    with pytest.raises(InputError, match=r"images\.txt: image a\.jpg has no pose"):
        read_images(tmp_path)


@pytest.mark.parametrize("model", ["binary"], indirect=True)
@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
def test_a_binary_file_that_is_cut_off_is_named(model, name):
    file = model / f"{name}.bin"
    file.write_bytes(file.read_bytes()[:-5])
    read = {"cameras": read_cameras, "images": read_images, "points3D": read_points}[name]
    with pytest.raises(InputError, match=rf"{name}\.bin: is not a whole file"):
        read(model)


def test_a_model_with_an_unknown_number_is_refused(tmp_path):
    (tmp_path / "cameras.bin").write_bytes(struct.pack("<QIiQQ3d", 1, 4, 17, 10, 10, 6, 5, 5))
    with pytest.raises(InputError, match=r"cameras\.bin: camera 4 is of model number 17"):
        read_cameras(tmp_path)
