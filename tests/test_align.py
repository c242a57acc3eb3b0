from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.align import ALIGNMENTS, Fit, _streamed_median, alignment, default_for, scale_statistics
from leadline.errors import ConfigError, InputError, KindError


class Kind(NamedTuple):
    """Stands for leadline.depth.Kind, which lies above the alignments."""

    quantity: str
    up_to: str


METRIC, SCALE, AFFINE = (Kind("depth", up_to) for up_to in ("nothing", "scale", "affine"))
METRIC_DISPARITY, SCALE_DISPARITY, AFFINE_DISPARITY = (
    Kind("disparity", up_to) for up_to in ("nothing", "scale", "affine")
)
SCALE_ONLY = ["median", "median-video", "least-median", "mean-lsq"]
LINES = ["mad-video", "lsq-depth", "lsq-depth-video"]
DISPARITY = ["lsq-disparity", "lsq-disparity-video"]


def scene(frames: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(2, 30, (frames, 9, 11)), rng.uniform(size=(frames, 9, 11)) < 0.8


def aligned(name: str, prediction: np.ndarray, truth: np.ndarray, mask: np.ndarray, kind: Kind) -> np.ndarray:
    fit = ALIGNMENTS[name].fit(prediction, truth, mask, kind)
    return np.stack([ALIGNMENTS[name].apply(p, kind, *fit[i]) for i, p in enumerate(prediction)])


@pytest.mark.parametrize("name", [*SCALE_ONLY, *LINES, *DISPARITY])
@given(scale=st.floats(0.01, 100))
def test_recovers_a_known_scale(name: str, scale: float) -> None:
    truth, mask = scene()
    np.testing.assert_allclose(aligned(name, truth / scale, truth, mask, SCALE), truth, rtol=1e-6)
    np.testing.assert_allclose(aligned(name, scale / truth, truth, mask, SCALE_DISPARITY), truth, rtol=1e-6)


@pytest.mark.parametrize("name", LINES)
@given(scale=st.floats(0.01, 100), shift=st.floats(-50, 50))
def test_recovers_a_known_scale_and_shift_of_depth(name: str, scale: float, shift: float) -> None:
    truth, mask = scene()
    prediction = (truth - shift) / scale
    np.testing.assert_allclose(aligned(name, prediction, truth, mask, AFFINE), truth, rtol=1e-4)


@pytest.mark.parametrize("name", DISPARITY)
@given(scale=st.floats(0.01, 100), shift=st.floats(-5, 5))
def test_recovers_a_known_scale_and_shift_of_disparity(name: str, scale: float, shift: float) -> None:
    truth, mask = scene()
    prediction = (1 / truth - shift) / scale
    np.testing.assert_allclose(aligned(name, prediction, truth, mask, AFFINE_DISPARITY), truth, rtol=1e-6)


def test_a_metric_prediction_stays_as_it_is() -> None:
    truth, mask = scene()
    np.testing.assert_array_equal(aligned("none", truth + 1, truth, mask, METRIC), truth + 1)
    np.testing.assert_allclose(aligned("none", 1 / (truth + 1), truth, mask, METRIC_DISPARITY), truth + 1)


def test_parameters_are_those_of_the_published_formulas() -> None:
    rng = np.random.default_rng(1)
    truth, mask = scene(4)
    prediction = rng.uniform(1, 5, truth.shape).astype(np.float32).astype(np.float64)
    truth = truth.astype(np.float32).astype(np.float64)
    p, g = prediction[mask], truth[mask]

    fit = ALIGNMENTS["median"].fit(prediction, truth, mask, SCALE)
    each = [np.median(g[m]) / np.median(p[m]) for p, g, m in zip(prediction, truth, mask, strict=True)]
    np.testing.assert_allclose(fit.scale, each)

    fit = ALIGNMENTS["median-video"].fit(prediction, truth, mask, SCALE)
    assert fit[0] == fit[3] == (pytest.approx(np.median(g) / np.median(p)), 0)

    scale, shift = ALIGNMENTS["mad-video"].fit(prediction, truth, mask, SCALE)[2]
    expected = np.mean(abs(g - np.median(g))) / np.mean(abs(p - np.median(p)))
    assert (scale, shift) == (pytest.approx(expected), pytest.approx(np.median(g) - expected * np.median(p)))

    fit = ALIGNMENTS["lsq-depth"].fit(prediction, truth, mask, SCALE)
    for i in range(4):
        np.testing.assert_allclose(fit[i], np.polyfit(prediction[i][mask[i]], truth[i][mask[i]], 1))
    fit = ALIGNMENTS["lsq-disparity-video"].fit(prediction, truth, mask, AFFINE_DISPARITY)
    np.testing.assert_allclose(fit[1], np.polyfit(p, 1 / g, 1))

    means = [(p[m].mean(), g[m].mean()) for p, g, m in zip(prediction, truth, mask, strict=True)]
    expected = sum(a * b for a, b in means) / sum(a * a for a, _ in means)
    assert ALIGNMENTS["mean-lsq"].fit(prediction, truth, mask, SCALE)[0] == (pytest.approx(expected), 0)


@given(st.lists(st.lists(st.floats(-(2.0**60), 2.0**60, width=32), max_size=20), min_size=2, max_size=4))
def test_the_median_of_a_video_is_exact(frames: list[list[float]]) -> None:
    values = [np.array(frame, dtype=np.float32) for frame in frames]
    everything = np.concatenate(values).astype(np.float64)
    found = _streamed_median(lambda: values)
    if everything.size:
        assert found == np.median(everything)
    else:
        assert np.isnan(found)


def test_least_median_withstands_forty_per_cent_of_outliers_where_least_squares_does_not() -> None:
    rng = np.random.default_rng(2)
    truth, mask = np.sort(rng.uniform(2, 30, (1, 40, 50))), np.ones((1, 40, 50), bool)
    prediction = truth / 3
    wild = rng.uniform(size=truth.shape) < 0.4
    prediction[wild] = rng.uniform(20, 100, wild.sum())
    scale, shift = ALIGNMENTS["least-median"].fit(prediction, truth, mask, SCALE)[0]
    assert (scale, shift) == (pytest.approx(3, rel=1e-9), 0)
    assert abs(ALIGNMENTS["lsq-depth"].fit(prediction, truth, mask, SCALE)[0][0] - 3) > 1


def test_least_median_is_the_lowest_point_of_its_cost() -> None:
    rng = np.random.default_rng(3)
    truth = rng.uniform(2, 30, (1, 30, 30))
    prediction = truth / 3 * np.exp(rng.normal(0, 0.2, truth.shape))
    scale, _ = ALIGNMENTS["least-median"].fit(prediction, truth, np.ones_like(truth, bool), SCALE)[0]

    def cost(scale: float) -> float:
        return float(np.median((scale * prediction - truth) ** 2))

    assert cost(scale) <= min(cost(other) for other in np.linspace(0.5, 10, 2001)) * 1.01


@pytest.mark.parametrize("name", [name for name in ALIGNMENTS if name != "none"])
def test_what_is_masked_out_or_without_truth_has_no_say(name: str) -> None:
    truth, mask = scene()
    prediction = np.random.default_rng(4).uniform(1, 5, truth.shape)
    before = ALIGNMENTS[name].fit(prediction, truth, mask, SCALE)
    prediction[~mask], spoilt = np.nan, truth.copy()
    spoilt[~mask] = -7
    mask[:, 0, :3], spoilt[:, 0, :3] = True, [0, np.nan, np.inf]
    mask[:, 0, 3:], prediction[:, 0, 3:] = False, 1e9
    truth_row, mask_row = truth[:, 1:], mask[:, 1:]
    after = ALIGNMENTS[name].fit(prediction, spoilt, mask, SCALE)
    cropped = ALIGNMENTS[name].fit(prediction[:, 1:], truth_row, mask_row, SCALE)
    np.testing.assert_array_equal([after.scale, after.shift], [cropped.scale, cropped.shift])
    assert not np.array_equal(before.scale, after.scale)  # the first row did have one


def test_an_image_without_truth_gets_nan_and_is_not_hidden() -> None:
    truth, mask = scene()
    mask[1] = False
    prediction = truth / 2
    fit = ALIGNMENTS["median"].fit(prediction, truth, mask, SCALE)
    assert np.isnan(fit.scale).tolist() == [False, True, False]
    assert np.isnan(ALIGNMENTS["median"].apply(prediction[1], SCALE, *fit[1])).all()
    assert np.isnan(ALIGNMENTS["lsq-disparity"].apply(prediction[1], SCALE, np.nan, np.nan)).all()
    for name in ALIGNMENTS:
        if ALIGNMENTS[name].per == "video":
            assert np.isfinite(ALIGNMENTS[name].fit(prediction, truth, mask, SCALE)[1]).all()
            nothing = ALIGNMENTS[name].fit(prediction, truth, np.zeros_like(mask), SCALE)
            assert np.isnan(nothing[0]).all()


def test_aligned_disparity_is_clamped_before_it_is_inverted() -> None:
    disparity = np.array([[-1.0, 0.0, 0.0005, 0.5]])
    depth = ALIGNMENTS["lsq-disparity"].apply(disparity, AFFINE_DISPARITY, 1.0, 0.0)
    np.testing.assert_allclose(depth, [[1000, 1000, 1000, 2]])


def test_no_disparity_is_infinitely_far() -> None:
    depth = ALIGNMENTS["median"].apply(np.array([0.0, -1, 0.5], dtype=np.float32), SCALE_DISPARITY, 2.0, 0.0)
    np.testing.assert_array_equal(depth, [np.inf, np.inf, 4])
    assert depth.dtype == np.float32


@pytest.mark.parametrize("name", ["mad-video", "lsq-depth", "lsq-depth-video"])
def test_a_constant_prediction_becomes_the_middle_of_the_truth(name: str) -> None:
    truth, mask = scene(2)
    depth = aligned(name, np.full_like(truth, 0.1), truth, mask, SCALE)
    assert np.isfinite(depth).all()
    assert depth.min() > 5
    assert depth.max() < 25
    assert np.ptp(depth[0]) < 1e-9


REFUSED = [
    ("none", SCALE),
    ("none", AFFINE_DISPARITY),
    *[(name, kind) for name in SCALE_ONLY for kind in (AFFINE, AFFINE_DISPARITY)],
    *[(name, AFFINE_DISPARITY) for name in LINES],
    *[(name, AFFINE) for name in DISPARITY],
]


@pytest.mark.parametrize(("name", "kind"), REFUSED)
def test_refuses_what_the_kind_does_not_allow(name: str, kind: Kind) -> None:
    truth, mask = scene()
    with pytest.raises(KindError, match=f"'{name}'.*'{default_for(kind)}'"):
        ALIGNMENTS[name].fit(truth, truth, mask, kind)
    with pytest.raises(KindError):
        ALIGNMENTS[name].apply(truth, kind, 1.0, 0.0)


@pytest.mark.parametrize("kind", [METRIC, SCALE, AFFINE, METRIC_DISPARITY, SCALE_DISPARITY, AFFINE_DISPARITY])
def test_the_default_fits_its_kind(kind: Kind) -> None:
    ALIGNMENTS[default_for(kind)].check(kind)


def test_the_defaults_are_those_of_the_field() -> None:
    assert [default_for(kind) for kind in (METRIC, SCALE_DISPARITY, AFFINE, AFFINE_DISPARITY)] == [
        "none",
        "median",
        "lsq-depth",
        "lsq-disparity",
    ]


def test_refuses_images_that_do_not_belong_together() -> None:
    truth, mask = scene()
    with pytest.raises(InputError, match="3 predictions, 3 references and 2 masks"):
        ALIGNMENTS["median"].fit(truth, truth, mask[:2], SCALE)
    with pytest.raises(InputError, match=r"image 0 has a prediction of \(9, 10\)"):
        ALIGNMENTS["median"].fit(truth[..., :-1], truth, mask, SCALE)


def test_images_may_differ_in_size() -> None:
    truth = [np.full((2, 3), 6.0), np.full((4, 5), 8.0)]
    mask = [np.ones((2, 3), bool), np.ones((4, 5), bool)]
    fit = ALIGNMENTS["median"].fit([t / 2 for t in truth], truth, mask, SCALE)
    assert fit.scale.tolist() == [2, 2]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    assert alignment("median") is ALIGNMENTS["median"]
    with pytest.raises(ConfigError, match="did you mean 'median'"):
        alignment("medain")


def test_scale_statistics() -> None:
    fits = [Fit(np.array([1.0, 2.0]), np.zeros(2)), Fit(np.array([np.nan, 3.0]), np.zeros(2))]
    statistics = scale_statistics(fits)
    assert statistics["scale_median"] == 2
    assert statistics["scale_spread"] == pytest.approx(np.std([0.5, 1, 1.5]))
    assert np.isnan(scale_statistics([])["scale_median"])
