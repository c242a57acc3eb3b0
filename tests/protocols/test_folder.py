from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from leadline.data.folder import Folder
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError, InputError, KindError
from leadline.io.images import read_image
from leadline.protocols.candidate import asked
from leadline.protocols.evaluation import Result
from leadline.protocols.folder import FOLDER
from leadline.protocols.report import write_report


class Oracle:
    """Predicts the truth through a known distortion, frame by frame in order of the images' contents."""

    def __init__(self, frames: Folder, kind: str, distort) -> None:
        self.kind, self.distort = Kind.parse(kind), distort
        self.answers = {frames[i].image.tobytes(): frames[i].depth.values for i in range(len(frames))}

    def __call__(self, image: np.ndarray) -> DepthMap:
        unit = "m" if self.kind.up_to == "nothing" else "arbitrary"
        return DepthMap(self.distort(self.answers[image.tobytes()]), self.kind, unit)


def judge(predict, frames, **rules) -> Result:
    return replace(FOLDER, **rules).evaluate(asked("oracle", predict, parallel=True), frames)


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
    result = judge(Oracle(frames, kind, distort), frames, alignment=alignment)
    assert result.means["abs_rel"] < 2e-3
    assert result.means["delta1"] == 1
    assert result.means["images"] == len(frames)
    assert result.protocol["alignment"] == (alignment or "lsq-disparity")


def test_figures_by_hand(frames):
    result = judge(Oracle(frames, "metric-depth", lambda d: 1.1 * d), frames, alignment="none")
    assert result.means["abs_rel"] == pytest.approx(0.1, rel=1e-4)
    assert result.means["rmse_log"] == pytest.approx(np.log(1.1), rel=1e-4)
    assert result.means["scale_median"] == 1
    median = judge(Oracle(frames, "metric-depth", lambda d: 1.1 * d), frames, alignment="median")
    assert median.means["scale_median"] == pytest.approx(1 / 1.1, rel=1e-4)
    assert [row["name"] for row in result.images] == ["000000", "000004", "000008", "000012", "000016", "000020"]


def test_truth_outside_the_range_does_not_count_and_predictions_are_clamped(frames):
    oracle = Oracle(frames, "metric-depth", lambda d: np.where(d > 3, 1.0, d + 100))
    result = judge(oracle, frames, alignment="none", max_depth=3.0)
    # Where the truth is in range the prediction is 100 m off, and clamped to 3 m.
    assert 0 < result.means["abs_rel"] < 1


def test_what_does_not_fit_is_refused(frames):
    oracle = Oracle(frames, "affine-invariant-disparity", lambda d: 1 / d)
    with pytest.raises(KindError, match="lsq-disparity"):
        judge(oracle, frames, alignment="median")
    with pytest.raises(ConfigError, match="did you mean 'median'"):
        replace(FOLDER, alignment="meddian")
    with pytest.raises(ConfigError, match="min_depth"):
        replace(FOLDER, min_depth=5, max_depth=2)
    with pytest.raises(InputError, match="check the unit"):
        judge(Oracle(frames, "metric-depth", lambda d: d), frames, alignment="none", min_depth=500, max_depth=900)


def test_the_worst_come_first(frames, tmp_path):
    def distort(depth: np.ndarray) -> np.ndarray:
        return depth * (2 if np.isclose(depth, frames[2].depth.values).all() else 1.01)

    oracle = asked("oracle", Oracle(frames, "metric-depth", distort))
    rules = replace(FOLDER, alignment="none")
    result = rules.evaluate(oracle, frames)
    assert max(result.images, key=lambda row: row["abs_rel"])["name"] == "000008"
    page = write_report(tmp_path, rules, [result], [oracle], frames, 1).read_text()
    assert "Worst by AbsRel: 000008 (1.000)" in page
    worst, best = (read_image(tmp_path / "pictures" / f"oracle-{which}.png") for which in ("worst", "best"))
    # the error's column is bright for the worst and dark for the best
    assert worst[100:, -100:].mean() > best[100:, -100:].mean() + 50
    lines = (tmp_path / "oracle.csv").read_text().splitlines()
    assert len(lines) == 1 + len(frames)
    assert json.loads((tmp_path / "result.json").read_text())[0]["means"] == result.means
