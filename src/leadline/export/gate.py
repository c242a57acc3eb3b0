"""The gate that int8 has to pass: depth stays what it was, as the field measures depth.

Against truth: delta1 may drop by a point, AbsRel rise by a twentieth of itself. Without truth the answers of the
network in float stand for it: delta1 against them must be 0.99, AbsRel 0.05.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from leadline.align import ALIGNMENTS, default_for
from leadline.data.dataset import DataSet
from leadline.depth import Kind
from leadline.errors import InputError
from leadline.foundation.base import DepthModel
from leadline.metrics.depth import abs_rel, delta
from leadline.protocols.candidate import calibrated, watched
from leadline.protocols.protocol import Protocol
from leadline.runtime.predictor import Predictor

#: Largest drop of delta1, in [0, 1].
DROP = 0.01
#: Largest rise of AbsRel, of itself; without truth, its largest value.
RISE = 0.05
#: An affine kind knows no ratio of far to near; where float stands for truth, each image is given this one.
RATIO = 10.0


class Figures(NamedTuple):
    """How right answers are."""

    delta1: float
    abs_rel: float


@dataclass(frozen=True)
class Gate:
    """Who may pass.

    Args:
        judge: figures of a model.
        reference: those of the network in float.
        allowed: rise of AbsRel.
        against: what answers are compared with, in words.
    """

    judge: Callable[[DepthModel], Figures]
    reference: Figures
    allowed: float
    against: str

    def excess(self, figures: Figures) -> float:
        """How much of what may be lost is lost: at most 1 passes; infinite where there are no figures."""
        lost = (self.reference.delta1 - figures.delta1) / DROP
        risen = (figures.abs_rel - self.reference.abs_rel) / self.allowed
        return math.inf if math.isnan(lost + risen) else max(lost, risen, 0.0)


def against_float(model: DepthModel, frames: Sequence[Tensor]) -> Gate:
    """The gate on frames without truth.

    Args:
        model: the network in float.
        frames: (1, 3, H, W) in [0, 1], of a size the network takes; consecutive ones for a model that sees video.
    """
    references = [as_truth(values, model.kind) for values in answers(model, frames)]

    def judge(other: DepthModel) -> Figures:
        figures = [compare(values, *right, other.kind) for values, right in zip(answers(other, frames), references)]  # noqa: B905
        return Figures(*np.mean(figures, axis=0).tolist())

    return Gate(judge, Figures(1.0, 0.0), RISE, f"float on {len(frames)} frames kept apart")


def against_truth(model: DepthModel, rules: Protocol, data: DataSet) -> Gate:
    """The gate on frames with truth.

    Args:
        model: the network in float.
        rules: how answers are judged.
        data: on what.

    Raises:
        KindError: the protocol does not judge such a model.
        InputError: no frame has truth.
    """

    def judge(other: DepthModel) -> Figures:
        predictor = Predictor(other)
        if other.remembers:
            candidate = watched(other.name, predictor.stream, data)
        else:
            candidate = calibrated(other.name, predictor.predict)
        means = rules.evaluate(candidate, data, workers=1).means
        return Figures(means["delta1"], means["abs_rel"])

    reference = judge(model)
    if math.isnan(reference.abs_rel):
        raise InputError(f"{data.root}: the model in float has no figures on it, so int8 cannot be compared with them")
    return Gate(judge, reference, RISE * reference.abs_rel, f"truth of {len(data)} frames, protocol {rules.name}")


def answers(model: DepthModel, frames: Sequence[Tensor]) -> list[np.ndarray]:
    """(H, W) of each frame, of one video where the model remembers."""
    memory, maps = None, []
    for frame in frames:
        if model.remembers:
            output, memory = model.infer_next(frame, memory)
        else:
            output = model.infer(frame)
        maps.append(output[0].numpy())
    return maps


def as_truth(values: np.ndarray, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """An answer as depth (H, W) that others can be compared with, and where it is one (H, W) bool.

    What is known up to scale and shift is given a scale and shift: in its quantity the image then goes from 1 to
    :data:`RATIO`.
    """
    valid = np.isfinite(values)
    if kind.up_to == "affine" and valid.any():
        least, most = float(values[valid].min()), float(values[valid].max())
        values = 1 + (RATIO - 1) * (values - least) / max(most - least, 1e-12)
    valid &= values > 0
    depth = values if kind.quantity == "depth" else 1 / np.where(valid, values, 1)
    return np.where(valid, depth, 0).astype(np.float32), valid


def compare(values: np.ndarray, depth: np.ndarray, valid: np.ndarray, kind: Kind) -> Figures:
    """An answer's figures by a depth map, aligned as its kind calls for and clamped to ten times the map's range."""
    rule = ALIGNMENTS[default_for(kind)]
    fit = rule.fit([values], [depth], [valid], kind)
    aligned = rule.apply(values, kind, *fit[0])
    low, high = (float(bound(depth[valid])) if valid.any() else 1.0 for bound in (np.min, np.max))
    prediction = torch.from_numpy(np.clip(aligned, low / 10, high * 10).astype(np.float32))
    truth, mask = torch.from_numpy(depth), torch.from_numpy(valid)
    return Figures(float(delta(prediction, truth, mask)), float(abs_rel(prediction, truth, mask)))
