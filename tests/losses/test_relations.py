from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from leadline.losses.relations import view_relations

PAIRS = torch.tensor([(0, 1), (1, 0), (1, 2), (2, 1)])


def features(seed: int, channels: int = 4, size: tuple[int, int] = (12, 20)) -> torch.Tensor:
    return torch.randn(3, channels, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_is_the_sum_of_its_parts():
    student, teacher = features(0), features(1, channels=7, size=(18, 30))

    def tokens(maps, view):
        pooled = torch.nn.functional.adaptive_avg_pool2d(maps[view], (6, 10)).flatten(1).T
        return pooled / pooled.norm(dim=1, keepdim=True)

    total = 0.0
    for a, b in PAIRS.tolist():
        apart = (tokens(student, a) @ tokens(student, b).T - tokens(teacher, a) @ tokens(teacher, b).T).abs()
        total += torch.where(apart < 1, apart**2 / 2, apart - 0.5).mean()
    torch.testing.assert_close(view_relations(student, teacher, PAIRS), total / len(PAIRS))


def test_equal_or_turned_features_are_related_alike():
    student = features(0)
    turn, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))
    turned = 5 * torch.einsum("ij,njhw->nihw", turn, student)
    assert view_relations(student, student, PAIRS).item() == 0
    assert view_relations(student, turned, PAIRS).item() == pytest.approx(0, abs=1e-12)


def test_views_that_are_no_neighbours_do_not_matter():
    student, teacher = features(0), features(1)
    pairs = torch.tensor([(0, 1), (1, 0)])
    before = view_relations(student, teacher, pairs)
    teacher[2] = student[2] = 7.0
    assert view_relations(student, teacher, pairs) == before


def test_without_neighbours_there_is_nothing_to_learn():
    student = features(0).requires_grad_()
    loss = view_relations(student, features(1), torch.empty(0, 2, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0
    assert not student.grad.any()


def test_gradients_are_those_of_differences():
    student = features(0, size=(6, 10)).requires_grad_()
    teacher = features(1).requires_grad_()
    assert gradcheck(lambda s: view_relations(s, teacher, PAIRS), student)
    view_relations(student, teacher, PAIRS).backward()
    assert teacher.grad is None
