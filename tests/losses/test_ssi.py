from __future__ import annotations

import numpy as np
import pytest
import torch

from leadline.losses.ssi import least_squares_aligned, ssi, ssi_robust


def sample() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.rand(2, 3, 1, 8, 9, generator=generator, dtype=torch.float64)
    return student, teacher, torch.rand(3, 1, 8, 9, generator=generator) < 0.7


def test_aligns_as_numpys_least_squares() -> None:
    student, teacher, mask = sample()
    found = least_squares_aligned(student, teacher, mask)
    squared = []
    for i in range(3):
        s, t = student[i][mask[i]].numpy(), teacher[i][mask[i]].numpy()
        expected = np.polyval(np.polyfit(s, t, 1), s)
        np.testing.assert_allclose(found[i][mask[i]], expected)
        squared.append(np.mean((expected - t) ** 2))
    assert ssi(student, teacher, mask).item() == pytest.approx(np.mean(squared))


def test_a_constant_student_becomes_the_teachers_mean() -> None:
    _, teacher, mask = sample()
    for constant in (0.0, 0.1, 1e3):
        found = least_squares_aligned(torch.full_like(teacher, constant), teacher, mask)
        for image, target, valid in zip(found, teacher, mask, strict=True):
            torch.testing.assert_close(image[valid], target[valid].mean().expand_as(image[valid]))


def test_the_robust_variant_is_the_papers_equation() -> None:
    student, teacher, mask = sample()
    expected = []
    for i in range(3):
        residual = 0
        for x, sign in ((student[i][mask[i]].numpy(), 1), (teacher[i][mask[i]].numpy(), -1)):
            centred = x - np.sort(x)[(x.size - 1) // 2]
            residual = residual + sign * centred / abs(centred).mean()
        kept = np.sort(abs(residual))[: residual.size - residual.size // 5]
        expected.append(kept.mean())
    assert ssi_robust(student, teacher, mask).item() == pytest.approx(np.mean(expected))
