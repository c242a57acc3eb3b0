from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from leadline.losses.photometric import photometric_error, ssim_error

ONE, TWO = torch.rand(2, 2, 3, 20, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_equal_images_have_no_error_and_order_does_not_matter():
    assert float(photometric_error(ONE, ONE).abs().max()) < 1e-6
    torch.testing.assert_close(photometric_error(ONE, TWO), photometric_error(TWO, ONE))


def test_structure_is_what_an_independent_implementation_says():
    for image in range(2):
        for colour in range(3):
            a, b = (np.pad(x[image, colour].numpy(), 1, mode="reflect") for x in (ONE, TWO))
            _, full = structural_similarity(a, b, win_size=3, data_range=1.0, full=True, use_sample_covariance=False)
            expected = np.clip((1 - full[1:-1, 1:-1]) / 2, 0, 1)
            np.testing.assert_allclose(ssim_error(ONE, TWO)[image, colour].numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.85, 1.0])
def test_the_parts_are_weighed(alpha):
    expected = alpha * ssim_error(ONE, TWO) + (1 - alpha) * (ONE - TWO).abs()
    torch.testing.assert_close(photometric_error(ONE, TWO, alpha), expected.mean(1, keepdim=True))


def test_gradients_are_those_of_differences():
    one = ONE[:1, :1, :5, :6].clone().requires_grad_()
    torch.autograd.gradcheck(lambda x: photometric_error(x, TWO[:1, :1, :5, :6]), (one,))
