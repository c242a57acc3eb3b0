from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from leadline.losses.spectral import fourier, haar, haar_transform


def wave(phase: float = 0.0, amplitude: float = 1.0, cycles: int = 8, size: int = 64) -> Tensor:
    x = torch.arange(size, dtype=torch.float64) * 2 * math.pi * cycles / size
    return (amplitude * torch.cos(x + phase)).expand(1, 1, size, size)


ALL = torch.ones(1, 1, 64, 64, dtype=torch.bool)


def strength(values: Tensor, power: int) -> float:
    """Mean over the bins of a power of the magnitude, window included."""
    window = torch.hann_window(64, periodic=False, dtype=torch.float64)
    spectrum = torch.fft.rfft2(window[:, None] * window * (values - values.mean()), norm="ortho")
    return (spectrum.abs() ** power).mean().item()


@pytest.mark.parametrize("phase", [0.3, math.pi / 2, 2.0, math.pi])
def test_a_shifted_wave_costs_one_minus_the_cosine_of_its_phase(phase: float) -> None:
    expected = (1 - math.cos(phase)) * strength(wave(), 1)
    assert fourier(wave(phase), wave(), ALL, alpha=0).item() == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("amplitude", [0.5, 2.0])
def test_a_wave_of_other_strength_costs_the_square_of_the_difference(amplitude: float) -> None:
    expected = (amplitude - 1) ** 2 * strength(wave(), 2)
    assert fourier(wave(amplitude=amplitude), wave(), ALL, alpha=0).item() == pytest.approx(expected)


def test_the_weight_is_the_relative_distance_of_the_spectra() -> None:
    student, teacher = wave(cycles=8) + 0.1 * wave(cycles=20), wave(cycles=8, amplitude=0.5)
    window = torch.hann_window(64, periodic=False, dtype=torch.float64)
    fs, ft = (torch.fft.rfft2(window[:, None] * window * x, norm="ortho") for x in (student, teacher))
    weight = (fs - ft).abs() / (fs - ft).abs().max()
    angle = fs.angle() - ft.angle()
    expected = (weight * ((fs.abs() - ft.abs()) ** 2 + (1 - angle.cos()) * ft.abs())).mean()
    assert fourier(student, teacher, ALL).item() == pytest.approx(expected.item(), rel=1e-4)


def test_without_weights_the_gradient_is_the_derivative() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.rand(2, 1, 1, 6, 7, generator=generator, dtype=torch.float64)
    mask = torch.rand(1, 1, 6, 7, generator=generator) < 0.9
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: fourier(s, teacher, mask, alpha=0), student)


@pytest.mark.parametrize("loss", [fourier, haar])
def test_an_offset_costs_nothing(loss: Callable[..., Tensor]) -> None:
    assert callable(loss)
    assert loss(wave() + 3, wave(), ALL).item() == pytest.approx(0, abs=1e-9)


def test_haar_keeps_the_energy() -> None:
    values = torch.randn(2, 1, 16, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low, details = haar_transform(values)
    assert [tuple(d.shape) for d in details] == [(2, 3, 8, 12), (2, 3, 4, 6), (2, 3, 2, 3)]
    total = low.square().sum() + sum(d.square().sum() for d in details)
    torch.testing.assert_close(total, values.square().sum())


def test_haar_coefficients_of_known_patches() -> None:
    for patch, expected in (
        ([[1, 1], [1, 1]], (2, 0, 0, 0)),
        ([[1, -1], [1, -1]], (0, 2, 0, 0)),
        ([[1, 1], [-1, -1]], (0, 0, 2, 0)),
        ([[1, -1], [-1, 1]], (0, 0, 0, 2)),
    ):
        low, (detail,) = haar_transform(torch.tensor(patch, dtype=torch.float32).view(1, 1, 2, 2), levels=1)
        assert (low.item(), *detail.flatten().tolist()) == expected


def test_repeating_the_border_of_an_odd_map_adds_no_detail() -> None:
    low, details = haar_transform(torch.ones(1, 1, 5, 7))
    assert low.shape == (1, 1, 1, 1)
    assert all((detail == 0).all() for detail in details)


def test_haar_weighs_a_detail_by_its_level() -> None:
    checkers = torch.ones(8, 8, dtype=torch.float64)
    checkers[::2, 1::2] = checkers[1::2, ::2] = -1
    mask = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    flat = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    # All of it lies in one of the three finest bands, with coefficient 2 and weight 1/2.
    assert haar(checkers.view(1, 1, 8, 8), flat, mask).item() == pytest.approx(2 / 3 / 2)
    coarse = checkers[:4, :4].repeat_interleave(2, 0).repeat_interleave(2, 1).view(1, 1, 8, 8)
    assert haar(coarse, flat, mask).item() == pytest.approx(4 / 3 / 4)


@pytest.mark.parametrize("loss", [fourier, haar])
def test_it_falls_when_nothing_but_fine_detail_improves(loss: Callable[..., Tensor]) -> None:
    coarse, fine = wave(cycles=2), wave(cycles=24, amplitude=0.2)
    costs = [loss(coarse + share * fine, coarse + fine, ALL).item() for share in (0, 0.25, 0.5, 0.75, 1)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == pytest.approx(0, abs=1e-12)
    # What is wrong at the coarse end stays in the loss, however good the detail is.
    assert loss(0.5 * coarse + fine, coarse + fine, ALL).item() > costs[-2]
