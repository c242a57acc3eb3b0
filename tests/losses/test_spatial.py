from __future__ import annotations

import math

import pytest
import torch

from leadline.losses.spatial import ranking, trimmed


def test_exactly_the_largest_tenth_is_dropped() -> None:
    teacher = torch.zeros(1, 1, 4, 5)
    student = torch.arange(1.0, 21).view(1, 1, 4, 5).requires_grad_()
    mask = torch.ones_like(teacher, dtype=torch.bool)
    loss = trimmed(student, teacher, mask)
    assert loss.item() == pytest.approx(sum(range(1, 19)) / 18)
    loss.backward()
    assert student.grad is not None
    assert student.grad.flatten().nonzero().flatten().tolist() == list(range(18))


def test_each_image_is_trimmed_by_its_own_residuals_and_valid_pixels() -> None:
    student = torch.ones(2, 1, 4, 5)
    student[0, 0, 0, :2] = 1000
    student[1, 0, 0, :2] = torch.tensor([1000.0, 50])
    mask = torch.ones_like(student, dtype=torch.bool)
    mask[1, 0, 2:] = False  # 10 pixels are left, of which one is dropped
    loss = trimmed(student, torch.zeros_like(student), mask)
    assert loss.item() == pytest.approx((1 + (50 + 8) / 9) / 2)


def test_nothing_is_dropped_without_trimming() -> None:
    student = torch.arange(6.0).view(1, 1, 2, 3)
    mask = torch.ones_like(student, dtype=torch.bool)
    assert trimmed(student, torch.zeros_like(student), mask, trim=0).item() == 2.5


def pair(t: tuple[float, float], s: tuple[float, float]) -> float:
    """The loss over many draws from two pixels: half of the pairs are a pixel with itself, which costs 0."""
    mask = torch.ones(1, 1, 1, 2, dtype=torch.bool)
    maps = [torch.tensor(values, dtype=torch.float64).view(1, 1, 1, 2) for values in (s, t)]
    drawn = ranking(*maps, mask, pairs=40_000, generator=torch.Generator().manual_seed(0))
    return 2 * drawn.item()


def test_ordered_pairs_cost_the_logistic_of_their_order() -> None:
    assert pair(t=(1.0, 0.5), s=(2.0, 0.8)) == pytest.approx(math.log(1 + math.exp(-1.2)), rel=0.03)
    assert pair(t=(0.5, 1.0), s=(2.0, 0.8)) == pytest.approx(math.log(1 + math.exp(1.2)), rel=0.03)


def test_equal_pairs_cost_the_square_of_their_difference() -> None:
    assert pair(t=(1.0, 1.029), s=(2.0, 0.8)) == pytest.approx(1.44, rel=0.03)
    assert pair(t=(1.0, 1.031), s=(2.0, 0.8)) == pytest.approx(math.log(1 + math.exp(1.2)), rel=0.03)


def test_every_valid_pixel_is_drawn_and_no_other() -> None:
    mask = torch.tensor([[1, 0, 1, 1], [0, 0, 1, 0]], dtype=torch.bool).view(2, 1, 1, 4)
    student = torch.zeros(2, 1, 1, 4, requires_grad=True)
    teacher = torch.arange(4.0).expand(2, 1, 1, 4)
    ranking(student, teacher, mask, pairs=200).backward()
    assert student.grad is not None
    assert torch.equal(student.grad[0] != 0, mask[0])
    assert (student.grad[1] == 0).all()  # a lone pixel can only be paired with itself
