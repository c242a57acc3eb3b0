"""Is the student any good? Judged on frames kept apart, beside two baselines that cost nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from leadline.data.samples import Samples, judging_loader, to_device
from leadline.depth import Kind
from leadline.methods.base import Method, judge
from leadline.metrics.mean_map import MeanMap


@dataclass(frozen=True)
class Report:
    """Mean errors over the frames kept apart.

    Args:
        student: figures of the student.
        mean_map: of the mean of the training targets, the same answer to every image.
        nearest: of the target of the nearest training frame in order.
        frames: how many frames were judged.
        error: what ``error`` is, in words.
    """

    student: dict[str, float]
    mean_map: dict[str, float]
    nearest: dict[str, float]
    frames: int
    error: str

    def figures(self) -> dict[str, Any]:
        """For a card."""
        return {
            "error": round(self.student["error"], 5),
            "error of the mean map": round(self.mean_map["error"], 5),
            "error of the nearest training frame": round(self.nearest["error"], 5),
            "ratio to the mean map": round(self.student["error"] / self.mean_map["error"], 4),
            "frames kept apart": self.frames,
            "error is": self.error,
        } | {key: round(value, 5) for key, value in self.student.items() if key != "error"}

    def lines(self) -> str:
        """For a person."""
        ratio = self.student["error"] / self.mean_map["error"]
        return (
            f"on {self.frames} frames kept apart ({self.error}):\n"
            f"  student                 {self.student['error']:.4f}   {ratio:.2f} of the mean map\n"
            f"  nearest training frame  {self.nearest['error']:.4f}\n"
            f"  mean map                {self.mean_map['error']:.4f}"
        )


ERRORS = {
    "affine": "mean |n(student) - n(target)|, n(x) = (x - median) / mean|x - median|",
    "scale": "AbsRel after alignment by the ratio of medians",
    "nothing": "AbsRel, metric",
}


@torch.no_grad()
def report(method: Method, samples: Samples, train: Sequence[int], kept: Sequence[int], most: int = 240) -> Report:
    """Judge the student of ``method``.

    Args:
        method: trained.
        samples: without augmentation.
        train: indices trained on.
        kept: indices kept apart; at most ``most`` of them, evenly spread, are judged.
        most: see there; also the number of training targets the mean map is made of.
    """
    kind = method.target_kind
    kept = list(kept[:: max(1, -(-len(kept) // most))])
    mean = mean_map(method, samples, train[:: max(1, -(-len(train) // most))], kind)
    order = np.asarray(train)
    totals: dict[str, dict[str, float]] = {"student": {}, "mean_map": {}, "nearest": {}}
    counts = dict.fromkeys(totals, 0)
    method.eval()
    for start in range(0, len(kept), 8):
        indices = kept[start : start + 8]
        batch = _batch(method, samples, indices)
        target = method.targets(batch)
        neighbours = [int(order[np.abs(order - index).argmin()]) for index in indices]
        answers = {
            "student": method.answer(batch["image"]),
            "mean_map": mean.to(target).expand_as(target),
            "nearest": method.targets(_batch(method, samples, neighbours)),
        }
        for name, answer in answers.items():
            mask = batch["mask"] & torch.isfinite(target) & torch.isfinite(answer)
            if count := int(mask.flatten(1).any(1).sum()):
                for key, value in judge(answer, target, mask, kind).items():
                    totals[name][key] = totals[name].get(key, 0.0) + float(value) * count
                counts[name] += count
    figures = {name: {key: value / counts[name] for key, value in sums.items()} for name, sums in totals.items()}
    return Report(**figures, frames=counts["student"], error=ERRORS[kind.up_to])


def mean_map(method: Method, samples: Samples, train: Sequence[int], kind: Kind) -> Tensor:
    """(1, 1, H, W) mean of the training targets, each normalised by what its kind knows."""
    mean = MeanMap(kind)
    for batch in judging_loader(samples, train, 8):
        target = method.targets(to_device(batch, method.device)).cpu()
        known = torch.isfinite(target) & batch["mask"]
        for values, valid in zip(target[:, 0], known[:, 0], strict=True):
            mean.add(values, valid)
    return mean.compute()[None, None]


def _batch(method: Method, samples: Samples, indices: Sequence[int]) -> dict[str, Any]:
    return to_device(next(iter(judging_loader(samples, indices, len(indices)))), method.device)
