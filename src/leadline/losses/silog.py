"""Scale-invariant logarithmic error."""

from __future__ import annotations

import torch
from torch import Tensor

from leadline.losses.reduce import each_image, over_images

#: Below the root, so that its slope is finite where the error is 0.
EPSILON = 1e-8


def silog(student: Tensor, teacher: Tensor, mask: Tensor, variance_focus: float = 0.5, root: bool = False) -> Tensor:
    """``mean(d**2) - variance_focus * mean(d)**2`` with ``d = log s - log t`` per image.

    Eigen et al., "Depth Map Prediction from a Single Image" (NeurIPS 2014, arXiv 1406.2283), equation 4,
    whose training loss has ``variance_focus`` 0.5. At 0 it is the squared log error, at 1 the scale of the
    student does not matter. Later papers, as Lee et al., "From Big to Small" (arXiv 1907.10326, equation 6), take 0.85
    and the root of it.

    Args:
        student, teacher: (B, 1, H, W), depth or disparity in one unit, > 0 on the mask.
        mask: (B, 1, H, W) bool.
        variance_focus: lambda of the paper, in [0, 1].
        root: take it of each image, before the mean over images.

    Returns:
        A scalar without unit.
    """
    d = torch.where(mask, student, 1.0).log() - torch.where(mask, teacher, 1.0).log()
    count = mask.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)
    mean = d.sum(dim=(1, 2, 3), keepdim=True) / count
    # mean(d^2) - v mean(d)^2 = var(d) + (1 - v) mean(d)^2, which cannot cancel below zero.
    values, counted = each_image((d - mean) ** 2 + (1 - variance_focus) * mean**2, mask)
    return over_images((values + EPSILON).sqrt() if root else values, counted)
