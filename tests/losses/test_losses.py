"""What every loss owes: add a loss by adding a line to LOSSES."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from leadline.depth import Kind
from leadline.losses.gradient import gradient_matching
from leadline.losses.normalise import normalised_pair
from leadline.losses.silog import silog
from leadline.losses.spatial import ranking, trimmed
from leadline.losses.spectral import fourier, haar
from leadline.losses.ssi import ssi, ssi_robust

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def seeded_ranking(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    return ranking(student, teacher, mask, pairs=64, generator=torch.Generator().manual_seed(0))


def after(loss: Loss, kind: str) -> Loss:
    """The loss as methods use it, on normalised maps."""
    return lambda student, teacher, mask: loss(*normalised_pair(student, teacher, mask, Kind.parse(kind)), mask)


BASE: dict[str, Loss] = {
    "trimmed": trimmed,
    "ranking": seeded_ranking,
    "fourier": fourier,
    "haar": haar,
    "gradient": gradient_matching,
}
LOSSES: dict[str, Loss] = {
    **BASE,
    "silog": silog,
    "ssi": ssi,
    "ssi_robust": ssi_robust,
    "metric depth": after(trimmed, "metric-depth"),
    "metric disparity": after(trimmed, "metric-disparity"),
    **{f"scale depth, {name}": after(loss, "scale-invariant-depth") for name, loss in BASE.items()},
    **{f"affine disparity, {name}": after(loss, "affine-invariant-disparity") for name, loss in BASE.items()},
}
IGNORES_SCALE = [name for name in LOSSES if name.startswith(("scale", "affine", "ssi"))]
IGNORES_SHIFT = [name for name in LOSSES if name.startswith(("affine", "ssi"))]
every_loss = pytest.mark.parametrize("name", LOSSES)


def every_loss_but(ending: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [name for name in LOSSES if not name.endswith(ending)])


def sample(height: int = 9, width: int = 12, batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, 1, height, width)
    student, teacher = 0.5 + torch.rand(2, *shape, generator=generator, dtype=torch.float64)
    mask = torch.rand(shape, generator=generator) < 0.8
    return student.requires_grad_(), teacher, mask


def gradient(loss: Tensor, student: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(loss, student)
    return found


@every_loss
def test_is_a_finite_non_negative_scalar_at_any_size(name: str) -> None:
    for size in ((9, 12), (16, 16), (7, 5), (3, 3)):
        student, teacher, mask = sample(*size)
        loss = LOSSES[name](student, teacher, mask)
        assert loss.shape == ()
        assert loss.item() > 0
        assert gradient(loss, student).isfinite().all()


@every_loss_but("ranking")  # ordered pairs always cost something
def test_equal_maps_cost_nothing(name: str) -> None:
    _, teacher, mask = sample()
    student = teacher.clone().requires_grad_()
    loss = LOSSES[name](student, teacher, mask)
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert gradient(loss, student).isfinite().all()


@every_loss
@settings(deadline=None, max_examples=10)
@given(outside=st.sampled_from([0.0, -1.0, 1e6, float("inf"), float("nan")]), seed=st.integers(0, 50))
def test_masked_out_content_changes_neither_loss_nor_gradient(name: str, outside: float, seed: int) -> None:
    student, teacher, mask = sample(seed=seed)
    loss = LOSSES[name](student, teacher, mask)
    other = student.detach().masked_fill(~mask, outside).requires_grad_()
    spoilt = LOSSES[name](other, teacher.masked_fill(~mask, outside), mask)
    assert spoilt.item() == loss.item()
    expected, found = gradient(loss, student), gradient(spoilt, other)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert (found[~mask] == 0).all()


@every_loss
@pytest.mark.parametrize("valid", [0, 1, 2])
def test_images_nearly_without_valid_pixels_do_no_harm(name: str, valid: int) -> None:
    student, teacher, mask = sample()
    mask[1] = False
    mask[1, 0, 4, 4 : 4 + valid] = True
    loss = LOSSES[name](student, teacher, mask)
    found = gradient(loss, student)
    assert loss.isfinite()
    assert found.isfinite().all()
    if valid == 0:
        assert loss.item() == pytest.approx(LOSSES[name](student[:1], teacher[:1], mask[:1]).item())
        assert (found[1] == 0).all()


@every_loss
def test_a_batch_without_valid_pixels_is_zero_with_a_gradient(name: str) -> None:
    student, teacher, mask = sample()
    loss = LOSSES[name](student, teacher, torch.zeros_like(mask))
    assert loss.item() == 0
    assert (gradient(loss, student) == 0).all()


@every_loss
def test_constant_maps_do_no_harm(name: str) -> None:
    _, teacher, mask = sample()
    for student, target in (
        (torch.full_like(teacher, 0.5), teacher),
        (teacher.clone(), torch.ones_like(teacher)),
    ):
        student.requires_grad_()
        loss = LOSSES[name](student, target, mask)
        assert loss.isfinite()
        assert gradient(loss, student).isfinite().all()


@every_loss_but("fourier")  # its weight carries no gradient on purpose; see test_spectral.py
def test_the_gradient_is_the_derivative(name: str) -> None:
    student, teacher, mask = sample(6, 7, batch=1)
    assert torch.autograd.gradcheck(lambda s: LOSSES[name](s, teacher, mask), student)


@every_loss_but("ranking")  # the draw depends on the batch
def test_images_are_averaged(name: str) -> None:
    student, teacher, mask = sample()
    each = [LOSSES[name](student[i : i + 1], teacher[i : i + 1], mask[i : i + 1]).item() for i in range(2)]
    assert LOSSES[name](student, teacher, mask).item() == pytest.approx(sum(each) / 2)


@pytest.mark.parametrize("name", IGNORES_SCALE)
@settings(deadline=None, max_examples=20)
@given(scale=st.floats(0.01, 100))
def test_the_students_scale_is_free(name: str, scale: float) -> None:
    student, teacher, mask = sample()
    scaled = LOSSES[name](scale * student, teacher, mask).item()
    assert scaled == pytest.approx(LOSSES[name](student, teacher, mask).item(), rel=1e-6)


@pytest.mark.parametrize("name", IGNORES_SHIFT)
@settings(deadline=None, max_examples=20)
@given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_the_students_scale_and_shift_are_free(name: str, scale: float, shift: float) -> None:
    student, teacher, mask = sample()
    moved = LOSSES[name](scale * student + shift, teacher, mask).item()
    assert moved == pytest.approx(LOSSES[name](student, teacher, mask).item(), rel=1e-6)


@pytest.mark.parametrize("name", ["metric depth", "metric disparity", "silog"])
def test_a_metric_student_learns_the_scale(name: str) -> None:
    student, _, mask = sample()
    assert LOSSES[name](2 * student, student, mask).item() > 0.1
