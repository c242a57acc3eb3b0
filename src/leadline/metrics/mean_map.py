"""The best answer of a model that does not look at the image."""

from __future__ import annotations

import torch
from torch import Tensor

from leadline.depth import Kind
from leadline.metrics.robust import normalised


class MeanMap:
    """Mean of many maps of one size, each first normalised by what its kind knows: the prior that every model has to
    beat before it has learned anything.

    Args:
        kind: of the maps: depth known up to scale is divided by its median, affine maps become (x - median) / mean
            deviation; of depths the geometric mean is taken.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._total = self._count = torch.zeros(())

    def add(self, values: Tensor, valid: Tensor) -> None:
        """Take in a map (H, W) with its valid pixels (H, W) bool; one without any changes nothing."""
        if not valid.any():
            return
        if self.kind.up_to == "affine":
            values = normalised(values, valid)
        else:
            values = torch.log(values) - (torch.log(values[valid].median()) if self.kind.up_to == "scale" else 0)
        valid = valid & torch.isfinite(values)
        self._total = self._total + torch.where(valid, values, 0)
        self._count = self._count + valid

    def compute(self) -> Tensor:
        """(H, W) the mean map; where no map was valid, the mean of the others; a NaN if nothing was valid at all."""
        mean = self._total / self._count
        mean = torch.where(self._count > 0, mean, mean[self._count > 0].mean())
        return mean if self.kind.up_to == "affine" else mean.exp()
