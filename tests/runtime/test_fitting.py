from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from leadline.depth import Kind
from leadline.runtime import fitting
from leadline.runtime.fitting import CONSTANT, IN_DEPTH, IN_DISPARITY, SCALE, CalibrationRefused, Points, find

SCALED, AFFINE, METRIC = (Kind.parse(f"{name}-depth") for name in ("scale-invariant", "affine-invariant", "metric"))


def points(depth, truth, group=None) -> Points:
    depth, truth = np.asarray(depth, float), np.asarray(truth, float)
    return Points(depth, 1 / depth, truth, np.arange(len(truth)) if group is None else np.asarray(group))


@given(scale=st.floats(0.01, 100), seed=st.integers(0, 99))
def test_a_scale_is_recovered_exactly_and_wins_over_richer_lines(scale, seed):
    truth = np.random.default_rng(seed).uniform(0.5, 5, 12)
    found = find(points(truth / scale, truth), SCALED)
    assert found.form is SCALE
    assert found.scale == pytest.approx(scale, rel=1e-9)
    assert found.interval[0] == pytest.approx((scale, scale), rel=1e-6)
    assert found.chosen.error == pytest.approx(0, abs=1e-9)


@given(scale=st.floats(0.05, 20), shift=st.floats(-0.15, 3), seed=st.integers(0, 99))
def test_a_line_in_disparity_is_recovered_exactly(scale, shift, seed):
    truth = np.random.default_rng(seed).uniform(0.5, 5, 15)
    disparity = (1 / truth - shift) / scale
    nothing = np.full(15, np.nan)
    found = find(Points(nothing, disparity, truth, np.arange(15)), Kind.parse("affine-invariant-disparity"))
    assert found.form is IN_DISPARITY
    assert (found.scale, found.shift) == pytest.approx((scale, shift), rel=1e-6, abs=1e-6)


def test_a_line_in_depth_is_recovered_and_chosen_for_models_known_up_to_scale():
    truth = np.random.default_rng(0).uniform(1, 5, 20)
    found = find(points((truth + 2) / 0.5, truth), SCALED)
    assert found.form is IN_DEPTH
    assert (found.scale, found.shift) == pytest.approx((0.5, -2), rel=1e-6)


@pytest.mark.parametrize("form", [SCALE, IN_DEPTH, IN_DISPARITY])
def test_a_fifth_of_wrong_measurements_does_not_matter(form):
    random = np.random.default_rng(0)
    truth = random.uniform(1, 5, 400)
    said = 2 * truth * np.exp(random.normal(0, 0.01, 400))
    wrong = random.random(400) < 0.2
    truth[wrong] *= np.where(random.random(wrong.sum()) < 0.5, 3, 1 / 3)
    scale, shift = form.fit(points(said, truth))
    assert scale == pytest.approx(0.5 if form.space == "depth" else 2, rel=0.05)
    assert shift == pytest.approx(0, abs=0.05)


def test_the_line_has_the_least_cost_an_independent_search_finds():
    random = np.random.default_rng(3)
    x = random.uniform(0, 1, 60)
    target = (0.8 * x + 0.2) * np.exp(random.standard_t(2, 60) * 0.1)
    a, b = fitting.line(x, target)
    error = np.log((a * x + b) / target)
    spread = 1.4826 * np.median(np.abs(error))

    def cost(theta):
        r = np.abs(np.log(np.maximum(theta[0] * x + theta[1], target.min() / 10) / target))
        knee = 1.345 * spread
        return np.where(r <= knee, r**2 / 2, knee * (r - knee / 2)).sum()

    best = minimize(cost, [0.5, 0.5], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000})
    assert cost([a, b]) <= best.fun * (1 + 1e-6)
    assert (a, b) == pytest.approx(tuple(best.x), abs=1e-3)


def test_location_is_the_mean_of_few_values_and_deaf_to_outliers():
    assert fitting.location(np.array([1.0, 2.0, 3.0])) == pytest.approx(2)
    assert fitting.location(np.array([1.0, 1.1, 0.9, 1.05, 0.95, 100.0])) == pytest.approx(1, abs=0.1)
    assert fitting.location(np.array([4.0, 4.0, 4.0, 9.0])) == pytest.approx(4)


@pytest.mark.parametrize("x", [np.ones(5), np.arange(5.0)[::-1], np.ones(1)])
def test_no_line_through_what_does_not_grow(x):
    assert np.isnan(fitting.line(x, np.arange(1.0, 1 + len(x)))).all()


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=11)
    left = np.array([np.delete(values, place).mean() for place in range(11)])
    assert fitting.spread(left) == pytest.approx(values.std(ddof=1) / np.sqrt(11))


def test_intervals_hold_what_they_promise_with_few_images():
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(60):
        truth = random.uniform(1, 5, (5, 20))
        of_image = np.exp(random.normal(0, 0.1, (5, 1)))  # pixels of one image err together
        said = truth * of_image * np.exp(random.normal(0, 0.05, (5, 20)))
        found = find(points(said.ravel(), truth.ravel(), np.repeat(np.arange(5), 20)), SCALED)
        if found.form is SCALE:
            low, high = found.interval[0]
            inside += low <= 1 <= high
        else:
            inside += 1
    assert inside / 60 > 0.9


def test_relative_error_is_bounded_and_symmetric():
    truth = np.array([2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    depth = np.array([1.0, 4.0, 2.0, -1.0, np.inf, np.nan])
    assert fitting.relative_error(depth, truth).tolist() == [0.5, 0.5, 0, 1, 1, 1]


@given(st.lists(st.integers(0, 40), min_size=3, max_size=200))
def test_folds_leave_every_group_out_once_and_whole(groups):
    group = np.array(groups)
    folds = list(fitting.folds(group))
    assert (np.sum(folds, axis=0) == 1).all()
    assert len(folds) == min(len(set(groups)), fitting.FOLDS)
    for name in set(groups):
        assert len({place for place, fold in enumerate(folds) if fold[group == name].any()}) == 1


def test_refused_where_the_model_knows_nothing():
    random = np.random.default_rng(0)
    with pytest.raises(CalibrationRefused, match="no better than 'constant depth'"):
        find(points(random.uniform(1, 5, 40), random.uniform(1, 5, 40)), SCALED)


def test_refused_where_larger_is_nearer_instead_of_farther():
    truth = np.linspace(1, 5, 20)
    with pytest.raises(CalibrationRefused):
        find(points(6 - truth, truth), AFFINE)


def test_refused_where_all_is_equally_far():
    said = np.exp(np.random.default_rng(0).normal(0, 0.1, 20))
    with pytest.raises(CalibrationRefused, match="near and far"):
        find(points(said, np.full(20, 2.0)), SCALED)


def test_refused_where_a_metric_model_is_right_already():
    truth = np.linspace(1, 5, 20)
    noise = np.exp(np.random.default_rng(2).normal(0, 0.05, 20))
    with pytest.raises(CalibrationRefused, match="no better than 'as it is'"):
        find(points(truth * noise, truth), METRIC)
    assert find(points(1.5 * truth * noise, truth), METRIC).form is SCALE


@pytest.mark.parametrize("count", [1, 2])
def test_refused_where_nothing_can_be_left_out(count):
    with pytest.raises(CalibrationRefused, match="at least 3"):
        find(points(np.arange(1, 1 + count), np.arange(1, 1 + count)), SCALED)


def test_three_points_are_enough_and_say_how_little_is_known():
    found = find(points([1.0, 2.2, 3.8], [2.0, 4.0, 8.0]), SCALED)
    low, high = found.interval[0]
    assert low < found.scale < high
    few = (high - low) / found.standard_error[0]
    assert few == pytest.approx(2 * 4.303, rel=1e-6)  # two degrees of freedom


def test_a_constant_is_the_middle_of_what_is_known():
    assert CONSTANT.fit(points([1, 1, 1], [1.0, 2.0, 4.0])) == pytest.approx((0, 2))


def test_what_is_left_out_together():
    one = np.zeros((30, 2))
    assert fitting.grouped([one, one, one], [(4, 4)] * 3).tolist() == [0] * 30 + [1] * 30 + [2] * 30
    assert fitting.grouped([one[:5]], [(4, 4)]).tolist() == list(range(5))
    v, u = np.mgrid[:8, :8]
    tiles = fitting.grouped([np.stack([u.ravel(), v.ravel()], axis=-1).astype(float)], [(8, 8)]).reshape(8, 8)
    assert len(np.unique(tiles)) == 16
    assert (tiles[::2, ::2] == tiles[1::2, 1::2]).all()
