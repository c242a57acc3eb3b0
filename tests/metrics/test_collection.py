from __future__ import annotations

import pytest
import torch

from leadline.metrics.collection import DepthErrors, MeanScores
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


def test_a_group_of_pixels_is_judged_by_another_object_with_their_masks() -> None:
    pred, gt, mask = sample()
    near = gt < 1.5
    whole, group, rest = DepthErrors(), DepthErrors(), DepthErrors()
    for metric, pixels in ((whole, mask), (group, mask & near), (rest, mask & ~near)):
        metric.update(pred, gt, pixels)
    share = (mask & near).sum(dim=(-2, -1)) / mask.sum(dim=(-2, -1))
    parts = [depth_errors(pred, gt, pixels)["abs_rel"] for pixels in (mask & near, mask & ~near)]
    torch.testing.assert_close(group.compute()["abs_rel"], parts[0].mean())
    torch.testing.assert_close(whole.compute()["abs_rel"], (share * parts[0] + (1 - share) * parts[1]).mean())


def test_scores_that_cannot_be_had_are_counted_each_for_itself_and_their_images_named() -> None:
    metric = MeanScores(["boundary_f1", "pseudo_texture"])
    metric.update({"boundary_f1": torch.tensor(0.2), "pseudo_texture": 0.1, "other": 5.0}, "a")
    metric.update({"boundary_f1": float("nan"), "pseudo_texture": 0.5}, "b")
    metric.update({"boundary_f1": 0.6, "pseudo_texture": torch.tensor(torch.nan)})
    result = {name: value.item() for name, value in metric.compute().items()}
    assert result == pytest.approx(
        {"boundary_f1": 0.4, "pseudo_texture": 0.3, "boundary_f1_missing": 1, "pseudo_texture_missing": 1}
    )
    assert metric.unjudged == ["b"]
    metric.reset()
    metric.update({"boundary_f1": 1.0, "pseudo_texture": 1.0})
    assert metric.unjudged == []
    assert metric.compute()["boundary_f1_missing"] == 0


def test_a_score_that_no_image_has_is_nan_and_a_forgotten_one_an_error() -> None:
    metric = MeanScores(["boundary_f1"])
    metric.update({"boundary_f1": float("nan")})
    assert metric.compute()["boundary_f1"].isnan()
    with pytest.raises(KeyError):
        metric.update({"pseudo_texture": 0.5})


def test_many_images_do_not_lose_precision() -> None:
    metric = MeanScores(["tae"])
    metric.update({"tae": 1e8})
    for _ in range(1000):
        metric.update({"tae": 1.0})
    assert metric.total.item() == 1e8 + 1000
