from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from leadline.losses.bins import bin_chamfer, depth_probability, probability_divergence


def logits(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(0, 1000), st.floats(0.5, 5))
def test_divergence_is_torchs(seed, temperature):
    s, t = logits(seed, 2, 5, 3, 4), logits(seed + 1, 2, 5, 3, 4)
    own = torch.nn.functional.log_softmax(s / temperature, 1)
    wanted = torch.nn.functional.softmax(t / temperature, 1)
    reference = torch.nn.functional.kl_div(own, wanted, reduction="none").sum(1).mean() * temperature**2
    torch.testing.assert_close(probability_divergence(s, t, temperature), reference)


def test_equal_features_give_nothing_to_learn():
    s = logits(0, 2, 5, 3, 4)
    assert probability_divergence(s, s + 3.0).item() == pytest.approx(0, abs=1e-12)


def test_only_the_student_learns():
    s, t = logits(0, 1, 4, 2, 2).requires_grad_(), logits(1, 1, 4, 2, 2).requires_grad_()
    probability_divergence(s, t).backward()
    assert s.grad is not None
    assert t.grad is None


def test_gradients_are_those_of_differences():
    s, t = logits(0, 1, 4, 2, 2).requires_grad_(), logits(1, 1, 4, 2, 2)
    assert gradcheck(lambda s: probability_divergence(s, t), s)
    centres = torch.tensor([[1.0, 2.0, 4.0, 8.0]], dtype=torch.float64)
    depth = logits(2, 1, 1, 2, 2).exp()
    assert gradcheck(lambda s: depth_probability(s, depth, depth > 0.5, centres), s)
    assert gradcheck(lambda c: bin_chamfer(c, depth, depth > 0.1), centres.requires_grad_())


def test_a_distribution_around_the_depth_costs_nothing_there():
    centres = 2.0 ** torch.arange(6)[None].double()
    depth = torch.full((1, 1, 1, 1), 4.0, dtype=torch.float64)
    mask = torch.ones_like(depth, dtype=torch.bool)
    right = -((torch.log2(depth) - torch.arange(6)[None, :, None, None]) ** 2) / 2
    assert depth_probability(right, depth, mask, centres).item() == pytest.approx(0, abs=1e-12)
    assert depth_probability(right.roll(1, 1), depth, mask, centres).item() > 0.3


@given(st.floats(0.01, 100))
def test_the_unit_of_length_does_not_matter(unit):
    s, depth = logits(0, 1, 4, 3, 3), logits(1, 1, 1, 3, 3).exp()
    centres, mask = torch.tensor([[1.0, 2.0, 3.0, 8.0]], dtype=torch.float64), depth > 0.3
    for loss in (lambda c, d: depth_probability(s, d, mask, c), lambda c, d: bin_chamfer(c, d, mask)):
        torch.testing.assert_close(loss(unit * centres, unit * depth), loss(centres, depth))


def test_what_is_masked_changes_nothing():
    s, depth = logits(0, 2, 4, 3, 3), logits(1, 2, 1, 3, 3).exp()
    centres = torch.tensor([[1.0, 2.0, 3.0, 8.0]] * 2, dtype=torch.float64)
    mask = depth > 1
    broken = torch.where(mask, depth, torch.nan)
    assert depth_probability(s, broken, mask, centres) == depth_probability(s, depth, mask, centres)
    assert bin_chamfer(centres, broken, mask) == bin_chamfer(centres, depth, mask)
    nothing = torch.zeros_like(mask)
    assert bin_chamfer(centres.requires_grad_(), depth, nothing).item() == 0
    assert depth_probability(s, broken, nothing, centres).item() == 0


def test_chamfer_of_centres_on_the_depths_is_nothing():
    depth = torch.tensor([1.0, 2.0, 4.0, 4.0]).reshape(1, 1, 2, 2)
    mask = torch.ones_like(depth, dtype=torch.bool)
    assert bin_chamfer(torch.tensor([[1.0, 2.0, 4.0]]), depth, mask).item() == 0
    apart = bin_chamfer(torch.tensor([[2.0, 4.0, 8.0]]), depth, mask)
    assert apart.item() == pytest.approx((0.25 + 1 / 3) * torch.log(torch.tensor(2.0)).item())
