from __future__ import annotations

import numpy as np
import pytest

from leadline.geometry.stereo import match


def smooth_noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Texture that is known between pixels: a sum of sines, as a function of place."""
    random = np.random.default_rng(seed)
    waves = random.uniform(-1.2, 1.2, (60, 2)), random.uniform(0, 2 * np.pi, 60)

    def at(u, v):
        values = sum(np.sin(a * u + b * v + c) for (a, b), c in zip(*waves, strict=True))
        return np.clip(127 + 11 * values, 0, 255)

    return at


def pair(disparity, height: int = 80, width: int = 160):
    """Images of a surface whose disparity is given for pixels of the right image."""
    at = smooth_noise(height, width)
    v, u = np.mgrid[:height, :width].astype(float)
    left, right = at(u, v), at(u + disparity(u, v), v)
    return (np.repeat(np.rint(image)[..., None], 3, axis=2).astype(np.uint8) for image in (left, right))


@pytest.mark.parametrize("shift", [4.0, 9.5, 17.25])
def test_a_wall_is_found_to_parts_of_a_pixel(shift):
    found = match(*pair(lambda u, v: shift), 0, 30)
    assert len(found) > 100
    assert np.abs(found[:, 2] - shift).max() < 0.15


def test_disparities_below_zero_are_found_where_they_are_looked_for():
    found = match(*pair(lambda u, v: -6.0), -10, 10)
    assert len(found) > 100
    assert np.abs(found[:, 2] + 6).max() < 0.15


def test_a_slanted_wall():
    left, right = pair(lambda u, v: 5 + 0.05 * u)
    found = match(left, right, 0, 30)
    assert len(found) > 50
    # u_left = u_right + 5 + u_right / 20
    assert np.median(np.abs(found[:, 2] - (found[:, 0] + 100) / 21)) < 0.1


def test_what_has_no_texture_or_repeats_is_not_matched():
    grey = np.full((60, 120, 3), 128, np.uint8)
    assert match(grey, grey).shape == (0, 3)
    stripes = np.tile((127 + 120 * np.sin(np.arange(120) * 2 * np.pi / 6)).astype(np.uint8)[:, None], (60, 1, 3))
    assert len(match(stripes, stripes, 0, 30)) == 0


def test_what_only_one_eye_sees_is_not_matched():
    left, _ = pair(lambda u, v: 0.0)
    right = np.random.default_rng(1).integers(0, 255, left.shape, np.uint8)
    assert len(match(left, right, 0, 30)) <= 2


def test_a_real_pair_against_its_truth():
    data = pytest.importorskip("skimage.data")
    left, right, truth = data.stereo_motorcycle()
    found = match(left, right)
    there = truth[found[:, 1].astype(int), found[:, 0].astype(int)]
    error = np.abs(found[:, 2] - there)[np.isfinite(there)]
    assert len(error) > 1000
    assert np.median(error) < 0.2
    assert (error < 1).mean() > 0.9
