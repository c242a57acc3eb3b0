from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from leadline.metrics.decomposition import MaskScores, diffuse_error, residual_error


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_scores_are_counts(pixels):
    found, true, mask = torch.tensor(pixels).T
    metric = MaskScores()
    half = len(pixels) // 2
    for part in (slice(None, half), slice(half, None)):  # images add up
        metric.update(found[part], true[part], mask[part])
    judged = [(one, other) for one, other, kept in pixels if kept]
    hits = sum(one and other for one, other in judged)
    flagged, reflective = sum(one for one, _ in judged), sum(other for _, other in judged)
    expected = {
        "precision": hits / flagged if flagged else math.nan,
        "recall": hits / reflective if reflective else math.nan,
        "f1": 2 * hits / (flagged + reflective) if flagged + reflective else math.nan,
        "flagged": flagged / len(judged) if judged else math.nan,
        "reflective": reflective / len(judged) if judged else math.nan,
    }
    reached = {name: float(score) for name, score in metric.compute().items()}
    assert reached == pytest.approx(expected, nan_ok=True)


def test_a_colour_cast_is_no_error():
    diffuse, residual = noise(2, 3, 8, 9), noise(2, 3, 8, 9, seed=1)
    everywhere = torch.ones(2, 1, 8, 9, dtype=torch.bool)
    cast = torch.tensor([0.5, 1.2, 2.0], dtype=torch.float64).view(3, 1, 1)
    nothing = torch.zeros(2, dtype=torch.float64)
    torch.testing.assert_close(diffuse_error(cast * diffuse, diffuse, everywhere), nothing)
    torch.testing.assert_close(residual_error(residual - cast.log(), residual, everywhere), nothing)


def test_errors_are_those_of_a_least_squares_fit():
    pred, true, mask = noise(1, 3, 8, 9), noise(1, 3, 8, 9, seed=1), noise(1, 1, 8, 9, seed=2) > 0.3
    kept = mask[0, 0].numpy()
    squares, spread = [], []
    for one, other in zip(pred[0].numpy(), true[0].numpy(), strict=True):
        factor = np.linalg.lstsq(one[kept][:, None], other[kept], rcond=None)[0]
        squares.append((factor * one[kept] - other[kept]) ** 2)
        spread.append(np.var(one[kept] - other[kept]))
    assert diffuse_error(pred, true, mask).item() == pytest.approx(np.sqrt(np.mean(squares)))
    assert residual_error(pred, true, mask).item() == pytest.approx(np.sqrt(np.mean(spread)))


def test_what_the_mask_leaves_out_does_not_matter_and_an_empty_mask_is_seen():
    pred, true, mask = noise(2, 3, 8, 9), noise(2, 3, 8, 9, seed=1), noise(2, 1, 8, 9, seed=2) > 0.3
    mask[1] = False
    for error in (diffuse_error, residual_error):
        broken = torch.where(mask, pred, math.nan)
        before, after = error(pred, true, mask), error(broken, true, mask)
        assert before[0] == after[0] > 0
        assert before[1].isnan()
