from __future__ import annotations

import numpy as np
import pytest
import torch

from leadline.metrics.boundary import boundary_f1


def reference(pred: np.ndarray, gt: np.ndarray) -> float:
    """Section 3.3 of Depth Pro pixel by pixel: directed pairs of neighbours, nearer first."""
    height, width = gt.shape
    thresholds = np.linspace(1.05, 1.25, 10)
    total = 0.0
    for threshold in thresholds:
        precision, recall = [], []
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            hits = drawn = true = 0
            for y in range(height):
                for x in range(width):
                    if 0 <= y + dy < height and 0 <= x + dx < width:
                        in_pred = pred[y + dy, x + dx] / pred[y, x] > threshold
                        in_gt = gt[y + dy, x + dx] / gt[y, x] > threshold
                        drawn, true, hits = drawn + in_pred, true + in_gt, hits + (in_pred and in_gt)
            precision.append(hits / max(drawn, 1))
            recall.append(hits / max(true, 1))
        p, r = np.mean(precision), np.mean(recall)
        total += threshold * (2 * p * r / (p + r) if p + r else 0)
    return total / thresholds.sum()


def test_agrees_with_the_definition() -> None:
    rng = np.random.default_rng(0)
    gt = np.exp(rng.normal(0, 0.1, (2, 7, 9)))
    pred = gt * np.exp(rng.normal(0, 0.05, gt.shape))
    found = boundary_f1(torch.tensor(pred), torch.tensor(gt), torch.ones(gt.shape, dtype=torch.bool))
    assert found.tolist() == pytest.approx([reference(p, g) for p, g in zip(pred, gt, strict=True)])


def square() -> torch.Tensor:
    gt = torch.full((16, 16), 3.0)
    gt[4:12, 4:12] = 1
    return gt


def test_is_one_for_a_copy_at_any_scale_and_zero_for_a_shifted_outline() -> None:
    gt = square()
    assert boundary_f1(7 * gt, gt, gt > 0).item() == pytest.approx(1)
    assert boundary_f1(torch.full_like(gt, 2), gt, gt > 0).item() == 0
    assert boundary_f1(gt.roll((2, 2), (0, 1)), gt, gt > 0).item() == 0


def test_a_truth_without_contours_gives_nan() -> None:
    flat = torch.ones(5, 5)
    assert boundary_f1(square()[:5, :5], flat, flat > 0).isnan()


def test_masked_out_pixels_draw_no_contour() -> None:
    gt, pred = square(), square()
    mask = torch.ones_like(gt, dtype=torch.bool)
    mask[0] = False
    pred[0], gt[0] = torch.nan, 0
    assert boundary_f1(pred, gt, mask).item() == pytest.approx(1)


def test_agrees_with_the_definition_where_pixels_are_unknown() -> None:
    rng = np.random.default_rng(3)
    gt = np.exp(rng.normal(0, 0.1, (7, 9)))
    pred = gt * np.exp(rng.normal(0, 0.05, gt.shape))
    mask = rng.random(gt.shape) < 0.8
    # a ratio with NaN is above no threshold, so the definition leaves unknown neighbours out
    expected = reference(np.where(mask, pred, np.nan), np.where(mask, gt, np.nan))
    found = boundary_f1(torch.tensor(np.where(mask, pred, -1)), torch.tensor(gt), torch.tensor(mask))
    assert found.item() == pytest.approx(expected)


def test_blur_costs_score_and_noise_does_too() -> None:
    gt = square()
    blurred = torch.nn.functional.avg_pool2d(gt[None, None], 3, 1, 1, count_include_pad=False)[0, 0]
    noisy = gt * (1 + 0.1 * torch.randn(gt.shape, generator=torch.Generator().manual_seed(0)))
    scores = [boundary_f1(pred, gt, gt > 0).item() for pred in (gt, blurred, noisy)]
    assert scores[0] == pytest.approx(1)
    assert 0 < scores[1] < 0.95
    assert 0 < scores[2] < 0.95
