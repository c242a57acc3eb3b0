from __future__ import annotations

import numpy as np
import pytest
import torch

from leadline.losses.temporal import temporal_gradient


def clips(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    student = torch.rand(2, 4, 5, 6, generator=generator, dtype=torch.float64)
    teacher = 0.06 * torch.rand(2, 4, 5, 6, generator=generator, dtype=torch.float64)
    return student, teacher, torch.rand(2, 4, 5, 6, generator=generator) < 0.8


def test_it_is_the_equation():
    student, teacher, mask = clips()
    s, g, m = student.numpy(), teacher.numpy(), mask.numpy()
    each = []
    for clip in range(2):
        costs = []
        for t in range(3):
            wanted = np.abs(g[clip, t + 1] - g[clip, t])
            known = m[clip, t] & m[clip, t + 1] & (wanted < 0.05)
            costs.append(np.abs(np.abs(s[clip, t + 1] - s[clip, t]) - wanted)[known])
        each.append(np.concatenate(costs).mean())
    assert temporal_gradient(student, teacher, mask).item() == pytest.approx(np.mean(each))


def test_a_level_costs_nothing_and_flicker_its_size():
    teacher = torch.zeros(1, 4, 5, 6)
    all_ = torch.ones_like(teacher, dtype=torch.bool)
    assert temporal_gradient(teacher + 3, teacher, all_).item() == 0
    flicker = torch.tensor([0.0, 0.2, 0.0, 0.2])[None, :, None, None].expand_as(teacher)
    assert temporal_gradient(flicker, teacher, all_).item() == pytest.approx(0.2)


def test_what_moves_in_the_teacher_is_left_alone():
    teacher = torch.zeros(1, 2, 5, 6)
    teacher[:, 1, :, :3] = 1
    student = torch.zeros(1, 2, 5, 6)
    student[:, 1, :, :3] = 7
    assert temporal_gradient(student, teacher, torch.ones_like(teacher, dtype=torch.bool)).item() == 0


def test_gradients_and_empty_masks():
    student, teacher, mask = clips(1)
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: temporal_gradient(s, teacher, mask), (student,))
    loss = temporal_gradient(student, teacher * torch.nan, torch.zeros_like(mask))
    loss.backward()
    assert loss.item() == 0
    assert not student.grad.any()
