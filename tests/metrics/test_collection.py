from __future__ import annotations

import pytest
import torch

from leadline.metrics.collection import DepthErrors
from leadline.metrics.depth import depth_errors


def sample() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    gt = 1 + torch.rand(5, 6, 7, generator=generator)
    pred = gt * (0.5 + torch.rand(gt.shape, generator=generator))
    mask = torch.rand(gt.shape, generator=generator) < torch.linspace(0.1, 1, 5).view(-1, 1, 1)
    return pred, gt, mask


def test_is_the_mean_over_images_however_they_are_batched() -> None:
    pred, gt, mask = sample()
    metric = DepthErrors()
    metric.update(pred[:3], gt[:3], mask[:3])
    for i in (3, 4):
        metric.update(pred[i], gt[i], mask[i])
    result = metric.compute()
    for name, errors in depth_errors(pred, gt, mask).items():
        torch.testing.assert_close(result[name], errors.mean())
    assert (result["images"], result["without_truth"]) == (5, 0)


def test_images_without_truth_are_counted_and_named() -> None:
    pred, gt, mask = sample()
    mask[[1, 3]] = False
    metric = DepthErrors()
    metric.update(pred, gt, mask, names=list("abcde"))
    result = metric.compute()
    assert (result["images"], result["without_truth"]) == (3, 2)
    assert metric.unjudged == ["b", "d"]
    rest = [0, 2, 4]
    torch.testing.assert_close(result["rmse"], depth_errors(pred, gt, mask)["rmse"][rest].mean())
    metric.reset()
    assert metric.unjudged == []


def test_a_failed_prediction_shows() -> None:
    pred, gt, mask = sample()
    pred[2] = torch.nan
    metric = DepthErrors()
    metric.update(pred, gt, mask)
    assert metric.compute()["abs_rel"].isnan()


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_nothing_seen_is_nan_not_zero() -> None:
    result = DepthErrors().compute()
    assert result["abs_rel"].isnan()
    assert result["images"] == 0


def test_processes_add_up() -> None:
    pred, gt, mask = sample()
    whole, first, second = DepthErrors(), DepthErrors(), DepthErrors()
    whole.update(pred, gt, mask)
    first.update(pred[:2], gt[:2], mask[:2])
    second.update(pred[2:], gt[2:], mask[2:])
    for state, reduce in whole._reductions.items():
        added = reduce(torch.stack([getattr(first, state), getattr(second, state)]))
        torch.testing.assert_close(added, getattr(whole, state))
