from __future__ import annotations

import math

import pytest
import torch

from leadline.losses.gradient import gradient_matching

ROWS, COLUMNS = torch.meshgrid(torch.arange(32.0), torch.arange(40.0), indexing="ij")
FLAT = torch.zeros(1, 1, 32, 40)
ALL = torch.ones_like(FLAT, dtype=torch.bool)


def test_a_ramp_costs_its_slope_at_every_stride() -> None:
    ramp = (0.5 * COLUMNS + 2 * ROWS).view_as(FLAT)
    assert gradient_matching(ramp, FLAT, ALL).item() == pytest.approx((1 + 2 + 4 + 8) * 2.5)
    assert gradient_matching(ramp, FLAT, ALL, scales=1).item() == pytest.approx(2.5)


def test_a_step_across_the_mask_is_not_seen() -> None:
    step = (COLUMNS >= 20).float().view_as(FLAT)
    mask = ALL.clone()
    mask[..., 20] = False
    assert gradient_matching(step, FLAT, ALL, scales=1).item() == pytest.approx(1 / 39)
    assert gradient_matching(step, FLAT, mask, scales=1).item() == 0


def test_steps_of_the_teacher_are_wanted() -> None:
    step = (COLUMNS >= 20).float().view_as(FLAT)
    assert gradient_matching(step + 7, step, ALL).item() == 0
    assert gradient_matching(FLAT, step, ALL).item() == gradient_matching(step, FLAT, ALL).item() > 0


def test_edges_of_the_image_count_less() -> None:
    step = (COLUMNS >= 20).float().view_as(FLAT)
    image = step.expand(1, 3, -1, -1) * torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)
    plain = gradient_matching(step, FLAT, ALL)
    assert gradient_matching(step, FLAT, ALL, image=image).item() == pytest.approx(plain.item() * math.exp(-0.5))
    assert gradient_matching(step, FLAT, ALL, image=torch.ones_like(image)).item() == plain.item()


def test_it_falls_when_nothing_but_edges_improve() -> None:
    teacher = 3 * torch.tanh((COLUMNS - 20) / 0.25).view_as(FLAT)  # a step within a pixel
    widths = [4.0, 2.0, 1.0, 0.5, 0.25]
    students = [3 * torch.tanh((COLUMNS - 20) / width).view_as(FLAT) for width in widths]
    costs = [gradient_matching(student, teacher, ALL).item() for student in students]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == 0
    # Levels of the surfaces beside the edge, without it, are none of its business.
    beside = ALL & ((COLUMNS < 8) | (COLUMNS > 32)).view_as(FLAT)
    moved = students[-1] + torch.where(COLUMNS < 20, 5.0, -5.0).view_as(FLAT)
    assert gradient_matching(moved, teacher, beside).item() == pytest.approx(0, abs=1e-6)
