from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter

from leadline.errors import ConfigError
from leadline.metrics.depth import abs_rel, delta
from leadline.metrics.regions import in_region, near_borders, textureless, thin
from leadline.protocols.evaluation import SCORES

#: Of a plane's disparity from pixel to pixel, where it is 1 at the nearest one.
slopes = st.floats(-0.1, 0.1)


def borders(gt: np.ndarray, mask: np.ndarray | None = None, distance: int = 8) -> np.ndarray:
    mask = np.ones(gt.shape, bool) if mask is None else mask
    return near_borders(torch.from_numpy(gt), torch.from_numpy(mask), distance).numpy()


def flat(grey: np.ndarray, mask: np.ndarray | None = None, **options: float) -> np.ndarray:
    mask = np.ones(grey.shape, bool) if mask is None else mask
    image = np.repeat(grey[..., None], 3, axis=-1)
    return textureless(torch.from_numpy(image), torch.from_numpy(mask), **options).numpy()


def disparity(slant: float, tilt: float, nearest: float = 1.0, shape: tuple[int, int] = (24, 40)) -> np.ndarray:
    """Of a plane; negative behind its horizon."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    plane = slant * x + tilt * y
    return nearest - plane.max() + plane


def seen(disparity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth and where there is any."""
    known = disparity > 1e-3
    return 1 / np.where(known, disparity, 1), known


def box(behind: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """Depth of a box in front of a wall, and the pixels that share a side with one of the other thing."""
    inside = np.zeros((60, 80), bool)
    inside[20:40, 30:55] = True
    beside = np.zeros_like(inside)
    for axis in (0, 1):
        for step in (-1, 1):
            beside |= inside != np.roll(inside, step, axis)
    return np.where(inside, 10.0, behind), beside


def reference(gt: np.ndarray, mask: np.ndarray, distance: int) -> np.ndarray:
    """The definition pair by pair."""
    found = np.zeros(gt.shape, bool)
    for axis in (0, 1):
        for y, x in np.ndindex(gt.shape):
            places = [(y + k, x) if axis == 0 else (y, x + k) for k in range(4)]
            if places[-1][axis] >= gt.shape[axis] or not all(mask[place] for place in places):
                continue
            a, b, c, e = (1 / gt[place] for place in places)
            onward = [side for side in (b - a, e - c) if side * (c - b) > 0]
            ratio = max(b, c) / min(b, c)
            if ratio > 1.1 and all(abs(c - b) > 2 * abs(side) for side in onward):
                for v, u in places[1:3]:
                    found[max(v - distance + 1, 0) : v + distance, max(u - distance + 1, 0) : u + distance] = True
    return found & mask


@pytest.mark.parametrize("distance", [1, 3, 8])
def test_borders_agree_with_the_definition(distance):
    rng = np.random.default_rng(0)
    gt = np.kron(np.exp(rng.normal(0, 0.15, (3, 4))), np.ones((20, 20))) * np.exp(rng.normal(0, 0.02, (60, 80)))
    mask = rng.random(gt.shape) < 0.9
    expected = reference(gt, mask, distance)
    assert 0.02 < expected.mean() < 0.9 * mask.mean()
    gt[~mask] = np.nan
    np.testing.assert_array_equal(borders(gt, mask, distance), expected)


@pytest.mark.parametrize("distance", [1, 4, 8])
def test_a_box_in_front_of_a_wall_has_a_band_on_both_sides_of_its_outline(distance):
    gt, beside = box()
    np.testing.assert_array_equal(borders(gt, None, distance), maximum_filter(beside, 2 * distance - 1))
    row = borders(gt, None, distance)[30]
    assert row.nonzero()[0].tolist() == [
        x for x in range(80) if min(abs(x + 0.5 - edge) for edge in (30, 55)) < distance
    ]


def test_a_step_too_small_to_matter_is_no_border():
    assert not borders(box(10.9)[0]).any()
    assert borders(box(11.1)[0]).any()


@given(slopes, slopes)
def test_a_slanted_plane_has_no_border(slant, tilt):
    assert not borders(*seen(disparity(slant, tilt))).any()


@given(st.lists(st.tuples(slopes, slopes, st.floats(0.5, 1)), min_size=2, max_size=4))
def test_creases_between_planes_are_no_borders(planes):
    nearest = np.max([disparity(*plane) for plane in planes], axis=0)  # connected, as of a room's corner
    assert not borders(*seen(nearest)).any()


@given(st.floats(10.05, 20), st.floats(60, 1e4))
def test_ground_to_its_horizon_and_the_wall_it_ends_at_have_no_border(horizon, wall):
    rows = np.arange(40.0)[:, None] - horizon
    ground = np.repeat(np.where(rows > 0, 1.5 * 60 / np.where(rows > 0, rows, 1), 0), 30, axis=1)
    known = ground > 0
    ratios = ground[:-1][known[:-1]] / ground[1:][known[:-1]]
    assert ratios.max() > 1.5  # which a threshold alone would call a border
    assert not borders(ground, known).any()
    assert not borders(np.where(known, np.minimum(ground, wall), wall)).any()


def test_a_car_on_the_ground_has_its_border_and_its_foot_has_none():
    rows = np.arange(60.0)[:, None] - 20.3
    ground = np.repeat(np.where(rows > 0, 90 / np.where(rows > 0, rows, 1), 300), 60, axis=1).clip(max=300)
    gt = ground.copy()
    gt[18:31, 20:40] = ground[30, 0]  # stands where its last row is
    found = borders(gt, None, 1)
    assert found[17:19, 20:40].all()
    assert found[18:29, 19:21].all()
    assert found[18:29, 39:41].all()
    assert not found[30:].any()
    assert not found[20:, 22:38].any()


def test_a_pole_one_pixel_wide_has_two_contours():
    gt = np.full((20, 40), 30.0)
    gt[:, 20] = 10
    assert borders(gt, None, 1).any(axis=0).nonzero()[0].tolist() == [19, 20, 21]


def test_unknown_pixels_make_no_border():
    rng = np.random.default_rng(0)
    plane, known = seen(disparity(0.02, 0.03))
    for share in (0.05, 0.5, 0.95):
        mask = (rng.random(plane.shape) < share) & known
        assert not borders(np.where(mask, plane, 0), mask).any()
    gt, _ = box()
    holes = rng.random(gt.shape) < 0.1
    punctured = borders(np.where(holes, 0, gt), ~holes)
    assert not (punctured & holes).any()
    assert not (punctured & ~borders(gt)).any()
    assert punctured.sum() > 0.85 * borders(gt).sum()
    against_sky = gt == 10
    assert not borders(np.where(against_sky, gt, 0), against_sky).any()


@given(st.floats(1e-3, 1e3))
def test_the_scale_of_depth_makes_no_border(scale):
    gt, _ = box()
    np.testing.assert_array_equal(borders(gt * scale), borders(gt))


def test_endless_depth_behind_a_thing_is_a_border():
    gt, beside = box(math.inf)
    np.testing.assert_array_equal(borders(gt, None, 1), beside)


def test_a_band_of_no_width_or_a_window_without_centre_is_refused():
    with pytest.raises(ConfigError, match="distance"):
        borders(box()[0], None, 0)
    for window in (1, 8):
        with pytest.raises(ConfigError, match="window"):
            flat(np.zeros((9, 9)), window=window)


@pytest.mark.parametrize(("right", "down", "expected"), [(3.9, 0, True), (4.1, 0, False), (0, 4.1, False),
                                                         (2.8, 2.8, True), (2.9, 2.9, False)])  # fmt: skip
def test_the_length_of_the_gradient_decides_also_at_the_edges(right, down, expected):
    y, x = np.mgrid[:20, :30]
    assert (flat((right * x + down * y) / 255) == expected).all()


@pytest.mark.parametrize("window", [3, 9, 15])
def test_around_an_edge_there_is_texture_as_far_as_the_window_reaches(window):
    grey = np.zeros((30, 60))
    grey[:, 40:] = 1  # more than 4 levels a pixel, however wide the window
    half = window // 2
    assert (~flat(grey, window=window)).any(axis=0).nonzero()[0].tolist() == list(range(40 - half, 40 + half))
    # One edge of height h among the window's (n - 1) differences of a row has the mean h / (n - 1).
    limit = 4 / 255 * (window - 1)
    assert flat(grey * limit * 0.99, window=window).all()
    assert not flat(grey * limit * 1.01, window=window).all()


def test_texture_agrees_with_the_definition():
    rng = np.random.default_rng(1)
    grey = rng.random((14, 19)) * np.linspace(0, 0.1, 19)
    mask = rng.random(grey.shape) < 0.8
    expected = np.zeros_like(mask)
    for y, x in np.ndindex(grey.shape):
        rows, columns = range(max(y - 2, 0), min(y + 2, 13)), range(max(x - 2, 0), min(x + 2, 18))
        lengths = [math.hypot(grey[v, u + 1] - grey[v, u], grey[v + 1, u] - grey[v, u]) for v in rows for u in columns]
        expected[y, x] = mask[y, x] and np.mean(lengths) < 0.02
    assert 0.2 < expected.mean() < 0.8
    np.testing.assert_array_equal(flat(grey, mask, window=5, threshold=0.02), expected)


def test_regions_of_a_batch_are_those_of_its_images():
    generator = torch.Generator().manual_seed(0)
    gt = 1 + torch.rand(3, 12, 20, generator=generator)
    image = torch.rand(3, 12, 20, 3, generator=generator) * 0.04
    mask = torch.rand(3, 12, 20, generator=generator) < 0.9
    near, plain = near_borders(gt, mask, 1), textureless(image, mask)
    assert near.any()
    assert plain.any()
    for i in range(3):
        assert torch.equal(near_borders(gt[i], mask[i], 1), near[i])
        assert torch.equal(textureless(image[i], mask[i]), plain[i])


@pytest.mark.parametrize("shape", [(2, 2), (2, 9), (3, 3)])
def test_images_of_few_pixels_have_regions(shape):
    assert not borders(np.ones(shape)).any()
    assert flat(np.ones(shape)).all()


def test_an_error_in_a_region_is_that_of_its_pixels_and_nan_where_they_are_too_few():
    gt = torch.full((2, 40, 50), 4.0)
    pred, region = gt.clone(), torch.zeros_like(gt, dtype=torch.bool)
    region[0, 0, :2], region[1, 0, :1] = True, True  # of 2000 pixels
    pred[:, 0, 0], pred[:, 1:] = 6, torch.nan
    found = in_region(abs_rel, pred, gt, region)
    assert found[0] == 0.25
    assert found[1].isnan()
    assert in_region(delta, pred[0], gt[0], region[0]) == 0.5
    assert in_region(abs_rel, gt, gt, torch.zeros_like(region)).isnan().all()


def scores(pred: np.ndarray, gt: np.ndarray, grey: np.ndarray) -> dict[str, float]:
    image, mask = np.repeat(grey[..., None], 3, axis=-1), np.ones(gt.shape, bool)
    maps = [torch.from_numpy(values) for values in (pred, gt, image, mask)]
    names = ("abs_rel_borders", "delta1_borders", "abs_rel_textureless", "delta1_textureless")
    return {name: float(SCORES[name](*maps)) for name in names}


def test_scores_see_what_goes_wrong_in_their_region_only():
    gt, _ = box()
    grey = np.random.default_rng(0).random(gt.shape)
    grey[:, 65:] = 0.5
    bare = flat(grey)
    assert bare.nonzero()[1].min() == 65 + 4
    assert not (bare & borders(gt)).any()
    right = {"abs_rel_borders": 0, "delta1_borders": 1, "abs_rel_textureless": 0, "delta1_textureless": 1}
    assert scores(gt, gt, grey) == right
    wrong = pytest.approx(0.5), 0
    outline = scores(np.where(borders(gt), 1.5 * gt, gt), gt, grey)
    assert outline == {**right, "abs_rel_borders": wrong[0], "delta1_borders": wrong[1]}
    plain = scores(np.where(bare, 1.5 * gt, gt), gt, grey)
    assert plain == {**right, "abs_rel_textureless": wrong[0], "delta1_textureless": wrong[1]}
    assert scores(np.where(bare | borders(gt), gt, 9 * gt), gt, grey) == right


def test_scores_are_nan_where_there_is_no_such_region():
    gt = np.full((40, 50), 3.0)
    assert all(math.isnan(value) for value in scores(gt, gt, np.random.default_rng(0).random(gt.shape)).values())


def slender(gt: np.ndarray, mask: np.ndarray | None = None, width: int = 5) -> np.ndarray:
    mask = np.ones(gt.shape, bool) if mask is None else mask
    return thin(torch.from_numpy(gt), torch.from_numpy(mask), width).numpy()


def squares(gt: np.ndarray, mask: np.ndarray, width: int) -> np.ndarray:
    """The definition square by square."""
    height, columns = gt.shape
    fits = np.zeros(gt.shape, bool)
    for y, x in np.ndindex(gt.shape):
        for top in range(y - width + 1, y + 1):
            for left in range(x - width + 1, x + 1):
                rows = slice(max(top, 0), min(top + width, height))
                across = slice(max(left, 0), min(left + width, columns))
                farthest = gt[rows, across][mask[rows, across]].max(initial=0)
                fits[y, x] |= farthest < 1.1 * gt[y, x]
    return mask & ~fits


@pytest.mark.parametrize("width", [2, 3, 5])
def test_thin_things_agree_with_the_definition(width):
    rng = np.random.default_rng(1)
    gt = np.full((20, 26), 5.0) * np.exp(rng.normal(0, 0.02, (20, 26)))
    gt[3:17, 4:6] = 2.0
    gt[8, 10:24] = 3.0
    gt[12:18, 15:21] = 2.5
    mask = rng.random(gt.shape) < 0.95
    expected = squares(gt, mask, width)
    assert 0 < expected.mean() < 0.3
    gt[~mask] = np.nan
    np.testing.assert_array_equal(slender(gt, mask, width), expected)


@pytest.mark.parametrize("width", [3, 5, 8])
@pytest.mark.parametrize("across", [1, 2, 3, 4, 5, 7, 8])
def test_a_bar_is_thin_if_it_is_narrower_than_the_square(across, width):
    gt = np.full((40, 60), 4.0)
    gt[5:35, 20 : 20 + across] = 2.0
    for each in (gt, gt.T.copy()):
        np.testing.assert_array_equal(
            slender(each, None, width), (each == 2) if across < width else np.zeros_like(each)
        )


def test_a_box_a_hole_and_a_step_too_small_are_not_thin():
    assert not slender(box()[0]).any()
    assert not slender(np.where(box()[0] == 10, 30.0, 20.0)).any()
    gt = np.full((30, 30), 4.0)
    gt[:, 10:12] = 3.7
    assert not slender(gt).any()
    gt[:, 10:12] = 3.6
    assert slender(gt).any()


def test_what_is_unknown_makes_nothing_thin():
    gt = np.full((30, 30), 4.0)
    gt[:, 10:12] = 2.0
    mask = np.ones(gt.shape, bool)
    mask[:, 12:] = False
    assert not slender(gt, mask).any()
    cut = np.full((30, 30), 4.0)
    cut[:, :2] = 2.0  # it may go on outside the image
    assert not slender(cut).any()


@given(slopes, slopes)
def test_a_slanted_plane_is_not_thin(slant, tilt):
    assert not slender(*seen(disparity(slant, tilt))).any()


def test_a_square_of_one_pixel_is_refused():
    with pytest.raises(ConfigError, match="width: 1 pixels"):
        slender(np.ones((4, 4)), None, 1)


def test_thin_things_have_scores():
    gt = torch.full((40, 60), 4.0)
    gt[5:35, 20:22] = 2.0
    mask, image = gt > 0, torch.zeros(40, 60, 3)
    wrong = torch.where(gt == 2, 3.0, gt)
    assert float(SCORES["abs_rel_thin"](wrong, gt, image, mask)) == pytest.approx(0.5)
    assert float(SCORES["delta1_thin"](wrong, gt, image, mask)) == 0
    assert SCORES["abs_rel_thin"](gt, torch.full_like(gt, 4.0), image, mask).isnan()
