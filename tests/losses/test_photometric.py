from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from leadline.losses.photometric import photometric_error, photometric_loss, ssim_error

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


ERRORS = torch.rand(2, 2, 6, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
ALL = torch.ones(2, 2, 6, 7, dtype=torch.bool)


def seeded():
    return torch.Generator().manual_seed(0)


def test_the_minimum_ignores_a_source_that_does_not_show_the_pixel():
    errors, visible = torch.full((1, 2, 4, 4), 0.1), torch.ones(1, 2, 4, 4, dtype=torch.bool)
    errors[:, 1, :2] = 0.9  # hidden there, and nobody knows
    loss, used = photometric_loss(errors, visible)
    assert loss.item() == pytest.approx(0.1)
    assert used.shape == (1, 1, 4, 4)
    assert float(photometric_loss(errors, visible, minimum=False)[0]) == pytest.approx((0.1 + 0.5) / 2)
    # Now it is known, and the hidden one looks better by chance.
    errors[:, 1, :2], visible[:, 1, :2] = 0.0, False
    assert float(photometric_loss(errors, visible)[0]) == pytest.approx(0.1)


def test_a_source_that_shows_less_counts_no_less_without_the_minimum():
    errors, visible = torch.full((1, 2, 4, 4), 0.1), torch.ones(1, 2, 4, 4, dtype=torch.bool)
    errors[:, 1], visible[:, 1, 1:] = 0.3, False
    loss, used = photometric_loss(errors, visible, minimum=False)
    assert loss.item() == pytest.approx(0.2)
    assert torch.equal(used, visible)


def test_no_pixel_that_no_source_shows_counts():
    visible = ALL.clone()
    visible[:, :, 2:] = False
    spoilt = ERRORS.masked_fill(~visible, torch.nan).requires_grad_()
    loss, used = photometric_loss(spoilt, visible)
    torch.testing.assert_close(loss, ERRORS[:, :, :2].amin(1).mean())
    assert not used[:, :, 2:].any()
    loss.backward()
    assert (spoilt.grad[:, :, 2:] == 0).all()
    assert float(photometric_loss(ERRORS, torch.zeros_like(ALL))[0]) == 0


def test_what_looks_alike_without_moving_teaches_nothing():
    errors, still = torch.full((1, 2, 4, 4), 0.2, requires_grad=True), torch.full((1, 2, 4, 4), 0.5)
    still[:, 1, :, :2] = 0.1
    loss, used = photometric_loss(errors, torch.ones_like(errors, dtype=torch.bool), still, generator=seeded())
    assert used[..., 2:].all()
    assert not used[..., :2].any()
    assert loss.item() == pytest.approx(0.15, abs=1e-4)
    loss.backward()
    assert (errors.grad[..., :2] == 0).all()
    assert (errors.grad[..., 2:] > 0).all()


def test_without_the_minimum_every_source_is_measured_against_itself_at_rest():
    still = torch.stack([ERRORS[:, 0] + 0.1, ERRORS[:, 1] - 0.1], dim=1)
    loss, used = photometric_loss(ERRORS, ALL, still, minimum=False, generator=seeded())
    assert used[:, 0].all()
    assert not used[:, 1].any()
    torch.testing.assert_close(loss, (ERRORS[:, 0].mean() + still[:, 1].mean()) / 2, rtol=1e-4, atol=0)


def test_equal_errors_are_told_apart_by_chance_that_can_be_repeated():
    errors = torch.full((1, 1, 40, 40), 0.2)
    visible = torch.ones_like(errors, dtype=torch.bool)
    _, used = photometric_loss(errors, visible, errors, generator=seeded())
    assert 0.4 < used.float().mean() < 0.6
    assert torch.equal(used, photometric_loss(errors, visible, errors, generator=seeded())[1])
    torch.manual_seed(5)
    first = photometric_loss(errors, visible, errors)[1]
    torch.manual_seed(5)
    assert torch.equal(first, photometric_loss(errors, visible, errors)[1])


@pytest.mark.parametrize("minimum", [True, False])
@pytest.mark.parametrize("still", [None, ERRORS.flip(0)])
def test_the_gradient_of_the_loss_is_that_of_differences(minimum, still):
    visible = ERRORS > 0.2
    errors = (ERRORS + 0.05).requires_grad_()
    torch.autograd.gradcheck(lambda e: photometric_loss(e, visible, still, minimum, seeded())[0], (errors,))
