from __future__ import annotations

import numpy as np
import pytest

from leadline.camera import Fisheye, Pinhole
from leadline.data.lidar import kept, project, read_points
from leadline.errors import InputError
from leadline.geometry.poses import axis_angle_to_matrix, compose

PINHOLE = Pinhole(24, 16, 12.0, 13.0, 11.3, 7.6)
FISHEYE = Fisheye(24, 16, 9.0, 9.0, 11.3, 7.6, 0.02, -0.01)
TO_CAMERA = compose(axis_angle_to_matrix(np.array([0.02, -0.3, 0.1])), np.array([0.1, -0.2, 0.3]))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def slowly(points, to_camera, camera, values=None):
    depth = np.zeros((camera.height, camera.width))
    for index, point in enumerate(points.astype(float)):
        x, y, z = to_camera[:3, :3] @ point + to_camera[:3, 3]
        if z <= 0:
            continue
        (u, v), seen = camera.project(np.array([x, y, z]))
        column, row = round(float(u)), round(float(v))
        if seen and 0 <= column < camera.width and 0 <= row < camera.height:
            value = z if values is None else values[index]
            if depth[row, column] == 0 or value < depth[row, column]:
                depth[row, column] = value
    return depth


@pytest.mark.parametrize("camera", [PINHOLE, FISHEYE])
@pytest.mark.parametrize("forward", [False, True])
def test_a_projection_is_that_of_a_loop_over_points(camera, forward):
    points = np.random.default_rng(0).uniform(-8, 8, (3000, 3)).astype(np.float32)
    points[:, 2] = np.abs(points[:, 2])
    values = points[:, 2] + 0.5 if forward else None
    depth = project(points, TO_CAMERA, camera, values)
    slow = slowly(points, TO_CAMERA, camera, values)
    assert depth.dtype == np.float32
    assert 200 < np.count_nonzero(slow) < depth.size
    np.testing.assert_allclose(depth, slow, rtol=1e-6)


def test_of_several_points_the_nearest_stays_in_any_order():
    points = np.array([[0, 0, 5], [0, 0, 2], [0.01, 0, 3], [0, 0, -1], [90, 0, 1], [0, 0, 0]], np.float32)
    camera = Pinhole(5, 3, 4.0, 4.0, 2.0, 1.0)
    for order in (slice(None), slice(None, None, -1)):
        depth = project(points[order], np.eye(4), camera)
        assert depth[1, 2] == 2
        assert np.count_nonzero(depth) == 1


def test_a_sweep_without_points_is_an_empty_map():
    assert not project(np.empty((0, 3), np.float32), np.eye(4), PINHOLE).any()


def test_a_map_is_made_again_only_when_a_source_or_its_way_changes(cache, tmp_path):
    source, calls = tmp_path / "points.bin", []
    source.write_bytes(b"a")

    def get(about="image_02"):
        def make():
            calls.append(about)
            values = np.zeros((4, 6), np.float32)
            values[1, 2], values[3, 5] = 7.25, len(calls)
            return values

        return kept([source], about, make)

    first = get()
    np.testing.assert_array_equal(get(), first)
    assert first[1, 2] == 7.25
    assert len(calls) == 1
    get("image_03")
    assert len(calls) == 2
    source.write_bytes(b"other")
    assert get()[3, 5] == 3


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", b"garbage"])
def test_a_damaged_cache_is_made_again(cache, tmp_path, damage):
    source = tmp_path / "points.bin"
    source.write_bytes(b"a")
    values = np.eye(3, dtype=np.float32)
    kept([source], "x", lambda: values)
    (file,) = (path for path in cache.rglob("*") if path.is_file())
    file.write_bytes(damage)
    np.testing.assert_array_equal(kept([source], "x", lambda: 2 * values), 2 * values)
    np.testing.assert_array_equal(kept([source], "x", lambda: values), 2 * values)


def test_a_missing_source_is_named(cache, tmp_path):
    with pytest.raises(InputError, match=r"gone\.bin: no such file"):
        kept([tmp_path / "gone.bin"], "x", lambda: np.zeros((1, 1), np.float32))


def test_files_of_points(tmp_path):
    numbers = np.arange(20, dtype=np.float32)
    numbers.tofile(tmp_path / "a.bin")
    np.testing.assert_array_equal(read_points(tmp_path / "a.bin", 5), numbers.reshape(4, 5))
    numbers[:-1].tofile(tmp_path / "a.bin")
    with pytest.raises(InputError, match=r"a\.bin: does not hold points of 4 float32 numbers each"):
        read_points(tmp_path / "a.bin", 4)
    with pytest.raises(InputError, match=r"b\.bin: no such file"):
        read_points(tmp_path / "b.bin", 4)
