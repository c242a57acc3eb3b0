from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.camera import Pinhole
from leadline.depth import KINDS, DepthMap, Kind
from leadline.errors import ConfigError, InputError, KindError

METRIC = Kind("depth", "nothing")
AFFINE = Kind("disparity", "affine")
RAMP = np.linspace(1, 4, 12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_kinds_have_names_that_parse(kind):
    assert Kind.parse(str(kind)) == kind


def test_unknown_kind_suggests():
    with pytest.raises(ConfigError, match="did you mean 'metric-depth'"):
        Kind.parse("metric-deph")


@pytest.mark.parametrize(("kind", "unit"), [(METRIC, "arbitrary"), (AFFINE, "m"), (Kind("disparity", "nothing"), "m")])
def test_unit_must_fit_the_kind(kind, unit):
    with pytest.raises(KindError, match="unit"):
        DepthMap(RAMP, kind, unit)


def test_validity_drops_what_cannot_be_depth():
    values = np.array([[1, 0, -1, np.nan, np.inf]], np.float32)
    assert DepthMap(values, METRIC, "m").valid.tolist() == [[True, False, False, False, False]]
    assert DepthMap(values, AFFINE).valid.tolist() == [[True, True, True, False, False]]


@given(st.sampled_from(["m", "cm", "mm"]), st.sampled_from(["m", "cm", "mm"]))
def test_units_convert_through_metres(first, second):
    depth = DepthMap(RAMP, METRIC, first)
    assert np.allclose(depth.to_unit(second).to_unit(first).values, RAMP)
    factor = {"m": 1.0, "cm": 100.0, "mm": 1000.0}
    assert np.allclose(depth.to_unit(second).values, RAMP / factor[first] * factor[second])
    inverse = depth.to_disparity()
    assert inverse.unit == f"1/{first}"
    assert np.allclose(inverse.to_unit(f"1/{second}").to_depth().values, depth.to_unit(second).values)


def test_affine_maps_refuse_what_would_be_wrong():
    affine = DepthMap(RAMP, AFFINE)
    with pytest.raises(KindError, match="align"):
        affine.to_depth()
    with pytest.raises(KindError, match="align"):
        affine.to_points()
    with pytest.raises(KindError, match="unit"):
        affine.to_unit("mm")
    with pytest.raises(KindError, match="its own scale"):
        DepthMap(RAMP, METRIC, "m").align_to(DepthMap(RAMP, Kind("depth", "affine")))


def test_points_need_a_camera():
    with pytest.raises(KindError, match="--intrinsics"):
        DepthMap(RAMP, METRIC, "m").to_points()


def test_camera_must_be_of_the_map_size():
    with pytest.raises(KindError, match="camera"):
        DepthMap(RAMP, METRIC, "m", camera=Pinhole.from_fov(8, 6, 60))


def test_points_of_a_wall_lie_on_it():
    camera = Pinhole(width=4, height=3, fx=2.0, fy=2.0, cx=1.5, cy=1.0)
    values = np.full((3, 4), 5.0, np.float32)
    values[0, 0] = np.nan
    points = DepthMap(values, METRIC, "mm", camera=camera).to_points()
    assert points.shape == (11, 3)
    assert np.allclose(points[:, 2], 5)
    assert np.allclose(points[0], [(1 - 1.5) / 2 * 5, (0 - 1.0) / 2 * 5, 5])


@given(st.floats(0.1, 10), st.floats(-5, 5))
def test_affine_disparity_aligned_to_truth_is_truth(scale, shift):
    truth = DepthMap(RAMP, METRIC, "cm")
    aligned = DepthMap(scale / RAMP + shift, AFFINE).align_to(truth)
    assert aligned.kind == METRIC
    assert aligned.unit == "cm"
    assert np.allclose(aligned.values, RAMP, rtol=1e-3)


def test_scale_is_found_by_the_median_by_default():
    truth = DepthMap(RAMP, METRIC, "m")
    assert np.allclose(DepthMap(RAMP / 7, Kind("depth", "scale")).align_to(truth).values, RAMP, rtol=1e-5)
    with pytest.raises(KindError, match="height, width"):
        truth.align_to(DepthMap(RAMP[:2], METRIC, "m"))


@pytest.mark.parametrize("suffix", [".png", ".npz", ".exr"])
@pytest.mark.parametrize("kind", [METRIC, AFFINE], ids=str)
def test_a_saved_map_knows_what_it_is(tmp_path, suffix, kind):
    valid = np.ones_like(RAMP, bool)
    valid[1, 2] = False
    camera = Pinhole.from_fov(4, 3, 70) if kind == METRIC else None
    saved = DepthMap(RAMP - (0 if kind == METRIC else 3), kind, "m" if kind == METRIC else "arbitrary", valid, camera)
    saved.save(tmp_path / f"map{suffix}")
    loaded = DepthMap.load(tmp_path / f"map{suffix}")
    assert (loaded.kind, loaded.unit, loaded.camera) == (saved.kind, saved.unit, saved.camera)
    assert np.array_equal(loaded.valid, valid)
    assert np.allclose(loaded.values[valid], saved.values[valid], atol=1e-4)


def test_ply_and_files_without_meaning(tmp_path):
    depth = DepthMap(RAMP, METRIC, "m", camera=Pinhole.from_fov(4, 3, 70))
    depth.save(tmp_path / "points.ply")
    from leadline.io.ply import read_ply

    assert np.allclose(read_ply(tmp_path / "points.ply")[0], depth.to_points())
    with pytest.raises(KindError):
        DepthMap(RAMP, AFFINE).save(tmp_path / "no.ply")
    assert not (tmp_path / "no.ply").exists()
    depth.save(tmp_path / "map.npy")
    with pytest.raises(InputError, match="what kind"):
        DepthMap.load(tmp_path / "map.npy")
