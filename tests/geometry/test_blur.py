"""Gaussian blur."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from leadline.geometry.blur import gaussian_blur


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.0, 2.0])
def test_it_is_scipys(sigma):
    image = np.random.default_rng(0).random((3, 24, 31), np.float32)
    expected = gaussian_filter(image, (0, sigma, sigma), mode="nearest", radius=max(1, round(3 * sigma)))
    np.testing.assert_allclose(gaussian_blur(torch.from_numpy(image), sigma), expected, atol=1e-6)


def test_a_flat_image_stays():
    image = torch.full((2, 9, 8), 0.3)
    torch.testing.assert_close(gaussian_blur(image, 1.7), image)
