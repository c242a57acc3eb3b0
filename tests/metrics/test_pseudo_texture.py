from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, maximum_filter

from leadline.camera import Pinhole
from leadline.metrics.pseudo_texture import pseudo_texture

CAMERA = Pinhole.from_fov(160, 120, 70)


def texture(seed: int = 0, blur: float = 1.0) -> np.ndarray:
    grain = gaussian_filter(np.random.default_rng(seed).standard_normal((120, 160)), blur)
    return np.clip(0.5 + 0.2 * grain / grain.std(), 0, 1)


def wall(*slant: float) -> np.ndarray:
    """z-depth of a plane, tilted sideways and up."""
    return 4 / (CAMERA.rays() @ np.array([*slant, 1.0]))


def score(pred: np.ndarray, gt: np.ndarray, grey: np.ndarray, mask: np.ndarray | None = None) -> float:
    mask = np.ones(gt.shape, bool) if mask is None else mask
    image = np.repeat(grey[..., None], 3, axis=-1)
    return pseudo_texture(*(torch.from_numpy(np.ascontiguousarray(a)) for a in (pred, gt, image, mask))).item()


def reference(pred: np.ndarray, gt: np.ndarray, grey: np.ndarray, mask: np.ndarray) -> float:
    """The definition with loops over pixels; the image is less than 300 pixels wide."""
    height, width = gt.shape
    d, flat = 1 / gt, np.zeros(gt.shape, bool)
    for y in range(2, height - 2):
        for x in range(2, width - 2):
            near = [(y, x), (y, x - 2), (y, x + 2), (y - 2, x), (y + 2, x)]
            bend = max(abs(d[y, x - 2] - 2 * d[y, x] + d[y, x + 2]), abs(d[y - 2, x] - 2 * d[y, x] + d[y + 2, x]))
            flat[y, x] = all(mask[place] for place in near) and bend < 0.01 * d[y, x]
    smooth = ~maximum_filter(~flat, 5, mode="nearest")
    places = [(y, x) for y in range(height - 1) for x in range(width - 1)
              if smooth[y, x] and smooth[y, x + 1] and smooth[y + 1, x]]  # fmt: skip
    lengths = []
    for values in (np.log(pred / gt), grey):
        gradient = {(y, x): np.array([values[y, x + 1] - values[y, x], values[y + 1, x] - values[y, x]])
                    for y, x in places}  # fmt: skip
        around = {(y, x): np.mean([g for (v, u), g in gradient.items() if abs(v - y) <= 7 and abs(u - x) <= 7], axis=0)
                  for y, x in places}  # fmt: skip
        lengths.append(np.array([np.linalg.norm(gradient[place] - around[place]) for place in places]))
    a, b = (length - length.mean() for length in lengths)
    return np.mean(a * b) / np.sqrt((np.mean(a**2) + 5e-4**2) * np.mean(b**2))


def test_agrees_with_the_definition_pixel_by_pixel():
    rng = np.random.default_rng(1)
    gt, grey = wall(0.3, 0.2)[:24, :30].copy(), texture()[:24, :30]
    gt[:, 20:] *= 0.6
    mask = rng.random(gt.shape) < 0.99
    pred = gt * (1 + 0.1 * grey) * np.exp(rng.normal(0, 0.01, gt.shape))
    expected = reference(pred, gt, grey, mask)
    assert 0.05 < expected < 0.95
    gt[~mask] = np.nan
    assert score(pred, gt, grey, mask) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("slant", [(0, 0), (0.5, 0), (0.4, 0.8)])
def test_a_print_is_near_one_and_the_truth_near_zero_on_slanted_walls(slant):
    gt, grey = wall(*slant), texture()
    assert score(gt * (1 + 0.1 * grey), gt, grey) > 0.95
    assert score(gt / (1 + 0.1 * grey), gt, grey) > 0.95
    assert abs(score(gt, gt, grey)) < 0.01
    assert abs(score(gt * (1 + 0.1 * texture(7)), gt, grey)) < 0.1


def test_a_wrong_shape_is_no_print():
    gt = wall(0.2, 0.7)
    # texture on a floor, finer and stronger with distance, as depth's own gradient is
    grey = 0.5 + (texture(blur=0.6) - 0.5) * (gt / gt.max())
    assert abs(np.corrcoef(*(np.hypot(*np.gradient(a)).ravel() for a in (gt, grey)))[0, 1]) > 0.3
    for wrong in (gt, wall(0.5, 0.2), gt**0.9):
        assert abs(score(wrong, gt, grey)) < 0.1


def test_quantised_depth_still_has_smooth_surface_and_no_print():
    gt, grey = wall(0.4, 0.3), texture()
    stored = np.round(gt * 1000) / 1000
    assert abs(score(stored, stored, grey)) < 0.01
    assert abs(score(stored, gt, grey)) < 0.1
    assert score(stored * (1 + 0.1 * grey), stored, grey) > 0.95
    assert abs(score(gt.astype(np.float32), gt.astype(np.float32) * np.float32(1.1), grey.astype(np.float32))) < 0.01


@pytest.mark.parametrize("scale", [1e-3, 0.3, 25.4, 1e3])
def test_the_scale_does_not_matter(scale):
    gt, grey = wall(0.3, 0.2), texture()
    pred = gt * (1 + 0.02 * grey)
    assert score(scale * pred, gt, grey) == pytest.approx(score(pred, gt, grey), abs=1e-6)
    assert score(pred, scale * gt, grey) == pytest.approx(score(pred, gt, grey), abs=1e-6)


def test_what_happens_at_outlines_and_creases_is_not_judged():
    gt, grey = wall(0, 0).copy(), texture()
    gt[:, 100:] *= 0.7  # an outline
    gt[80:] = np.minimum(gt[80:], wall(0, 1.5)[80:] * 2)  # and a floor
    pred = gt * (1 + 0.1 * grey)
    spoilt = pred.copy()
    spoilt[:, 98:102] *= 2
    assert score(spoilt, gt, grey) == pytest.approx(score(pred, gt, grey), abs=1e-9)


def test_too_little_smooth_surface_or_no_texture_cannot_be_judged():
    gt, grey = wall(0.1, 0.1), texture()
    rough = gt * np.random.default_rng(0).uniform(0.9, 1.1, gt.shape)
    sparse = np.random.default_rng(0).random(gt.shape) < 0.05
    assert np.isnan(score(gt, rough, grey))
    assert np.isnan(score(gt, gt, grey, sparse))
    patch, larger = np.zeros((2, *gt.shape), bool)
    patch[40:54, 40:54] = larger[40:80, 40:80] = True
    assert np.isnan(score(gt * (1 + 0.1 * grey), gt, grey, patch))
    assert score(gt * (1 + 0.1 * grey), gt, grey, larger) > 0.95
    assert np.isnan(score(gt, gt, np.full_like(grey, 0.5)))
    assert np.isnan(score(gt[:3, :3], gt[:3, :3], grey[:3, :3]))


def test_batches_are_judged_image_by_image():
    gt = torch.from_numpy(np.stack([wall(0.2, 0), wall(0, 0.5)]))
    grey = torch.from_numpy(np.stack([texture(0), texture(1)]))
    pred, image, mask = gt * (1 + 0.05 * grey), grey[..., None].expand(-1, -1, -1, 3), gt > 0
    together = pseudo_texture(pred, gt, image, mask)
    assert together.shape == (2,)
    for i in range(2):
        torch.testing.assert_close(pseudo_texture(pred[i], gt[i], image[i], mask[i]), together[i])
