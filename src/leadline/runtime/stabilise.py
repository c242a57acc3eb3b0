"""Depth that does not flicker, of a model that sees single images: each map is brought into the units of those before,
and averaged with them along the motion of the image.

Online: a map is given before the next frame is seen, and nothing grows with the length of a video.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from leadline.depth import DepthMap, Kind
from leadline.geometry.warp import follow
from leadline.runtime.motion import SIDE, Motion, approach, grey, motion

#: Horizontal field of view in degrees where the camera is not known; depth hardly depends on it, see ``approach``.
FOV = 60.0
#: A camera's motion is told from disparity that may have a shift of its own, and this part of it lies farthest.
FARTHEST = 0.02


class Line(NamedTuple):
    """aligned = exp(gain) * values + shift."""

    gain: float
    shift: float

    def __call__(self, values: Tensor) -> Tensor:
        """Along the line."""
        return values * math.exp(self.gain) + self.shift

    def plus(self, gain: float, shift: float) -> Line:
        """A line whose parameters differ by so much."""
        return Line(self.gain + gain, self.shift + shift)

    def carry(self, aligned: Tensor, other: Line) -> Tensor:
        """What was aligned by this line, as another would have it."""
        return (aligned - self.shift) * math.exp(other.gain - self.gain) + other.shift


SAME = Line(0.0, 0.0)


@dataclass(frozen=True)
class Steadiness:
    """How steady.

    Args:
        memory: frames a map is the mean of, at most, where the images agree.
        patience: frames after which scale and shift follow the model where it insists: what it says on the average is
            kept, what comes and goes in a shorter time is not.
        keyframe: frames for which one map is what the others are aligned to, at most.
        coverage: part of the image that must still show what the keyframe did.
        disagreement: depth counts as another surface where it differs so many times as much as depth usually does from
            frame to frame ...
        least: ... which is never taken to be less than this, as a part of depth, or of the spread of disparity.
        cut: part of two images that must agree along the motion, lest the scene has been cut.
    """

    memory: float = 12.0
    patience: float = 30.0
    keyframe: int = 30
    coverage: float = 0.5
    disagreement: float = 3.0
    least: float = 0.03
    cut: float = 0.3


@dataclass
class _State:
    """What is remembered of a scene, all (h, w).

    Args:
        seen: the last image, see :func:`leadline.runtime.motion.grey`.
        fused: the last map, in the units of the video.
        count: of how many frames it is the mean.
        key: the keyframe's map, as it would look now.
        covered: in [0, 1], where it can be seen.
        age: frames since the keyframe.
        line: what the last map was aligned by.
        pace: how scale and shift of the model move with each frame.
        unit: what disparity of the model is divided by.
    """

    seen: Tensor
    fused: Tensor
    count: Tensor
    key: Tensor
    covered: Tensor
    unit: float
    age: int = 0
    line: Line = SAME
    pace: Line = field(default=SAME)


class Stabiliser:
    """Makes the depth of a video steady, map by map, in the order of the frames.

    A map is the model's, aligned to a keyframe's map which is carried along by the motion of the image (a scale where
    the kind leaves one open or is metric; scale and shift, where both are; robust), then averaged with the maps before
    where the images agree along that motion and depth does as well: what was hidden, moves otherwise or has been cut is
    the model's alone. What is carried along comes nearer, or recedes, as the camera's own motion has it: a scale that
    flickers is put right, one that truly changes is not.

    Only the correction is smooth and small (at most 2 * ``SIDE`` pixels on the short side); edges are those of the
    model's newest map. Aligned maps keep their kind, unit, validity and camera.

    Args:
        steadiness: how steady.

    Example:
        ``steady = [stabiliser(image, predictor.predict(image)) for image in images]``
    """

    def __init__(self, steadiness: Steadiness = Steadiness()) -> None:
        self.steadiness = steadiness
        self._state: _State | None = None
        self._of: tuple[tuple[int, int], Kind] | None = None

    def reset(self) -> None:
        """Another video begins."""
        self._state = None

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, depth: DepthMap) -> DepthMap:
        """The steady map of the next frame.

        Args:
            image: (H, W, 3) RGB, uint8 or float in [0, 1].
            depth: what the model says of it, of its size. A map of another size or kind than the one before begins
                another video.
        """
        if self._of != (depth.shape, depth.kind):
            self._state, self._of = None, (depth.shape, depth.kind)
        if not depth.valid.any():
            return depth
        seen = grey(image)
        unit = self._state.unit if self._state is not None else _spread(depth)
        whole = _lines_up(depth, unit)
        size = _work_size(*depth.shape)
        new = F.interpolate(whole[None, None], size, mode="area")[0, 0]
        moved = motion(self._state.seen, seen) if self._state is not None else None
        if self._state is None or moved is None or float(moved.trust.mean()) < self.steadiness.cut:
            unit = _spread(depth)
            new = new * (self._state.unit / unit if self._state is not None and depth.kind.up_to == "affine" else 1)
            one = torch.ones_like(new)
            self._state = _State(seen, new, one, new, one, unit)
            return depth
        self._follow(self._state, moved, new, depth)
        self._state.seen = seen
        state = self._state
        change = state.fused - state.line(new)
        aligned = state.line(whole) + F.interpolate(change[None, None], depth.shape, mode="bilinear")[0, 0]
        return replace(depth, values=_values(aligned, depth, unit))

    def _follow(self, state: _State, moved: Motion, new: Tensor, depth: DepthMap) -> None:
        """Take in the next frame's map."""
        how, size = self.steadiness, (new.shape[0], new.shape[1])
        flow = _upscaled(moved.flow, size) * torch.tensor(
            [size[1] / moved.flow.shape[2], size[0] / moved.flow.shape[1]]
        ).reshape(2, 1, 1)
        trust = _upscaled(moved.trust[None], size)[0]
        layers = torch.stack((state.fused, state.key, state.count, state.covered))
        fused, key, count, covered = follow(layers[None], flow[None])[0]
        fused, key = self._nearer(state, moved, new, depth, (fused, key))
        count, covered = count * trust, covered * trust

        line = _fit(new, key, covered, depth.kind)
        # A model's scale wanders back to what it says on the average, and a steady drift is learned.
        rate = 1 / how.patience
        pace = state.pace.plus(*(-(rate**2) / 4 * value for value in line))
        kept = line.plus(*(p - rate * value for p, value in zip(pace, line, strict=True)))
        fused, key, aligned = line.carry(fused, kept), line.carry(key, kept), kept(new)

        off = fused - aligned
        usual = 1.5 * off[::4, ::4].abs().median() + how.least
        count = (count * torch.exp(-((off / (how.disagreement * usual)) ** 2))).clamp(max=how.memory)
        state.fused, state.count = aligned + off * (count / (count + 1)), count + 1
        state.key, state.covered, state.line, state.pace, state.age = key, covered, kept, pace, state.age + 1
        if state.age >= how.keyframe or float(covered.mean()) < how.coverage:
            state.key, state.covered, state.age = aligned, torch.ones_like(aligned), 0

    def _nearer(
        self, state: _State, moved: Motion, new: Tensor, depth: DepthMap, carried: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """What is carried along, as near as the camera's motion has brought it."""
        small = (moved.flow.shape[1], moved.flow.shape[2])
        if str(depth.kind) == "affine-invariant-depth":  # not nearness but for a scale and a shift
            return carried
        lined = state.line(new)
        affine = depth.kind.up_to == "affine"
        far = float(torch.quantile(lined[::4, ::4].flatten(), FARTHEST)) if affine else 0.0
        near = (lined - far).clamp(min=0) if affine else lined.exp()
        width = depth.shape[1]
        focal = float(depth.camera.fx) if depth.camera is not None else width / 2 / math.tan(math.radians(FOV) / 2)
        change = approach(moved, F.interpolate(near[None, None], small, mode="area")[0, 0], focal * small[1] / width)
        change = _upscaled(change[None], (new.shape[0], new.shape[1]))[0]
        if affine:
            return tuple(far + (values - far) * change.exp() for values in carried)
        return tuple(values + change for values in carried)


def stabilised(
    answers: Iterable[tuple[np.ndarray, DepthMap]], steadiness: Steadiness = Steadiness()
) -> Generator[tuple[np.ndarray, DepthMap], None, None]:
    """Each image of a video with its steady map, in order; what it takes from is closed with it."""
    stabiliser = Stabiliser(steadiness)
    try:
        for image, depth in answers:
            yield image, stabiliser(image, depth)
    finally:
        close = getattr(answers, "close", None)
        if close is not None:
            close()


def _spread(depth: DepthMap) -> float:
    """Mean deviation from the median of a map known up to scale and shift; 1 for other kinds, whose logarithm needs no
    unit."""
    if depth.kind.up_to != "affine":
        return 1.0
    known = depth.values[depth.valid]
    return float(np.abs(known - np.median(known)).mean()) or 1.0


def _lines_up(depth: DepthMap, unit: float) -> Tensor:
    """A map in what is aligned by a line, larger where nearer: the logarithm of disparity; disparity itself where that
    has a shift. Invalid pixels are as most others."""
    values = torch.from_numpy(depth.values)
    valid = torch.from_numpy(depth.valid)
    if depth.kind.up_to == "affine":
        lined = values / (unit if depth.kind.quantity == "disparity" else -unit)
    else:
        lined = values.log() if depth.kind.quantity == "disparity" else -values.log()
    return lined if depth.valid.all() else torch.where(valid, lined, lined[valid].median())


def _values(lined: Tensor, depth: DepthMap, unit: float) -> np.ndarray:
    """Back in the quantity and unit of a map; its invalid pixels stay as they were."""
    if depth.kind.up_to == "affine":
        values = lined * (unit if depth.kind.quantity == "disparity" else -unit)
    else:
        values = lined.exp() if depth.kind.quantity == "disparity" else (-lined).exp()
    return np.where(depth.valid, values.numpy(), depth.values)


def _fit(values: Tensor, reference: Tensor, weight: Tensor, kind: Kind) -> Line:
    """The line that brings a map to another, without what does not fit it. Where both have noise alike, least squares
    would make the scale too small, and every frame smaller still: it is the ratio of the deviations instead."""
    values, reference, weight = (layer[::4, ::4].flatten() for layer in (values, reference, weight))
    line, given = SAME, weight + 1e-6
    weight = given
    for _ in range(5):
        total = weight.sum()
        mean, other = (weight * values).sum() / total, (weight * reference).sum() / total
        if kind.up_to == "affine":
            own, wanted = ((weight * (x - m) ** 2).sum() for x, m in ((values, mean), (reference, other)))
            gain = 0.5 * float(torch.log((wanted / total + 1e-9) / (own / total + 1e-9)))
            line = Line(gain, float(other - mean * math.exp(gain)))
        else:
            line = Line(0.0, float(other - mean))
        off = (line(values) - reference).abs()
        weight = given / (1 + (off / (1.5 * off.median() + 1e-3)) ** 2)
    return line


def _work_size(height: int, width: int) -> tuple[int, int]:
    scale = min(1.0, 2 * SIDE / min(height, width))
    return round(height * scale), round(width * scale)


def _upscaled(layers: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(layers[None], size, mode="bilinear", align_corners=False)[0]
