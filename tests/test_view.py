from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from leadline.errors import ConfigError
from leadline.view import (
    BACKGROUND,
    RangeSketch,
    birdseye,
    colour_bar,
    colourise,
    contact_sheet,
    robust_range,
    side_by_side,
)

RAMP = np.linspace(1, 3, 64, dtype=np.float32).reshape(8, 8)
ALL = np.ones((8, 8), np.bool_)


def test_near_is_bright_for_depth_and_disparity() -> None:
    disparity = colourise(RAMP, ALL, 1, 3, quantity="disparity", colormap="gray")
    depth = colourise(RAMP, ALL, 1, 3, quantity="depth", colormap="gray")
    assert disparity[0, 0].tolist() == [0, 0, 0]
    assert disparity[-1, -1].tolist() == [255, 255, 255]
    assert depth[0, 0].tolist() == [255, 255, 255]
    assert depth[-1, -1].tolist() == [0, 0, 0]


def test_turbo_is_warm_near_and_cold_far() -> None:
    picture = colourise(np.array([[0.1, 0.9]]), np.ones((1, 2), np.bool_), 0, 1).astype(int)
    assert picture[0, 0, 2] > picture[0, 0, 0]
    assert picture[0, 1, 0] > picture[0, 1, 2]


def test_gray_is_linear_and_clipped() -> None:
    picture = colourise(RAMP, ALL, 1.5, 2.5, colormap="gray")
    # matplotlib's own table is off by one in places.
    assert np.abs(picture[..., 0] - np.clip(RAMP - 1.5, 0, 1) * 255).max() <= 1.5


def test_invalid_pixels_have_their_own_colour() -> None:
    values = RAMP.copy()
    values[0, 0], values[0, 1] = np.nan, np.inf
    valid = np.isfinite(values)
    assert (colourise(values, valid, 1, 3)[~valid] == 128).all()
    assert (colourise(values, valid, 1, 3, invalid=(9, 8, 7))[~valid] == (9, 8, 7)).all()


def test_a_flat_map_or_an_empty_range_can_be_drawn() -> None:
    low, high = robust_range(np.full((8, 8), 5.0), ALL)
    assert low < high
    assert colourise(np.full((8, 8), 5.0), ALL, 5, 5).shape == (8, 8, 3)


def test_unknown_colour_map() -> None:
    with pytest.raises(ConfigError, match="did you mean 'turbo'"):
        colourise(RAMP, ALL, 1, 3, colormap="turbbo")


def test_robust_range_leaves_out_extremes_and_invalid_pixels() -> None:
    values = np.arange(10_000, dtype=np.float32).reshape(100, 100)
    values[0, :3] = 1e9, np.inf, np.nan
    valid = np.ones(values.shape, np.bool_)
    assert robust_range(values, valid) == pytest.approx((200, 9800), abs=5)
    valid[:50] = False
    assert robust_range(values, valid, (0, 100)) == pytest.approx((5000, 9999))
    assert robust_range(values, np.zeros_like(valid)) == (0, 1)


@given(
    hnp.arrays(np.float32, (5, 5), elements=st.floats(width=32)),
    hnp.arrays(np.bool_, (5, 5)),
)
def test_the_range_is_never_empty(values: np.ndarray, valid: np.ndarray) -> None:
    low, high = robust_range(values, valid)
    assert np.isfinite([low, high]).all()
    assert low < high
    picture = colourise(values, valid, low, high)
    assert (picture[~valid] == 128).all()


def frames(count: int) -> list[np.ndarray]:
    """A film that gets brighter and has a few wild values."""
    random = np.random.default_rng(5)
    maps = [random.gamma(2, 1 + index / 10, (60, 80)).astype(np.float32) for index in range(count)]
    maps[3][:5] = 1e12
    return maps


def test_range_sketch_gives_the_percentiles_of_the_whole_film() -> None:
    maps = frames(40)
    valid = np.ones((60, 80), np.bool_)
    sketch = RangeSketch(size=8192)
    for values in maps:
        sketch.add(values, valid)
    # Four standard deviations of the rank of a percentile in a sample of 8192.
    every = np.concatenate(maps)
    for percentile, got in zip((10, 90), sketch.range((10, 90)), strict=True):
        slack = 400 * np.sqrt(0.1 * 0.9 / 8192)
        assert np.percentile(every, percentile - slack) < got < np.percentile(every, percentile + slack)


def test_range_sketch_is_exact_while_it_is_not_full() -> None:
    sketch = RangeSketch()
    sketch.add(RAMP, ALL)
    assert sketch.range() == robust_range(RAMP, ALL)
    assert RangeSketch().range() == (0, 1)


def test_range_sketch_repeats_itself_and_stays_small() -> None:
    first, second = RangeSketch(size=500), RangeSketch(size=500)
    for values in frames(10):
        for sketch in (first, second):
            sketch.add(values, values < 1e6)
    assert first.range() == second.range()
    assert first._values.size == 500


def test_range_sketches_merge_into_a_sample_of_both() -> None:
    valid = np.ones((100, 100), np.bool_)
    small, large = RangeSketch(2000, seed=1), RangeSketch(2000, seed=2)
    small.add(np.zeros((100, 100), np.float32), valid)
    for _ in range(3):
        large.add(np.ones((100, 100), np.float32), valid)
    small.merge(large)
    # A quarter of all pixels are zeros; five standard deviations of a sample of 2000.
    assert small._values.mean() == pytest.approx(0.75, abs=5 * np.sqrt(0.75 * 0.25 / 2000))


def test_side_by_side_keeps_the_pictures() -> None:
    left = np.full((40, 30, 3), 10, np.uint8)
    right = np.full((80, 100, 3), 200, np.uint8)
    row = side_by_side([left, right])
    assert row.shape == (40, 30 + 4 + 50, 3)
    assert (row[:, :30] == 10).all()
    assert (row[:, -50:] == 200).all()
    named = side_by_side([left, right], ["a", "a caption far too long for its picture"])
    assert named.shape[1] == row.shape[1]
    assert np.array_equal(named[-40:], row)
    strip = named[:-40, :30].astype(int)
    assert strip.max() - strip.min() > 100, "a caption can be seen"


def test_contact_sheet_fills_up_short_rows() -> None:
    cell = np.full((40, 60, 3), 99, np.uint8)
    sheet = contact_sheet([[cell, cell], [cell]], height=20)
    assert sheet.shape == (20 + 4 + 20, 30 + 4 + 30, 3)
    assert (sheet[-20:, :30] == 99).all()
    assert (sheet[-20:, 34:] == 32).all()


@pytest.mark.parametrize("quantity", ["depth", "disparity"])
def test_colour_bar_has_near_at_the_top(quantity: str) -> None:
    bar = colour_bar(0.5, 4, 200, quantity=quantity, colormap="gray", unit="m")  # type: ignore[arg-type]
    assert bar.shape[0] == 200
    assert bar[0, 0, 0] == 255
    assert bar[-1, 0, 0] == 0
    assert bar[:, 20:].max() > 200, "numbers can be seen"


def seen_from_above(points, colours, **options):
    options = {"reach": 20.0, "size": 200} | options
    return birdseye(np.array(points, np.float32).reshape(-1, 3), np.array(colours, np.uint8).reshape(-1, 3), **options)


def test_ahead_is_up_and_left_is_left_from_above() -> None:
    red, green, blue = [255, 0, 0], [0, 255, 0], [0, 0, 255]
    picture = seen_from_above([[15.03, 0.02, 0.0], [0.02, 15.03, 0.0], [-8.03, -3.03, 0.0]], [red, green, blue])
    assert picture.shape == (200, 200, 3)
    for colour, place in ((red, (24, 99)), (green, (99, 24)), (blue, (140, 115))):
        assert picture[place].tolist() == colour
        assert (picture == colour).all(axis=2).sum() == 1


def test_the_highest_point_is_seen_and_what_is_above_the_window_is_not() -> None:
    stack = [[5.05, 5.05, 1.0], [5.05, 5.05, 3.0], [5.05, 5.05, 9.0], [5.05, 5.05, 0.0]]
    colours = [[10, 0, 0], [20, 0, 0], [30, 0, 0], [40, 0, 0]]
    assert seen_from_above(stack, colours)[74, 74].tolist() == [20, 0, 0]
    assert seen_from_above(stack, colours, heights=(-1, 10))[74, 74].tolist() == [30, 0, 0]
    assert seen_from_above(stack, colours, heights=(-1, 0.5))[74, 74].tolist() == [40, 0, 0]


def test_points_beyond_the_picture_or_unknown_change_nothing() -> None:
    empty = seen_from_above([], [])
    far = [[20.0, 0, 0], [0, -20.0, 0], [1e9, 0, 0], [np.nan, 0, 0], [0, 0, np.inf]]
    assert np.array_equal(seen_from_above(far, [[255, 0, 0]] * 5), empty)
    edge = np.nextafter(np.float32(20), np.float32(0))
    assert (seen_from_above([[-edge, -edge, 0]], [[255, 0, 0]])[-1, -1] == [255, 0, 0]).all()


def test_rings_lie_at_their_distances_and_a_car_in_the_middle() -> None:
    picture = seen_from_above([], [])
    drawn = np.flatnonzero((picture[100] != BACKGROUND).any(axis=1))
    assert {50, 150} <= set(drawn.tolist())  # 10 m
    box = np.argwhere((picture[60:140, 60:140] == 255).all(axis=2)) + 60
    assert box.min(axis=0).tolist() == [81, 95]
    assert box.max(axis=0).tolist() == [105, 104]
    wide = seen_from_above([], [], reach=80.0)
    assert not (wide[100, 100 - 13] != BACKGROUND).any()  # none at 10 m
    assert (wide[100, 75] != BACKGROUND).any()
