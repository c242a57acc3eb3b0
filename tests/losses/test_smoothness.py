from __future__ import annotations

import pytest
import torch

from leadline.losses.smoothness import disparity_smoothness, edge_aware_smoothness

GENERATOR = torch.Generator().manual_seed(0)
DISPARITY = 0.1 + torch.rand(2, 1, 6, 8, generator=GENERATOR, dtype=torch.float64)
IMAGE = torch.rand(2, 3, 6, 8, generator=GENERATOR, dtype=torch.float64)
FLOW = torch.randn(2, 2, 6, 8, generator=GENERATOR, dtype=torch.float64)


def published(values, image):
    """The loss as monodepth2 writes it down."""
    dx, dy = (values.diff(dim=dim).abs() for dim in (3, 2))
    ix, iy = (image.diff(dim=dim).abs().mean(1, keepdim=True) for dim in (3, 2))
    return (dx * torch.exp(-ix)).mean() + (dy * torch.exp(-iy)).mean()


def test_it_is_the_published_loss():
    torch.testing.assert_close(edge_aware_smoothness(FLOW, IMAGE), published(FLOW, IMAGE))
    mean = DISPARITY.mean((2, 3), keepdim=True)
    torch.testing.assert_close(disparity_smoothness(DISPARITY, IMAGE), published(DISPARITY / mean, IMAGE))


def test_a_step_costs_less_where_the_image_steps_with_it():
    values, image = torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 4, 4)
    values[..., 2:] = 3.0
    plain = edge_aware_smoothness(values, image)
    assert float(plain) == pytest.approx(3 / 3)  # one of three columns of steps
    image[..., 2:] = 1.0
    assert float(edge_aware_smoothness(values, image)) == pytest.approx(float(plain) * torch.e**-1)


@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e4])
def test_a_factor_of_disparity_changes_nothing_and_is_not_learned_from(factor):
    disparity = (factor * DISPARITY).requires_grad_()
    loss = disparity_smoothness(disparity, IMAGE)
    torch.testing.assert_close(loss, disparity_smoothness(DISPARITY, IMAGE))
    loss.backward()
    along = (disparity.grad * disparity).sum()
    assert abs(along.item()) < 1e-12


def test_a_constant_added_changes_nothing():
    torch.testing.assert_close(edge_aware_smoothness(FLOW + 5, IMAGE), edge_aware_smoothness(FLOW, IMAGE))


def test_steps_across_the_mask_do_not_count():
    values, mask = torch.zeros(1, 2, 4, 6), torch.ones(1, 1, 4, 6, dtype=torch.bool)
    mask[..., 3:] = False
    values[:, :, :, 3:] = torch.nan
    values[:, 0, 1] = 1.0
    assert float(edge_aware_smoothness(values, torch.zeros(1, 3, 4, 6), mask)) == pytest.approx(2 / 3 / 2)


def test_flat_maps_cost_nothing_and_keep_the_gradient_finite():
    flat = torch.full((1, 1, 4, 5), 0.3, requires_grad=True)
    loss = disparity_smoothness(flat, torch.rand(1, 3, 4, 5))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(flat.grad).all()


def test_gradients_are_those_of_differences():
    small = DISPARITY[:1, :, :4, :5].clone().requires_grad_()
    torch.autograd.gradcheck(lambda d: disparity_smoothness(d, IMAGE[:1, :, :4, :5]), (small,))
    flow = FLOW[:1, :, :4, :5].clone().requires_grad_()
    torch.autograd.gradcheck(lambda f: edge_aware_smoothness(f, IMAGE[:1, :, :4, :5]), (flow,))
