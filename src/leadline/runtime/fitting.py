"""The line that turns what a model says into metric depth, how sure it is, and whether it is worth having.

All errors are of the logarithm of depth while fitting, so that near and far count alike, and are bounded where they are
judged: ``1 - min(z / g, g / z)``, which for small errors is the relative error, and 1 where there is no depth at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leadline.depth import Kind, Quantity
from leadline.errors import LeadlineError
from leadline.runtime.calibration import as_metric

Values = NDArray[np.float64]

#: Huber's constant: 95 % of the efficiency of least squares where errors are normal.
HUBER = 1.345
#: Fits are left out one at a time up to so many folds; beyond, neighbours in the order given are left out together.
FOLDS = 20
#: 97.5 % quantile of Student's t with 1, 2, ... degrees of freedom.
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
           2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093)  # fmt: skip
#: Fewer known distances cannot be cross-validated.
FEWEST = 3


class CalibrationRefused(LeadlineError):
    """Known distances do not show that a calibration would be right."""


@dataclass(frozen=True)
class Points:
    """Known distances, and what a model says there.

    Args:
        depth: (N,) what it says, as depth (``unit`` where metric); NaN where its kind has none.
        disparity: (N,) the same as disparity.
        truth: (N,) z-depth in ``unit``, above 0.
        group: (N,) int; what is left out together: those of an image, of a part of one, or each alone.
    """

    depth: Values
    disparity: Values
    truth: Values
    group: NDArray[np.int64]

    def of(self, space: Quantity) -> Values:
        """What the model says, in a space."""
        return self.depth if space == "depth" else self.disparity

    def __len__(self) -> int:
        return len(self.truth)

    def __getitem__(self, keep: NDArray[np.bool_]) -> Points:
        return Points(self.depth[keep], self.disparity[keep], self.truth[keep], self.group[keep])


@dataclass(frozen=True)
class Form:
    """A family of lines from which one is fitted.

    Args:
        name: in words.
        space: what the line takes and gives.
        free: which of scale and shift are fitted: "", "shift" (a constant), "scale" or "both".
    """

    name: str
    space: Quantity
    free: str

    def fit(self, points: Points) -> tuple[float, float]:
        """Scale and shift, robust against outliers; NaN where the points leave them open."""
        if not self.free:
            return 1.0, 0.0
        x, truth = points.of(self.space), points.truth
        if self.free == "shift":
            return 0.0, float(np.exp(location(np.log(truth))))
        target = truth if self.space == "depth" else 1 / truth
        if self.free == "scale":
            return float(np.exp(location(np.log(target) - np.log(x)))), 0.0
        return line(x, target)

    def predict(self, points: Points, scale: float, shift: float) -> Values:
        """(N,) metric depth by that line."""
        if self.free == "shift":
            return np.full(len(points), shift)
        return as_metric(scale * points.of(self.space) + shift, self.space)


AS_IT_IS = Form("as it is", "depth", "")
CONSTANT = Form("constant depth", "depth", "shift")
SCALE = Form("scale", "depth", "scale")
IN_DISPARITY = Form("scale and shift in disparity", "disparity", "both")
IN_DEPTH = Form("scale and shift in depth", "depth", "both")


def baselines(kind: Kind) -> tuple[Form, ...]:
    """What needs no calibration, which a calibration has to beat."""
    return (CONSTANT, AS_IT_IS) if kind.up_to == "nothing" else (CONSTANT,)


def forms(kind: Kind) -> tuple[Form, ...]:
    """What can be fitted to answers of a kind, the simplest first."""
    if kind.up_to == "affine":
        return (IN_DISPARITY if kind.quantity == "disparity" else IN_DEPTH,)
    return SCALE, IN_DISPARITY, IN_DEPTH


def relative_error(depth: Values, truth: Values) -> Values:
    """``1 - min(z / g, g / z)``, in [0, 1]; 1 where there is no depth above 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.minimum(depth / truth, truth / depth)
    return 1 - np.where(depth > 0, np.nan_to_num(ratio), 0.0)


def location(values: Values) -> float:
    """Huber's estimate of where values lie: their mean, without the pull of outliers."""
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    for _ in range(50):
        weights = _weights(values - middle, spread)
        moved = float(np.average(values, weights=weights))
        if abs(moved - middle) <= 1e-12 + 1e-10 * abs(middle):
            break
        middle = moved
    return middle


def line(x: Values, target: Values) -> tuple[float, float]:
    """The a > 0 and b that minimise ``sum huber(log(a x + b) - log(target))``; NaN where there are none.

    Starts from Tukey's resistant line and goes down by damped Gauss-Newton steps on reweighted squares.
    """
    nothing = (float("nan"), float("nan"))
    if len(x) < 2 or not np.ptp(x) > 1e-9 * np.abs(x).max():
        return nothing
    middle, width = float(np.median(x)), float(np.std(x))
    x = (x - middle) / width
    order, third = np.argsort(x, kind="stable"), max(1, len(x) // 3)
    low, high = order[:third], order[-third:]
    run = float(np.median(x[high]) - np.median(x[low]))
    if not run > 0:
        return nothing
    slope = float(np.median(target[high]) - np.median(target[low])) / run
    theta = np.array([slope, float(np.median(target - slope * x))])
    floor = target.min() / 10  # keeps the logarithm where the line is below 0
    design = np.stack([x, np.ones_like(x)])
    for _ in range(100):
        fitted = np.maximum(theta @ design, floor)
        error = np.log(fitted / target)
        spread = max(1.4826 * float(np.median(np.abs(error))), 1e-12)
        slopes = design / fitted
        weighted = slopes * _weights(error, spread)
        step = np.linalg.lstsq(weighted @ slopes.T, -(weighted @ error), rcond=None)[0]
        before = _cost(error, spread)
        while np.abs(step).max() > 1e-12 * np.abs(theta).max():
            after = _cost(np.log(np.maximum((theta + step) @ design, floor) / target), spread)
            if after < before:
                break
            step /= 2
        else:
            break
        theta = theta + step
    scale, shift = float(theta[0] / width), float(theta[1] - theta[0] * middle / width)
    return (scale, shift) if scale > 0 else nothing


def _weights(errors: Values, spread: float) -> Values:
    """Huber's: 1 up to ``HUBER`` spreads, falling beyond."""
    size = np.abs(errors)
    return np.minimum(1.0, HUBER * max(spread, 1e-300) / np.maximum(size, 1e-300))


def _cost(errors: Values, spread: float) -> float:
    size, knee = np.abs(errors), HUBER * spread
    return float(np.where(size <= knee, size**2 / 2, knee * (size - knee / 2)).sum())


@dataclass(frozen=True)
class Trial:
    """A form, cross-validated.

    Args:
        form: which.
        errors: (K,) mean relative error of each fold by the fit to all others.
        left: (K, 2) scale and shift of those fits.
    """

    form: Form
    errors: Values
    left: Values

    @property
    def error(self) -> float:
        """Mean of the folds'."""
        return float(self.errors.mean())

    def beats(self, other: Trial) -> bool:
        """Whether it is better by more than what differs from fold to fold: one standard error of the difference."""
        gain = other.errors - self.errors
        return bool(gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)) and gain.mean() > 1e-9)


@dataclass(frozen=True)
class Found:
    """What was fitted.

    Args:
        chosen: the form that was chosen, with its cross-validation.
        trials: all that were tried.
        scale, shift: fitted to all points.
        standard_error: of scale and shift, by leaving out folds (the jackknife).
        interval: ((low, high), (low, high)) of scale and shift, 95 %, by Student's t: wide where there are few folds.
        doubt: depth in ``unit`` at the nearest tenth, the middle and the farthest tenth of what is known, each with the
            half width of its 95 % interval as a part of it.
    """

    chosen: Trial
    trials: tuple[Trial, ...]
    scale: float
    shift: float
    standard_error: tuple[float, float]
    interval: tuple[tuple[float, float], tuple[float, float]]
    doubt: tuple[tuple[float, float], ...]

    @property
    def form(self) -> Form:
        """The form that was chosen."""
        return self.chosen.form


def find(points: Points, kind: Kind) -> Found:
    """The simplest line that cross-validation does not find worse than a richer one.

    Raises:
        CalibrationRefused: there are too few points, or none beats what needs no calibration.
    """
    groups = len(np.unique(points.group))
    if groups < FEWEST:
        raise CalibrationRefused(
            f"calibration refused: {len(points)} known distances (to be left out {groups} times) cannot be "
            f"cross-validated; give at least {FEWEST}, near and far"
        )
    trials = [cross_validated(form, points) for form in (*baselines(kind), *forms(kind))]
    count = len(baselines(kind))
    before = min(trials[:count], key=lambda trial: trial.error)
    best = before
    for trial in trials[count:]:
        if trial.beats(best):
            best = trial
    if best is before:
        told = ", ".join(f"{trial.form.name} {trial.error:.3f}" for trial in trials)
        raise CalibrationRefused(
            f"calibration refused: no better than '{before.form.name}' in cross-validation (mean relative errors: "
            f"{told}); measure more distances, near and far ones, or this model does not know these images"
        )
    scale, shift = best.form.fit(points)
    error = spread(best.left)
    reach = STUDENT[len(best.left) - 2] * error
    centre = np.array([scale, shift])
    interval = [(float(a), float(b)) for a, b in zip(centre - reach, centre + reach, strict=True)]
    return Found(
        best, tuple(trials), scale, shift, (float(error[0]), float(error[1])), (interval[0], interval[1]),
        doubts(best, points, scale, shift),
    )  # fmt: skip


def cross_validated(form: Form, points: Points) -> Trial:
    """What the form is worth on points it was not fitted to."""
    errors, left = [], []
    for out in folds(points.group):
        fitted = form.fit(points[~out])
        held = points[out]
        errors.append(relative_error(form.predict(held, *fitted), held.truth).mean())
        left.append(fitted)
    return Trial(form, np.array(errors), np.array(left))


def folds(group: NDArray[np.int64]) -> Iterator[NDArray[np.bool_]]:
    """(N,) bool of each fold: a group alone, or neighbouring groups where there are more than ``FOLDS``."""
    names = np.unique(group)
    for part in np.array_split(names, min(len(names), FOLDS)):
        yield np.isin(group, part)


def spread(left: Values) -> Values:
    """Standard error by the jackknife of (K, ...) estimates, each made without one fold; NaN where one is missing."""
    count = len(left)
    error: Values = np.sqrt((count - 1) / count * ((left - left.mean(axis=0)) ** 2).sum(axis=0))
    return error


def doubts(trial: Trial, points: Points, scale: float, shift: float) -> tuple[tuple[float, float], ...]:
    """How sure depth is, see :class:`Found`."""
    space = trial.form.space
    found = []
    for depth in np.quantile(points.truth, (0.1, 0.5, 0.9)):
        target = depth if space == "depth" else 1 / depth
        x = (target - shift) / scale
        others = as_metric(trial.left[:, 0] * x + trial.left[:, 1], space)
        with np.errstate(invalid="ignore", divide="ignore"):
            error = float(spread(np.log(others))) if (others > 0).all() else float("inf")
        found.append((float(depth), STUDENT[len(trial.left) - 2] * error))
    return tuple(found)


def grouped(images: Sequence[NDArray[np.float64]], sizes: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """What is left out together, for the (N, 2) pixels known in each image.

    Pixels of one image err together. So an image is left out where there are at least three; else a sixteenth of each
    where many pixels are known, and single pixels where few are.

    Args:
        images: (N, 2) pixels, right and down, of each image.
        sizes: (height, width) of each.

    Returns:
        (sum of N,) int.
    """
    if len(images) >= FEWEST:
        return np.repeat(np.arange(len(images)), [len(uv) for uv in images])
    if sum(map(len, images)) <= 50:
        return np.arange(sum(map(len, images)))
    parts = []
    for number, (uv, (height, width)) in enumerate(zip(images, sizes, strict=True)):
        cell = np.clip((4 * (uv[:, ::-1] + 0.5) / (height, width)).astype(np.int64), 0, 3)
        parts.append(16 * number + 4 * cell[:, 0] + cell[:, 1])
    return np.concatenate(parts)
