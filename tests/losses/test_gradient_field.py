from __future__ import annotations

import math

import pytest
import torch

from leadline.losses.gradient_field import FLAT, gradient_field


def plane(across: float, down: float, height: int = 6, width: int = 8) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    return (across * x + down * y)[None, None]


EVERYWHERE = torch.ones(1, 1, 6, 8, dtype=torch.bool)


@pytest.mark.parametrize("turn", [0.0, 0.3, math.pi / 2, 3.0, -2.0])
@pytest.mark.parametrize("length", [0.05, 0.2])
def test_planes_differ_by_squared_slope_and_by_angle(turn, length):
    """Any direction counts alike, across as much as down."""
    for start in (0.0, 1.0, 4.0):
        student = plane(length * math.cos(start + turn), length * math.sin(start + turn))
        teacher = plane(0.1 * math.cos(start), 0.1 * math.sin(start))
        expected = abs(length**2 - 0.01) + abs(math.remainder(turn, 2 * math.pi))
        assert float(gradient_field(student, teacher, EVERYWHERE)) == pytest.approx(expected)


def test_equal_maps_cost_nothing_whatever_is_added():
    torch.manual_seed(0)
    teacher = torch.rand(2, 1, 6, 8, dtype=torch.float64)
    mask = torch.rand(2, 1, 6, 8) < 0.9
    assert float(gradient_field(teacher + 3, teacher, mask)) == pytest.approx(0, abs=1e-6)


def test_what_is_flat_has_no_direction_and_finite_gradients():
    student = plane(0.5 * FLAT, 0.0).requires_grad_()
    loss = gradient_field(student, plane(0.1, 0.0), EVERYWHERE)
    assert float(loss.detach()) == pytest.approx(0.01 - (0.5 * FLAT) ** 2)
    constant = torch.zeros(1, 1, 6, 8, dtype=torch.float64, requires_grad=True)
    for values in (student, constant):
        (gradient,) = torch.autograd.grad(gradient_field(values, plane(0.1, 0.2), EVERYWHERE), values)
        assert gradient.isfinite().all()


def test_unknown_pixels_do_not_count():
    student, teacher = plane(0.2, 0.1), plane(0.1, 0.1)
    mask = EVERYWHERE.clone()
    mask[..., 2, 3] = False
    spoilt = student.clone()
    spoilt[..., 2, 3] = torch.nan
    assert float(gradient_field(spoilt, teacher, mask)) == pytest.approx(
        float(gradient_field(student, teacher, EVERYWHERE))
    )
    nothing = gradient_field(student.requires_grad_(), teacher, torch.zeros_like(mask))
    nothing.backward()
    assert float(nothing.detach()) == 0


def test_gradients():
    torch.manual_seed(0)
    teacher = torch.rand(2, 1, 4, 5, dtype=torch.float64)
    mask = torch.rand(2, 1, 4, 5) < 0.9
    student = torch.rand(2, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: gradient_field(values, teacher, mask), (student,))
