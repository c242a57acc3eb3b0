from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leadline.metrics.robust import robust_error


def sample() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    pred, target = torch.rand(2, 2, 9, 9, generator=generator, dtype=torch.float64)
    return pred, target, torch.rand(2, 9, 9, generator=generator) < 0.7


@given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_neither_scale_nor_shift_matters(scale: float, shift: float) -> None:
    pred, target, mask = sample()
    expected = robust_error(pred, target, mask)
    torch.testing.assert_close(robust_error(scale * pred + shift, target, mask), expected)
    torch.testing.assert_close(robust_error(pred, scale * target + shift, mask), expected)
    torch.testing.assert_close(robust_error(scale * target + shift, target, mask), torch.zeros_like(expected))


def test_agrees_with_numpy() -> None:
    pred, target, mask = sample()
    pred[~mask] = torch.nan
    for i, error in enumerate(robust_error(pred, target, mask)):
        p, t = pred[i][mask[i]].numpy(), target[i][mask[i]].numpy()
        n = [(x - np.sort(x)[(x.size - 1) // 2]) / np.mean(abs(x - np.sort(x)[(x.size - 1) // 2])) for x in (p, t)]
        assert error.item() == pytest.approx(np.mean(abs(n[0] - n[1])))


def test_unjudgeable_images_are_nan() -> None:
    pred, target, mask = sample()
    assert robust_error(pred, target, torch.zeros_like(mask)).isnan().all()
    assert robust_error(torch.ones_like(pred), target, mask).isnan().all()
