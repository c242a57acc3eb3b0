"""Error between two maps of which neither scale nor shift is known."""

from __future__ import annotations

import torch
from torch import Tensor

from leadline.metrics.depth import masked_mean


def normalised(values: Tensor, mask: Tensor) -> Tensor:
    """``(x - median(x)) / mean|x - median(x)|``; NaN for a map that is constant over its mask."""
    median = torch.where(mask, values, torch.nan).flatten(-2).nanmedian(dim=-1).values
    centred = values - median[..., None, None]
    return centred / masked_mean(centred.abs(), mask)[..., None, None]


def robust_error(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """``mean|n(pred) - n(target)|`` with ``n(x) = (x - median(x)) / mean|x - median(x)|``, per image.

    Judges a student against an affine-invariant teacher, both in the teacher's quantity: 0 for an exact copy
    up to scale (> 0) and shift, about 1 to 2 for maps that have nothing in common. MiDaS (arXiv 1907.01341),
    equation 5.

    Args:
        pred, target: (H, W) or (B, H, W), any unit.
        mask: bool of the same shape.

    Returns:
        () or (B,); NaN where the mask is empty or one of the maps is constant over it.

    Example:
        >>> target = torch.arange(12.0).view(3, 4)
        >>> robust_error(2 * target + 1, target, target >= 0)
        tensor(0.)
    """
    return masked_mean((normalised(pred, mask) - normalised(target, mask)).abs(), mask)
