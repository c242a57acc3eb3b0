"""Bring a prediction into the units of a reference before it is judged: the alignments benchmarks use.

Every alignment is ``a * x + b`` in depth or in disparity. They differ in what they minimise, and in whether a
and b belong to one image or to a whole video::

    alignment = ALIGNMENTS["median"]
    fit = alignment.fit(predictions, truths, masks, kind)
    depths = [alignment.apply(prediction, kind, *fit[i]) for i, prediction in enumerate(predictions)]

The order of every benchmark is: mask, fit, apply, and only then clamp to the benchmark's range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from leadline.errors import ConfigError, InputError, KindError, suggest

MIN_DISPARITY = 1e-3
"""Aligned disparity is raised to this before it is inverted, in the reciprocal of the reference's unit."""

Frames = Sequence[NDArray[Any]] | NDArray[Any]
"""Images of one video or data set: (N, H, W), or anything with a length and an index that gives (H, W)
arrays. Fits read them one at a time and several times over, so a long video may load its frames when they are
asked for."""


class KindLike(Protocol):
    """What :class:`leadline.depth.Kind` states about a map."""

    @property
    def quantity(self) -> str:
        """Either "depth" or "disparity"."""
        ...

    @property
    def up_to(self) -> str:
        """One of "nothing", "scale" and "affine"."""
        ...


@dataclass(frozen=True)
class Fit:
    """Fitted parameters, float64: one entry per image, or a single one that holds for the whole video.

    NaN where no pixel had a valid reference. The scale of ``median`` is the ratio benchmarks report.
    """

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]

    def __getitem__(self, image: int) -> tuple[float, float]:
        """Scale and shift for the image of this index."""
        entry = image if len(self.scale) > 1 else 0
        return float(self.scale[entry]), float(self.shift[entry])


def scale_statistics(fits: Iterable[Fit]) -> dict[str, float]:
    """Median of all fitted scales and their spread, the standard deviation of scale / median (as monodepth2
    prints).

    Images without a valid reference (NaN) are left out; both are NaN where nothing is left.
    """
    scales = np.concatenate([fit.scale for fit in fits] or [np.empty(0)])
    scales = scales[np.isfinite(scales)]
    if not scales.size:
        return {"scale_median": float("nan"), "scale_spread": float("nan")}
    median = float(np.median(scales))
    spread = float(np.std(scales / median)) if median else float("nan")
    return {"scale_median": median, "scale_spread": spread}


class Pairs(Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]):
    """Predicted and true values (float64, 1-D) at each image's valid pixels, taken when asked for."""

    def __init__(self, images: Sequence[int], load: Callable[[int], tuple[NDArray[Any], NDArray[Any]]]) -> None:
        self.images, self.load = images, load

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Any) -> Any:
        return self.load(self.images[index])


Solver = Callable[[Pairs], tuple[float, float]]


@dataclass(frozen=True)
class Alignment:
    """One way to align.

    Attributes:
        name: its key in :data:`ALIGNMENTS`.
        per: "image" or "video", what one scale and shift hold for.
        space: "depth" or "disparity", where the line is fitted; predictions of the other quantity are
            inverted.
        admits: what a prediction may be known up to. One known up to an affine map cannot be inverted, so it
            must also be in ``space``.
        solve: the fit.
        positive: fitted only where the prediction is above 0.
    """

    name: str
    per: str
    space: str
    admits: frozenset[str]
    solve: Solver
    positive: bool = False

    def check(self, kind: KindLike) -> None:
        """Whether predictions of this kind may be aligned so.

        Raises:
            KindError: they may not.
        """
        if kind.up_to not in self.admits:
            need = "metric" if self.admits == {"nothing"} else "metric or known up to scale"
            raise KindError(
                f"alignment '{self.name}' needs predictions that are {need}, not {kind}; use '{default_for(kind)}'"
            )
        if kind.up_to == "affine" and kind.quantity != self.space:
            raise KindError(
                f"alignment '{self.name}' works in {self.space}, but {kind} cannot be inverted before its "
                f"scale and shift are known; use '{default_for(kind)}'"
            )

    def fit(self, prediction: Frames, truth: Frames, mask: Frames, kind: KindLike) -> Fit:
        """Scale and shift, per image or for the video these images are.

        Pixels count where the mask is true, the reference finite and > 0, and the prediction finite (a
        prediction that has to be inverted also > 0).

        Args:
            prediction: (H, W) images in ``kind.quantity``.
            truth: (H, W) images of depth.
            mask: (H, W) bool images.
            kind: kind of the predictions.

        Raises:
            KindError: the alignment does not fit the kind.
            InputError: the three do not belong together.
        """
        self.check(kind)
        if not len(prediction) == len(truth) == len(mask):
            raise InputError(
                f"alignment: {len(prediction)} predictions, {len(truth)} references and {len(mask)} masks; "
                "give one of each per image"
            )

        def load(image: int) -> tuple[NDArray[Any], NDArray[Any]]:
            p, g, m = (np.asarray(frames[image]) for frames in (prediction, truth, mask))
            if not p.shape == g.shape == m.shape:
                raise InputError(
                    f"alignment: image {image} has a prediction of {p.shape}, a reference of {g.shape} and "
                    f"a mask of {m.shape}; bring all to the reference's size first"
                )
            valid = m.astype(bool) & np.isfinite(g) & (g > 0) & np.isfinite(p)
            if kind.quantity != self.space or self.positive:
                valid &= p > 0
            p, g = p[valid].astype(np.float64), g[valid].astype(np.float64)
            return (p if kind.quantity == self.space else 1 / p), (g if self.space == "depth" else 1 / g)

        images = range(len(prediction))
        groups = [images] if self.per == "video" else [range(image, image + 1) for image in images]
        parameters = np.array([self.solve(Pairs(group, load)) for group in groups]).reshape(-1, 2)
        return Fit(scale=parameters[:, 0], shift=parameters[:, 1])

    def apply(self, prediction: NDArray[Any], kind: KindLike, scale: float, shift: float) -> NDArray[Any]:
        """The prediction as depth in the reference's unit.

        Not clamped to any range, except that aligned disparity is raised to :data:`MIN_DISPARITY` first. A
        disparity <= 0 that has to be inverted becomes infinitely far. NaN parameters give NaN.

        Args:
            prediction: (H, W) or any shape, in ``kind.quantity``.
            kind: kind of the prediction.
            scale, shift: an entry of :meth:`fit`'s result.

        Raises:
            KindError: the alignment does not fit the kind.
        """
        self.check(kind)
        prediction = np.asarray(prediction)
        if kind.quantity != self.space:
            prediction = _inverse(prediction)
        aligned: NDArray[Any] = prediction * scale + shift
        if self.space == "disparity":
            aligned = _inverse(np.maximum(aligned, MIN_DISPARITY))
        return aligned


def _inverse(values: NDArray[Any]) -> NDArray[Any]:
    """1 / values; infinite where values <= 0, NaN where NaN."""
    floating = values.astype(np.result_type(values, np.float32), copy=False)
    out = np.where(np.isnan(floating), np.nan, np.inf).astype(floating.dtype)
    return np.divide(1, floating, out=out, where=floating > 0)


def _streamed_median(chunks: Callable[[], Iterable[NDArray[Any]]]) -> float:
    """Exact median of float32 values too many to hold, by counting their upper, then their lower 16 bits.

    The bits of a float, with the sign turned round, are in the order of the values.
    """

    def keys() -> Iterable[NDArray[np.uint32]]:
        for chunk in chunks():
            bits = np.ascontiguousarray(chunk, dtype=np.float32).view(np.uint32)
            yield np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))

    def count(bits: Iterable[NDArray[Any]]) -> NDArray[np.int64]:
        total = np.zeros(1 << 16, dtype=np.int64)
        for chunk in bits:
            total += np.bincount(chunk, minlength=1 << 16)
        return total.cumsum()

    upper = count(key >> 16 for key in keys())
    if not upper[-1]:
        return float("nan")
    middle = []
    for rank in ((upper[-1] - 1) // 2, upper[-1] // 2):
        bucket = int(np.searchsorted(upper, rank, side="right"))
        before = upper[bucket - 1] if bucket else 0
        lower = count(key[key >> 16 == bucket] & 0xFFFF for key in keys())
        key = np.uint32(bucket << 16 | int(np.searchsorted(lower, rank - before, side="right")))
        bits = key & np.uint32(0x7FFFFFFF) if key >> 31 else ~key
        middle.append(float(np.array(bits, dtype=np.uint32).view(np.float32)))
    return sum(middle) / 2


def _median(pairs: Pairs, side: int) -> float:
    """Median of the predicted (0) or true (1) values of all images, NaN where there are none."""
    if len(pairs) > 1:
        return _streamed_median(lambda: (pair[side] for pair in pairs))
    values = pairs[0][side] if len(pairs) else np.empty(0)
    return float(np.median(values)) if values.size else float("nan")


def _mean(chunks: Iterable[NDArray[np.float64]]) -> float:
    total, count = 0.0, 0
    for chunk in chunks:
        total, count = total + float(chunk.sum()), count + chunk.size
    return total / count if count else float("nan")


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else float("nan")


def _identity(pairs: Pairs) -> tuple[float, float]:
    return 1.0, 0.0


def _median_ratio(pairs: Pairs) -> tuple[float, float]:
    """``median(g) / median(p)``."""
    scale = _ratio(_median(pairs, 1), _median(pairs, 0))
    return scale, 0.0 * scale


def _median_deviation(pairs: Pairs) -> tuple[float, float]:
    """``(p - med_p) * MAD_g / MAD_p + med_g`` with MAD the mean absolute deviation from the median."""
    median_p, median_g = _median(pairs, 0), _median(pairs, 1)
    deviation_p = _mean(np.abs(p - median_p) for p, _ in pairs)
    deviation_g = _mean(np.abs(g - median_g) for _, g in pairs)
    # A constant prediction fixes no scale; it becomes the reference's median.
    scale = deviation_g / deviation_p if deviation_p else 0.0
    return scale, median_g - scale * median_p


def _least_squares(pairs: Pairs) -> tuple[float, float]:
    """The a and b that minimise ``sum (a p + b - g)**2``; a constant p becomes the mean of g."""
    mean_p, mean_g = _mean(p for p, _ in pairs), _mean(g for _, g in pairs)
    variance = _mean((p - mean_p) ** 2 for p, _ in pairs)
    covariance = _mean((p - mean_p) * (g - mean_g) for p, g in pairs)
    # Below this the spread is rounding error of the mean.
    scale = 0.0 if variance <= (1e-12 * mean_p) ** 2 else covariance / variance
    return scale, mean_g - scale * mean_p


def _mean_least_squares(pairs: Pairs) -> tuple[float, float]:
    """``sum(p g) / sum(p p)`` of the frames' mean depths, without the frames that have no valid reference."""
    means = np.array([(p.mean(), g.mean()) for p, g in pairs if p.size]).reshape(-1, 2)
    scale = _ratio(float((means[:, 0] * means[:, 1]).sum()), float((means[:, 0] ** 2).sum()))
    return scale, 0.0 * scale


def _least_median(pairs: Pairs) -> tuple[float, float]:
    """The a that minimises ``median (a p - g)**2`` (Rousseeuw 1984, through the origin), up to half outliers.

    The minimum lies near a ratio that many pixels share, so quantiles of the ratios are tried, then the
    interval around the best is narrowed. Deterministic.
    """
    p, g = (np.concatenate([pair[side] for pair in pairs] or [np.empty(0)]) for side in (0, 1))
    ratios = g[p > 0] / p[p > 0]
    if not ratios.size:
        return float("nan"), float("nan")
    step = -(-p.size // 10_000)

    def cost(scales: NDArray[np.float64], every: int) -> NDArray[np.float64]:
        return np.array([np.median(np.abs(scale * p[::every] - g[::every])) for scale in scales])

    # Every quantile is an actual ratio, so data that fit exactly are recovered exactly.
    candidates = np.unique(np.quantile(ratios, np.linspace(0, 1, 257), method="nearest"))
    best = int(np.argmin(cost(candidates, step)))
    scale = candidates[best]
    low, high = candidates[max(best - 1, 0)], candidates[min(best + 1, len(candidates) - 1)]
    for _ in range(3):
        grid = np.append(np.linspace(low, high, 17), scale)
        scale = grid[int(np.argmin(cost(grid, 1)))]
        width = (high - low) / 16
        low, high = scale - width, scale + width
    return float(scale), 0.0


_METRIC = frozenset({"nothing"})
_SCALE = _METRIC | {"scale"}
_AFFINE = _SCALE | {"affine"}

ALIGNMENTS: dict[str, Alignment] = {
    alignment.name: alignment
    for alignment in (
        # metric as predicted: surround rigs, metric models
        Alignment("none", "image", "depth", _METRIC, _identity),
        # monodepth2, AF-SfMLearner
        Alignment("median", "image", "depth", _SCALE, _median_ratio),
        # EndoDAV's option "scale"
        Alignment("median-video", "video", "depth", _SCALE, _median_ratio),
        # EndoDAV's default
        Alignment("mad-video", "video", "depth", _AFFINE, _median_deviation),
        # MiDaS, Depth Anything
        Alignment("lsq-disparity", "image", "disparity", _AFFINE, _least_squares),
        # Marigold, BriGeS: a network that ends in a ReLU says 0 for all that is far
        Alignment("lsq-positive-disparity", "image", "disparity", _AFFINE, _least_squares, positive=True),
        Alignment("lsq-disparity-video", "video", "disparity", _AFFINE, _least_squares),
        # indoor relative models
        Alignment("lsq-depth", "image", "depth", _AFFINE, _least_squares),
        Alignment("lsq-depth-video", "video", "depth", _AFFINE, _least_squares),
        # PPSNet; its public code searches from scale 1 to the nearest minimum, this finds the lowest
        Alignment("least-median", "image", "depth", _SCALE, _least_median),
        # SimCol3D challenge
        Alignment("mean-lsq", "video", "depth", _SCALE, _mean_least_squares),
    )
}
"""All alignments by name."""


def alignment(name: str) -> Alignment:
    """The alignment of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in ALIGNMENTS:
        known = ", ".join(ALIGNMENTS)
        raise ConfigError(f"unknown alignment '{name}'{suggest(name, ALIGNMENTS)}; choose from {known}")
    return ALIGNMENTS[name]


def default_for(kind: KindLike) -> str:
    """The alignment that adds exactly what a prediction of this kind does not know, per image."""
    if kind.up_to == "affine":
        return f"lsq-{kind.quantity}"
    return "none" if kind.up_to == "nothing" else "median"
