"""Gradient distillation: depth must step where the teacher's does, and nowhere else."""

from __future__ import annotations

import torch
from torch import Tensor

from leadline.losses.reduce import image_mean


def _neighbours(values: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Each value's successor along a dimension, and the value."""
    length = values.shape[dim] - 1
    return values.narrow(dim, 1, length), values.narrow(dim, 0, length)


def gradient_matching(
    student: Tensor, teacher: Tensor, mask: Tensor, scales: int = 4, image: Tensor | None = None
) -> Tensor:
    """Gradient of the residual at several scales, after MiDaS (Ranftl et al., arXiv 1907.01341, equation 11).

    With ``e = s - t`` the sum, over every pixel, every 2nd, every 4th, ... in both directions, of
    ``mean|e(x+1) - e(x)| + mean|e(y+1) - e(y)|``, each a mean over the pairs of neighbours that are both
    valid. The use in distillation is our choice: nothing is published. With an image every pair weighs
    ``exp(-mean_c|I(x+1) - I(x)|)``: less where the image has an edge and the teacher's outline may be off by
    pixels.

    Args:
        student, teacher: (B, 1, H, W), normalised.
        mask: (B, 1, H, W) bool.
        scales: number of strides 1, 2, 4, ...
        image: (B, 3, H, W) in [0, 1], for the edge weight.

    Returns:
        A scalar, in the unit of the maps.
    """
    residual = torch.where(mask, student - teacher, 0.0)
    loss = residual.new_zeros(())
    for scale in range(scales):
        every = (..., slice(None, None, 2**scale), slice(None, None, 2**scale))
        for dim in (-1, -2):
            after, before = _neighbours(residual[every], dim)
            valid, valid_before = _neighbours(mask[every], dim)
            step = (after - before).abs()
            if image is not None:
                bright, bright_before = _neighbours(image[every], dim)
                step = step * torch.exp(-(bright - bright_before).abs().mean(dim=1, keepdim=True))
            loss = loss + image_mean(step, valid & valid_before)
    return loss
