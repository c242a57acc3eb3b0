from __future__ import annotations

import numpy as np
import pytest
import torch

from leadline.losses.silog import silog


@pytest.mark.parametrize("focus", [0.0, 0.5, 0.85, 1.0])
def test_is_eigens_equation(focus: float) -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.uniform(1, 9, (2, 1, 1, 5, 6))
    d = np.log(student) - np.log(teacher)
    expected = np.mean(d**2) - focus * np.mean(d) ** 2
    found = silog(torch.tensor(student), torch.tensor(teacher), torch.ones(1, 1, 5, 6, dtype=torch.bool), focus)
    assert found.item() == pytest.approx(expected)


def test_a_wrong_scale_costs_its_squared_logarithm_times_one_minus_the_focus() -> None:
    teacher = torch.rand(1, 1, 4, 4, dtype=torch.float64) + 1
    mask = torch.ones_like(teacher, dtype=torch.bool)
    for focus in (0.0, 0.5, 1.0):
        assert silog(teacher * np.e, teacher, mask, focus).item() == pytest.approx(1 - focus)
