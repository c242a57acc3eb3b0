from __future__ import annotations

import numpy as np
import pytest

from leadline.data.folder import Folder
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError, InputError, KindError
from leadline.protocols.folder import FolderProtocol
from leadline.protocols.worst import worst_cases


class Oracle:
    """Predicts the truth through a known distortion, frame by frame in order of the images' contents."""

    def __init__(self, frames: Folder, kind: str, distort) -> None:
        self.kind, self.distort = Kind.parse(kind), distort
        self.answers = {frames[i].image.tobytes(): frames[i].depth.values for i in range(len(frames))}

    def __call__(self, image: np.ndarray) -> DepthMap:
        unit = "m" if self.kind.up_to == "nothing" else "arbitrary"
        return DepthMap(self.distort(self.answers[image.tobytes()]), self.kind, unit)


@pytest.fixture(scope="module")
def frames(scenes) -> Folder:
    return Folder(scenes, every=4)


@pytest.mark.parametrize(
    ("alignment", "kind", "distort"),
    [
        ("none", "metric-depth", lambda d: d),
        ("median", "scale-invariant-depth", lambda d: 7 * d),
        ("median-video", "scale-invariant-depth", lambda d: 7 * d),
        ("mad-video", "affine-invariant-depth", lambda d: 3 * d + 5),
        ("lsq-disparity", "affine-invariant-disparity", lambda d: 4 / d - 1),
        ("lsq-disparity-video", "affine-invariant-disparity", lambda d: 4 / d - 1),
        ("lsq-depth", "affine-invariant-depth", lambda d: 3 * d + 5),
        ("least-median", "scale-invariant-depth", lambda d: 7 * d),
        ("mean-lsq", "scale-invariant-depth", lambda d: 7 * d),
        (None, "affine-invariant-disparity", lambda d: 4 / d - 1),
    ],
)
def test_what_an_alignment_does_not_know_it_finds(frames, alignment, kind, distort):
    result = FolderProtocol(alignment).evaluate("oracle", Oracle(frames, kind, distort), frames)
    assert result.means["abs_rel"] < 2e-3
    assert result.means["delta1"] == 1
    assert result.means["images"] == len(frames)
    assert result.protocol["alignment"] == (alignment or "lsq-disparity")


def test_figures_by_hand(frames):
    result = FolderProtocol("none").evaluate("oracle", Oracle(frames, "metric-depth", lambda d: 1.1 * d), frames)
    assert result.means["abs_rel"] == pytest.approx(0.1, rel=1e-4)
    assert result.means["rmse_log"] == pytest.approx(np.log(1.1), rel=1e-4)
    assert result.means["scale_median"] == 1
    median = FolderProtocol("median").evaluate("oracle", Oracle(frames, "metric-depth", lambda d: 1.1 * d), frames)
    assert median.means["scale_median"] == pytest.approx(1 / 1.1, rel=1e-4)
    assert [row["name"] for row in result.images] == ["000", "004", "008", "012", "016", "020"]


def test_truth_outside_the_range_does_not_count_and_predictions_are_clamped(frames):
    far = FolderProtocol("none", max_depth=3.0)
    result = far.evaluate("oracle", Oracle(frames, "metric-depth", lambda d: np.where(d > 3, 1.0, d + 100)), frames)
    # Where the truth is in range the prediction is 100 m off, and clamped to 3 m.
    assert 0 < result.means["abs_rel"] < 1


def test_what_does_not_fit_is_refused(frames):
    oracle = Oracle(frames, "affine-invariant-disparity", lambda d: 1 / d)
    with pytest.raises(KindError, match="lsq-disparity"):
        FolderProtocol("median").evaluate("oracle", oracle, frames)
    with pytest.raises(ConfigError, match="did you mean 'median'"):
        FolderProtocol("meddian")
    with pytest.raises(ConfigError, match="min_depth"):
        FolderProtocol(min_depth=5, max_depth=2)
    with pytest.raises(InputError, match="check the unit"):
        FolderProtocol("none", 500, 900).evaluate("o", Oracle(frames, "metric-depth", lambda d: d), frames)


def test_the_worst_come_first(frames):
    def distort(depth: np.ndarray) -> np.ndarray:
        return depth * (2 if np.isclose(depth, frames[2].depth.values).all() else 1.01)

    oracle = Oracle(frames, "metric-depth", distort)
    protocol = FolderProtocol("none")
    result = protocol.evaluate("oracle", oracle, frames)
    assert max(result.images, key=lambda row: row["abs_rel"])["name"] == "008"
    picture = worst_cases(protocol, oracle, frames, result, 2)
    one = worst_cases(protocol, oracle, frames, result, 1)
    assert picture.shape[0] > one.shape[0] > 200
    assert np.array_equal(picture[: one.shape[0]], one)
