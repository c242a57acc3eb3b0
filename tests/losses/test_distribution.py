from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy
from torch import Tensor

from leadline.losses.distribution import as_image, dense, mapping, pooled

ALL = torch.ones(2, 1, 6, 8, dtype=torch.bool)


def features(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    one, two = torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return one, two.requires_grad_()


def maps(seed: int = 0) -> Tensor:
    return 1 + torch.rand(2, 1, 6, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_divergence_is_that_of_an_independent_implementation(temperature: float) -> None:
    semantic, student = features(2, 5, 3, 4)
    p, q = ((x.detach() / temperature).softmax(1).numpy() for x in (semantic, student))
    expected = temperature**2 * entropy(p, q, axis=1).mean()
    assert dense(semantic, student, temperature).item() == pytest.approx(expected)
    flat, flat_student = semantic[:, :, 0, 0], student[:, :, 0, 0]
    expected = temperature**2 * entropy(p[:, :, 0, 0], q[:, :, 0, 0], axis=1).mean()
    assert pooled(flat_student, flat, temperature).item() == pytest.approx(expected)


def test_the_direction_is_from_semantics_to_student() -> None:
    """KL(p || q) of p = (1/2, 1/2) and q = (1/4, 3/4)."""
    semantic = torch.zeros(1, 2, 1, 1)
    student = torch.tensor([1.0, 3.0]).log().view(1, 2, 1, 1)
    expected = math.log(2) - math.log(3) / 2
    assert dense(semantic, student).item() == pytest.approx(expected)
    assert dense(student, semantic).item() != pytest.approx(expected, abs=1e-3)
    assert pooled(student[..., 0, 0], semantic[..., 0, 0]).item() == pytest.approx(expected)


@given(seed=st.integers(0, 99), scale=st.floats(0.01, 50), shift=st.floats(-50, 50))
def test_never_negative_and_zero_for_equal_distributions(seed: int, scale: float, shift: float) -> None:
    semantic, student = features(2, 5, 3, 4, seed=seed)
    semantic = scale * semantic
    assert dense(semantic, scale * student).item() > 0
    assert dense(semantic, semantic + shift).item() == pytest.approx(0, abs=1e-9)  # softmax does not see a shift
    assert pooled(semantic[..., 0, 0] + shift, semantic[..., 0, 0]).item() == pytest.approx(0, abs=1e-9)


def test_only_the_intended_side_gets_a_gradient() -> None:
    semantic, student = features(2, 5, 3, 4)
    sides: list[tuple[Callable[..., Tensor], Tensor, Tensor]] = [
        (dense, semantic, student),
        (lambda target, trained: mapping(trained, target), student, semantic),
        (lambda target, trained: pooled(trained, target), semantic[..., 0, 0], student[..., 0, 0]),
    ]
    for loss, target, trained in sides:
        target, trained = (x.detach().clone().requires_grad_() for x in (target, trained))
        loss(target, trained).backward()
        assert target.grad is None
        assert trained.grad is not None
        assert trained.grad.any()


def test_gradients_are_those_of_differences() -> None:
    semantic, student = features(1, 4, 2, 3)
    assert torch.autograd.gradcheck(lambda x: dense(semantic, x, 2.0), student)
    assert torch.autograd.gradcheck(lambda x: mapping(x, semantic), student)
    assert torch.autograd.gradcheck(
        lambda x: pooled(x, semantic[..., 0, 0]), student[..., 0, 0].detach().requires_grad_()
    )
    depth = maps().requires_grad_()
    weights = torch.randn(2, 3, 6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(lambda x: (weights * as_image(x, ALL).square()).sum(), depth)


def test_half_precision_is_judged_in_float32() -> None:
    semantic, student = (x.detach().bfloat16() for x in features(2, 5, 3, 4))
    for loss in (dense(semantic, student), mapping(semantic, student)):
        assert loss.dtype == torch.float32
    assert dense(semantic, student).item() == dense(semantic.float(), student.float()).item()


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
def test_an_image_of_a_depth_map_knows_neither_scale_nor_shift(scale: float, shift: float) -> None:
    image = as_image(maps(), ALL)
    assert image.shape == (2, 3, 6, 8)
    assert (image.amin((1, 2, 3)) == 0).all()
    assert (image.amax((1, 2, 3)) == 1).all()
    torch.testing.assert_close(as_image(scale * maps() + shift, ALL), image, rtol=0, atol=1e-6)


@pytest.mark.parametrize("outside", [0.0, 1e9, float("nan"), float("inf")])
def test_what_is_masked_has_no_say(outside: float) -> None:
    mask = torch.rand(ALL.shape, generator=torch.Generator().manual_seed(0)) < 0.7
    mask[1] = False
    spoilt = maps().masked_fill(~mask, outside).requires_grad_()
    image = as_image(spoilt, mask)
    assert torch.equal(image, as_image(maps(), mask))
    assert (image[~mask.expand_as(image)] == 0).all()
    assert image.amax() == 1
    image.square().sum().backward()
    assert spoilt.grad is not None
    assert spoilt.grad.isfinite().all()
    assert (spoilt.grad[~mask] == 0).all()


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
def test_a_constant_map_is_black_and_pulls_nowhere(value: float) -> None:
    flat = torch.full((2, 1, 6, 8), value, requires_grad=True)
    image = as_image(flat, ALL)
    assert (image == 0).all()
    image.sum().backward()
    assert flat.grad is not None
    assert (flat.grad == 0).all()
