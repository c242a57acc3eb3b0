from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cosine
from scipy.special import softmax
from scipy.stats import entropy
from torch import Tensor

from leadline.errors import ConfigError
from leadline.losses.category import Categories, category_divergence, prototype_alignment, relative_log_depth

CATEGORIES = Categories()
ANYTHING = st.sampled_from([0.0, -1.0, 1e9, float("inf"), float("nan")])


def depths(seed: int = 0, height: int = 8, width: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    """Student, teacher and mask; relative distances within the categories and beyond."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 2, 1, height, width, generator=generator, dtype=torch.float64).exp()
    mask = torch.rand(student.shape, generator=generator) < 0.7
    return student.requires_grad_(), teacher, mask


def features(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 2, 5, 4, 6, generator=generator, dtype=torch.float64)
    return student.requires_grad_(), teacher


def gradient(loss: Tensor, student: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(loss, student)
    return found


def relative(depth: Tensor, valid: Tensor) -> np.ndarray:
    """``log(d / median)`` (pixels,) of one image, by numpy."""
    values = np.sort(depth[valid].numpy())
    return np.log(depth[valid].numpy() / values[(len(values) - 1) // 2])


def assigned(log: np.ndarray, categories: Categories = CATEGORIES) -> np.ndarray:
    """(K, pixels), by numpy and scipy."""
    edges = np.log(np.geomspace(categories.nearest, categories.farthest, categories.count + 1))
    middles = (edges[1:] + edges[:-1]) / 2
    return softmax(-np.abs(log - middles[:, None]) / (edges[1] - edges[0]), axis=0)


def column(logs: list[float]) -> Tensor:
    return torch.tensor(logs, dtype=torch.float64).view(1, 1, -1, 1)


def test_bins_are_of_equal_ratio() -> None:
    edges = np.log(np.geomspace(0.1, 10, 17))
    np.testing.assert_allclose(CATEGORIES.centres, (edges[1:] + edges[:-1]) / 2)
    assert CATEGORIES.width == pytest.approx(math.log(100) / 16)


@pytest.mark.parametrize(
    "bad",
    [
        {"count": 0},
        {"nearest": 0.0},
        {"nearest": 10.0},
        {"nearest": math.nan},
        {"farthest": math.inf},
        {"farthest": 0.05},
    ],
)
def test_impossible_categories_are_refused(bad: dict) -> None:
    with pytest.raises(ConfigError):
        Categories(**bad)


@given(log=st.floats(-5, 5), count=st.integers(1, 40))
def test_assignment_is_that_of_an_independent_implementation(log: float, count: int) -> None:
    categories = Categories(count=count)
    found = categories.assign(column([log]))
    assert found.shape == (1, count, 1, 1)
    np.testing.assert_allclose(found.flatten(), assigned(np.array([log]), categories)[:, 0], rtol=1e-9)
    assert found.sum().item() == pytest.approx(1)


@given(log=st.floats(-2.3, 2.3))
def test_the_likeliest_category_is_the_bin_that_holds_the_distance(log: float) -> None:
    edges = np.log(np.geomspace(0.1, 10, 17))
    likeliest = CATEGORIES.assign(column([log])).argmax().item()
    assert edges[likeliest] - 1e-9 <= log <= edges[likeliest + 1] + 1e-9


def test_beyond_the_ends_all_distances_are_alike() -> None:
    first, last = CATEGORIES.centres[0], CATEGORIES.centres[-1]
    near, nearer, far, farther = CATEGORIES.assign(column([first, -30, last, 30]))[0, :, :, 0].T
    torch.testing.assert_close(nearer, near)
    torch.testing.assert_close(farther, far)
    torch.testing.assert_close(near, far.flip(0))


def test_many_categories_stay_finite() -> None:
    many = Categories(count=500)
    found = many.log_assign(torch.tensor([-9.0, 9.0]).view(1, 1, 2, 1))
    assert found.isfinite().all()
    assert found.min() < -400


@pytest.mark.parametrize("seed", range(3))
def test_relative_depth_is_that_of_the_masked_median(seed: int) -> None:
    _, depth, mask = depths(seed)
    found = relative_log_depth(depth, mask)
    for image in range(2):
        np.testing.assert_allclose(found[image][mask[image]], relative(depth[image], mask[image]), atol=1e-12)
    assert (found[~mask] == 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_divergence_is_that_of_an_independent_implementation(seed: int) -> None:
    student, teacher, mask = depths(seed)

    def divergence(image: int) -> float:
        p, q = (assigned(relative(depth[image].detach(), mask[image])) for depth in (teacher, student))
        return entropy(p, q, axis=0).mean()

    expected = (divergence(0) + divergence(1)) / 2
    assert category_divergence(student, teacher, mask, CATEGORIES).item() == pytest.approx(expected)


@settings(deadline=None)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 50))
def test_the_scale_of_either_depth_is_free(scale: float, seed: int) -> None:
    student, teacher, mask = depths(seed)
    expected = category_divergence(student, teacher, mask, CATEGORIES)
    assert expected.item() > 0
    torch.testing.assert_close(category_divergence(scale * student, teacher, mask, CATEGORIES), expected)
    torch.testing.assert_close(category_divergence(student, scale * teacher, mask, CATEGORIES), expected)
    assert category_divergence(scale * teacher, teacher, mask, CATEGORIES).item() == pytest.approx(0, abs=1e-12)


def test_equal_depths_pull_nowhere() -> None:
    _, teacher, mask = depths()
    student = teacher.clone().requires_grad_()
    found = gradient(category_divergence(student, teacher, mask, CATEGORIES), student)
    assert found.abs().max() < 1e-12


@settings(deadline=None)
@given(outside=ANYTHING, seed=st.integers(0, 50))
def test_depth_that_is_masked_changes_nothing(outside: float, seed: int) -> None:
    student, teacher, mask = depths(seed)
    loss = category_divergence(student, teacher, mask, CATEGORIES)
    spoilt = student.detach().masked_fill(~mask, outside).requires_grad_()
    other = category_divergence(spoilt, teacher.masked_fill(~mask, outside), mask, CATEGORIES)
    assert other.item() == loss.item()
    torch.testing.assert_close(gradient(other, spoilt), gradient(loss, student), rtol=0, atol=0)
    one, two = features()
    expected = prototype_alignment(one, two, teacher, mask, CATEGORIES)
    found = prototype_alignment(one, two, teacher.masked_fill(~mask, outside), mask, CATEGORIES)
    assert found.item() == expected.item()


@pytest.mark.parametrize("valid", [0, 1, 2])
def test_images_nearly_without_pixels_do_no_harm(valid: int) -> None:
    student, teacher, mask = depths()
    one, two = features()
    mask[1] = False
    mask[1, 0, 4, 4 : 4 + valid] = True
    divergence = category_divergence(student, teacher, mask, CATEGORIES)
    alignment = prototype_alignment(one, two, teacher, mask, CATEGORIES)
    assert divergence.isfinite()
    assert alignment.isfinite()
    assert gradient(divergence, student).isfinite().all()
    assert gradient(alignment, one).isfinite().all()
    if valid == 0:
        assert divergence.item() == category_divergence(student[:1], teacher[:1], mask[:1], CATEGORIES).item()
        expected = prototype_alignment(one[:1], two[:1], teacher[:1], mask[:1], CATEGORIES)
        torch.testing.assert_close(alignment, expected)


def test_a_batch_without_pixels_is_zero_with_a_gradient() -> None:
    student, teacher, mask = depths()
    one, two = features()
    nowhere = torch.zeros_like(mask)
    for loss, learns in (
        (category_divergence(student, teacher, nowhere, CATEGORIES), student),
        (prototype_alignment(one, two, teacher, nowhere, CATEGORIES), one),
    ):
        assert loss.item() == 0
        assert (gradient(loss, learns) == 0).all()


def test_constant_maps_do_no_harm() -> None:
    _, teacher, mask = depths()
    flat = torch.full_like(teacher, 0.5).requires_grad_()
    loss = category_divergence(flat, teacher, mask, CATEGORIES)
    assert loss.item() > 0
    assert gradient(loss, flat).isfinite().all()
    assert category_divergence(flat, 3 * flat, mask, CATEGORIES).item() == pytest.approx(0, abs=1e-12)
    one, two = features()
    assert gradient(prototype_alignment(one, two, flat, mask, CATEGORIES), one).isfinite().all()


@pytest.mark.parametrize("share", [0.0, 0.005, 0.05, 0.1])
@pytest.mark.parametrize("size", [(8, 12), (4, 6)])
def test_prototypes_are_those_of_an_independent_implementation(share: float, size: tuple[int, int]) -> None:
    """By loops, from depth at twice the features' grid and at the grid itself."""
    _, depth, mask = depths(3, *size)
    mask[:, :, :2, :2] = False  # one place of the grid knows nothing at all
    one, two = features()
    step = size[0] // 4
    each = []
    for image in range(2):
        log = np.zeros(depth.shape[2:])
        valid = mask[image, 0].numpy()
        log[valid] = relative(depth[image, 0], mask[image, 0])
        places, logs, known = [], [], []
        for place in np.ndindex(4, 6):
            block = tuple(slice(step * i, step * (i + 1)) for i in place)
            if valid[block].any():
                places.append(place)
                logs.append(log[block][valid[block]].mean())
                known.append(valid[block].mean())
        weight = assigned(np.array(logs)) * np.array(known)
        s, t = (np.stack([x[image, :, i, j].detach() for i, j in places]) for x in (one, two))
        there = [k for k in range(16) if weight[k].sum() > share * weight.sum()]
        each.append(np.mean([cosine(weight[k] @ s, weight[k] @ t) for k in there]))
    found = prototype_alignment(one, two, depth, mask, CATEGORIES, share)
    assert found.item() == pytest.approx(np.mean(each))


@given(angle=st.floats(-math.pi, math.pi), scale=st.floats(1e-3, 1e3))
def test_features_that_are_turned_cost_what_the_angle_does(angle: float, scale: float) -> None:
    _, depth, mask = depths()
    _, teacher = features()
    teacher = teacher[:, :2]
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    student = scale * torch.einsum("dc,bchw->bdhw", turn, teacher)
    found = prototype_alignment(student, teacher, depth, mask, CATEGORIES)
    assert found.item() == pytest.approx(1 - math.cos(angle), abs=1e-12)


@given(scale=st.floats(1e-3, 1e3))
def test_the_scale_of_depth_does_not_matter_to_prototypes(scale: float) -> None:
    _, depth, mask = depths()
    one, two = features()
    expected = prototype_alignment(one, two, depth, mask, CATEGORIES)
    torch.testing.assert_close(prototype_alignment(one, two, scale * depth, mask, CATEGORIES), expected)


def test_places_of_unknown_depth_have_no_say() -> None:
    _, depth, mask = depths()
    mask[:, :, :4] = False
    one, two = features()
    expected = prototype_alignment(one, two, depth, mask, CATEGORIES)
    pull = gradient(expected, one)
    assert (pull[:, :, :2] == 0).all()
    assert pull[:, :, 2:].any()
    spoilt = two.clone()
    spoilt[:, :, :2] = -100
    assert prototype_alignment(one, spoilt, depth, mask, CATEGORIES).item() == expected.item()


def test_a_category_that_is_hardly_there_does_not_count() -> None:
    """One place in 24 is far, and only there the student's feature is another."""
    depth, mask = torch.ones(1, 1, 4, 6), torch.ones(1, 1, 4, 6, dtype=torch.bool)
    depth[0, 0, 0, 0] = 9.0
    teacher = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 4, 6)
    student = teacher.clone()
    student[0, :, 0, 0] = torch.tensor([0.0, 1.0])
    mass = CATEGORIES.assign(relative_log_depth(depth, mask)).mean(dim=(0, 2, 3))
    assert mass[-1] > 0.005
    rare = prototype_alignment(student, teacher, depth, mask, CATEGORIES, share=float(mass[-1]) * 1.001)
    counted = prototype_alignment(student, teacher, depth, mask, CATEGORIES, share=0.005)
    assert rare.item() < 0.01
    assert counted.item() > 0.1


def test_gradients_are_those_of_differences() -> None:
    student, teacher, mask = depths()
    assert torch.autograd.gradcheck(lambda s: category_divergence(s, teacher, mask, CATEGORIES), student)
    one, two = features()
    assert torch.autograd.gradcheck(lambda s: prototype_alignment(s, two, teacher, mask, CATEGORIES), one)


def test_only_the_student_learns() -> None:
    student, teacher, mask = depths()
    one, two = features()
    teacher.requires_grad_()
    two.requires_grad_()
    loss = category_divergence(student, teacher, mask, CATEGORIES)
    (loss + prototype_alignment(one, two, teacher, mask, CATEGORIES)).backward()
    assert teacher.grad is None
    assert two.grad is None
    assert student.grad is not None
    assert student.grad.any()
    assert one.grad is not None
    assert one.grad.any()


def test_half_precision_is_judged_in_float32() -> None:
    student, teacher, mask = (values.detach() for values in depths())
    one, two = (values.detach().bfloat16() for values in features())
    student, teacher = student.bfloat16(), teacher.bfloat16()

    def losses(*values: Tensor) -> list[Tensor]:
        s, t, f, g = values
        return [category_divergence(s, t, mask, CATEGORIES), prototype_alignment(f, g, t, mask, CATEGORIES)]

    with torch.autocast("cpu", torch.bfloat16):
        found = losses(student, teacher, one, two)
    assert [loss.dtype for loss in found] == [torch.float32, torch.float32]
    assert found == losses(student.float(), teacher.float(), one.float(), two.float())
