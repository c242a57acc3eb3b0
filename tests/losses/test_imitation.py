from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cosine
from torch import Tensor

from leadline.losses.imitation import depth_imitation, feature_imitation, trust


def depths(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Student, teacher, mask and weight."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher, weight = torch.rand(3, 2, 1, 5, 6, generator=generator, dtype=torch.float64)
    mask = torch.rand(student.shape, generator=generator) < 0.7
    return (0.5 + student).requires_grad_(), 0.5 + teacher, mask, weight


def features(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Student, teacher and mask."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 2, 5, 3, 4, generator=generator, dtype=torch.float64)
    return student.requires_grad_(), teacher, torch.rand(2, 1, 3, 4, generator=generator) < 0.7


def gradient(loss: Tensor, student: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(loss, student)
    return found


def weighted(student: Tensor, teacher: Tensor, mask: Tensor, weight: Tensor) -> float:
    """The weighted mean of each image, then of the images, by numpy."""
    residual = (student.detach().log() - teacher.log()).abs().numpy()
    images = zip(residual, mask.numpy(), weight.numpy(), strict=True)
    return float(np.mean([np.average(values[valid], weights=w[valid]) for values, valid, w in images]))


@pytest.mark.parametrize("seed", range(3))
def test_depth_is_imitated_where_the_weight_is(seed: int) -> None:
    student, teacher, mask, weight = depths(seed)
    found = depth_imitation(student, teacher, mask, weight)
    assert found.item() == pytest.approx(weighted(student, teacher, mask, weight))
    equally = depth_imitation(student, teacher, mask)
    assert equally.item() == pytest.approx(weighted(student, teacher, mask, torch.ones_like(weight)))
    assert equally.item() != pytest.approx(found.item(), rel=1e-3)


@given(factor=st.floats(0.01, 100))
def test_a_factor_of_depth_costs_its_logarithm_whatever_the_weights(factor: float) -> None:
    _, teacher, mask, weight = depths()
    found = depth_imitation(factor * teacher, teacher, mask, weight)
    assert found.item() == pytest.approx(abs(math.log(factor)), abs=1e-12)


def test_the_pull_on_log_depth_is_the_share_of_the_weight() -> None:
    student, teacher, mask, weight = depths()
    log = student.detach().log().requires_grad_()
    found = gradient(depth_imitation(log.exp(), teacher, mask, weight), log)
    valid = torch.where(mask, weight, 0.0)
    expected = torch.sign(log - teacher.log()) * valid / valid.sum(dim=(1, 2, 3), keepdim=True) / 2  # of two images
    torch.testing.assert_close(found, expected.detach())


@given(factor=st.floats(1e-6, 1e6))
def test_an_image_that_is_believed_less_throughout_counts_no_less(factor: float) -> None:
    student, teacher, mask, weight = depths()
    expected = depth_imitation(student, teacher, mask, weight)
    weight[1] *= factor
    torch.testing.assert_close(depth_imitation(student, teacher, mask, weight), expected)


@pytest.mark.parametrize("lacking", ["pixels", "weight"])
def test_images_without_pixels_or_weight_are_left_out(lacking: str) -> None:
    student, teacher, mask, weight = depths()
    expected = depth_imitation(student[:1], teacher[:1], mask[:1], weight[:1])
    nothing = mask if lacking == "pixels" else weight
    nothing[1] = 0
    loss = depth_imitation(student, teacher, mask, weight)
    torch.testing.assert_close(loss, expected)
    assert (gradient(loss, student)[1] == 0).all()
    nothing[0] = 0
    loss = depth_imitation(student, teacher, mask, weight)
    assert loss.item() == 0
    assert (gradient(loss, student) == 0).all()


@settings(deadline=None)
@given(outside=st.sampled_from([0.0, -1.0, 1e9, float("inf"), float("nan")]), seed=st.integers(0, 50))
def test_depth_that_is_masked_changes_neither_loss_nor_gradient(outside: float, seed: int) -> None:
    student, teacher, mask, weight = depths(seed)
    loss = depth_imitation(student, teacher, mask, weight)
    spoilt = student.detach().masked_fill(~mask, outside).requires_grad_()
    other = depth_imitation(
        spoilt, teacher.masked_fill(~mask, outside), mask, weight.masked_fill(~mask, outside).requires_grad_()
    )
    assert other.item() == loss.item()
    torch.testing.assert_close(gradient(other, spoilt), gradient(loss, student), rtol=0, atol=0)


def test_equal_depths_cost_nothing_and_pull_nowhere() -> None:
    _, teacher, mask, weight = depths()
    student = teacher.clone().requires_grad_()
    loss = depth_imitation(student, teacher, mask, weight)
    assert loss.item() == 0
    assert (gradient(loss, student) == 0).all()


def test_trust_falls_with_the_error_and_ends_where_it_is_unknown() -> None:
    error = torch.tensor([0.0, 0.5, 1.0, math.inf, -math.inf, math.nan], requires_grad=True).view(1, 1, 1, 6)
    found = trust(error)
    np.testing.assert_allclose(found.flatten(), [1, np.exp(-0.5), np.exp(-1), 0, 0, 0], rtol=1e-6)
    assert not found.requires_grad
    assert trust(error.bfloat16()).dtype == torch.float32


def test_trust_makes_a_loss_that_is_finite_whatever_the_error() -> None:
    student, teacher, mask, error = depths()
    error[0, 0, :2] = math.inf
    error[1] = math.nan
    seen = mask.clone()
    seen[0, 0, :2] = False
    loss = depth_imitation(student, teacher, mask, trust(error))
    expected = weighted(student[:1], teacher[:1], seen[:1], (-error[:1]).exp())
    assert loss.item() == pytest.approx(expected)
    assert gradient(loss, student).isfinite().all()


def test_features_are_compared_as_an_independent_implementation_does() -> None:
    student, teacher, mask = features()

    def expected(valid: Tensor) -> float:
        images = zip(student.detach().numpy(), teacher.numpy(), valid[:, 0].numpy(), strict=True)
        each = [np.mean([cosine(*pair) for pair in zip(s[:, v].T, t[:, v].T, strict=True)]) for s, t, v in images]
        return float(np.mean(each))

    assert feature_imitation(student, teacher).item() == pytest.approx(expected(torch.ones_like(mask)))
    assert feature_imitation(student, teacher, mask).item() == pytest.approx(expected(mask))


@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 50))
def test_only_the_direction_of_features_matters(scale: float, seed: int) -> None:
    student, teacher, mask = features(seed)
    loss = feature_imitation(student, teacher, mask)
    torch.testing.assert_close(feature_imitation(scale * student, teacher, mask), loss)
    torch.testing.assert_close(feature_imitation(student, scale * teacher, mask), loss)
    assert feature_imitation(scale * teacher, teacher, mask).item() == pytest.approx(0, abs=1e-12)
    assert feature_imitation(-scale * teacher, teacher, mask).item() == pytest.approx(2)


def test_a_student_without_a_direction_costs_one_and_is_pulled_gently() -> None:
    _, teacher, _ = features()
    student = torch.zeros_like(teacher, requires_grad=True)
    loss = feature_imitation(student, teacher)
    assert loss.item() == 1
    expected = -teacher / teacher.norm(dim=1, keepdim=True) / (2 * 3 * 4)
    torch.testing.assert_close(gradient(loss, student), expected)


def test_places_where_the_teacher_has_no_direction_are_left_out() -> None:
    student, teacher, mask = features()
    expected = feature_imitation(student, teacher, mask)
    spoilt = torch.where(mask, teacher, 0.0)
    loss = feature_imitation(student, spoilt)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient(loss, student), gradient(expected, student))
    nothing = feature_imitation(student, torch.zeros_like(teacher))
    assert nothing.item() == 0
    assert (gradient(nothing, student) == 0).all()


@pytest.mark.parametrize("outside", [0.0, 1e9, float("inf"), float("nan")])
def test_features_that_are_masked_change_neither_loss_nor_gradient(outside: float) -> None:
    student, teacher, mask = features()
    loss = feature_imitation(student, teacher, mask)
    spoilt = torch.where(mask, student, outside).detach().requires_grad_()
    other = feature_imitation(spoilt, torch.where(mask, teacher, outside), mask)
    assert other.item() == loss.item()
    torch.testing.assert_close(gradient(other, spoilt), gradient(loss, student), rtol=0, atol=0)


def test_an_image_without_places_is_left_out_of_features_too() -> None:
    student, teacher, mask = features()
    mask[1] = False
    expected = feature_imitation(student[:1], teacher[:1], mask[:1])
    torch.testing.assert_close(feature_imitation(student, teacher, mask), expected)
    nothing = feature_imitation(student, teacher, torch.zeros_like(mask))
    assert nothing.item() == 0
    assert (gradient(nothing, student) == 0).all()


def test_gradients_are_those_of_differences() -> None:
    student, teacher, mask, weight = depths()
    assert torch.autograd.gradcheck(lambda s: depth_imitation(s, teacher, mask, weight), student)
    one, two, places = features()
    assert torch.autograd.gradcheck(lambda s: feature_imitation(s, two, places), one)


def test_only_the_student_learns() -> None:
    student, teacher, mask, weight = depths()
    teacher.requires_grad_()
    weight.requires_grad_()
    depth_imitation(student, teacher, mask, weight).backward()
    one, two, places = features()
    two.requires_grad_()
    feature_imitation(one, two, places).backward()
    assert teacher.grad is None
    assert weight.grad is None
    assert two.grad is None
    assert student.grad is not None
    assert student.grad.any()
    assert one.grad is not None
    assert one.grad.any()


def test_half_precision_is_judged_in_float32() -> None:
    student, teacher, mask, weight = (values.detach() for values in depths())
    half = (student.bfloat16(), teacher.bfloat16(), mask, weight.bfloat16())
    one, two = (values.detach().bfloat16() for values in features()[:2])
    with torch.autocast("cpu", torch.bfloat16):
        depth, feature = depth_imitation(*half), feature_imitation(one, two)
    assert depth.dtype == feature.dtype == torch.float32
    assert depth.item() == depth_imitation(*(x if x.dtype == torch.bool else x.float() for x in half)).item()
    assert feature.item() == feature_imitation(one.float(), two.float()).item()
