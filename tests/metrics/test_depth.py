from __future__ import annotations

import numpy as np
import pytest
import torch

from leadline.metrics.depth import delta, depth_errors, within


def reference(p: np.ndarray, g: np.ndarray) -> dict[str, float]:
    """The formulas of the field's evaluation scripts, in numpy, on the valid pixels of one image."""
    ratio = np.maximum(p / g, g / p)
    d = np.log(p) - np.log(g)
    return {
        "abs_rel": np.mean(np.abs(g - p) / g),
        "sq_rel": np.mean((g - p) ** 2 / g),
        "rmse": np.sqrt(np.mean((g - p) ** 2)),
        "rmse_log": np.sqrt(np.mean(d**2)),
        "log10": np.mean(np.abs(np.log10(p) - np.log10(g))),
        "silog": 100 * np.sqrt(np.mean(d**2) - np.mean(d) ** 2),
        "delta1": np.mean(ratio < 1.25),
        "delta2": np.mean(ratio < 1.25**2),
        "delta3": np.mean(ratio < 1.25**3),
    }


def test_agrees_with_numpy_image_by_image() -> None:
    rng = np.random.default_rng(0)
    gt = rng.uniform(1, 50, (3, 12, 17))
    pred = gt * np.exp(rng.normal(0, 0.4, gt.shape))
    mask = rng.uniform(size=gt.shape) < 0.3
    pred[~mask], gt[~mask] = np.nan, 0
    found = depth_errors(torch.tensor(pred), torch.tensor(gt), torch.tensor(mask))
    for i in range(3):
        expected = reference(pred[i][mask[i]], gt[i][mask[i]])
        alone = depth_errors(torch.tensor(pred[i]), torch.tensor(gt[i]), torch.tensor(mask[i]))
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name][i].item() == pytest.approx(value, rel=1e-9), name
            assert alone[name].item() == found[name][i].item()
            assert alone[name].shape == ()


def test_an_image_without_truth_is_nan_in_every_error() -> None:
    gt = torch.ones(2, 4, 5)
    mask = torch.ones(2, 4, 5, dtype=torch.bool)
    mask[1] = False
    for name, value in depth_errors(gt, gt, mask).items():
        assert value.isnan().tolist() == [False, True], name


def test_a_nan_prediction_is_not_dropped() -> None:
    gt = torch.ones(4, 5)
    pred = gt.clone()
    pred[0, 0] = torch.nan
    mask = gt > 0
    for name, value in depth_errors(pred, gt, mask).items():
        assert value.isnan(), name
    assert within(pred, gt, mask).isnan()


def test_the_two_accuracies_differ() -> None:
    gt = torch.full((1, 4), 10.0)
    pred = torch.tensor([[10.5, 11.5, 12.4, 12.6]])
    assert delta(pred, gt, gt > 0).item() == 0.75
    assert within(pred, gt, gt > 0).item() == 0.25


def test_perfect_depth_has_no_error_at_any_size() -> None:
    gt = torch.rand(2, 30, 40, generator=torch.Generator().manual_seed(0)) + 0.5
    for name, value in depth_errors(gt, gt, gt > 0).items():
        assert value.tolist() == ([1, 1] if name.startswith("delta") else [0, 0]), name


def test_only_the_errors_with_a_unit_depend_on_it() -> None:
    generator = torch.Generator().manual_seed(0)
    gt = torch.rand(20, 30, generator=generator, dtype=torch.float64) + 0.5
    pred = gt + 0.2 * torch.rand(20, 30, generator=generator, dtype=torch.float64)
    metres, millimetres = depth_errors(pred, gt, gt > 0), depth_errors(1000 * pred, 1000 * gt, gt > 0)
    for name, value in metres.items():
        factor = 1000 if name in ("sq_rel", "rmse") else 1
        torch.testing.assert_close(millimetres[name], factor * value, msg=name)
    torch.testing.assert_close(depth_errors(3 * pred, gt, gt > 0)["silog"], metres["silog"])


def test_a_ratio_on_the_limit_is_a_miss() -> None:
    gt = torch.full((1, 3), 4.0)
    assert delta(torch.tensor([[5.0, 3.2, 4.9]]), gt, gt > 0).item() == pytest.approx(1 / 3)
    assert delta(torch.tensor([[5.0, 3.2, 6.25]]), gt, gt > 0, 2).item() == pytest.approx(2 / 3)
