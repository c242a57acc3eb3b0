"""Gradients compared as vectors: how steep, and which way."""

from __future__ import annotations

import torch
from torch import Tensor

from leadline.losses.reduce import image_mean

#: Shorter gradients, in parts of the maps' range a pixel, have no direction (ours).
FLAT = 1e-3


def gradient_field(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """``mean | |g_s|^2 - |g_t|^2 | + mean |angle(g_s, g_t)|`` with g the differences to the next pixel on the right and
    below: L1 on squared magnitude and on angle, as BriGeS trains (arXiv 2505.23400, public code), whose vertical
    differences alone counted.

    The angle, in [0, pi], is that between the two vectors; pixels where one of them is shorter than :data:`FLAT` have
    none.

    Args:
        student, teacher: (B, 1, H, W), the student aligned to the teacher, whose range is about 1.
        mask: (B, 1, H, W) bool; a pixel counts where it and both of those neighbours are valid.

    Returns:
        A scalar.
    """
    student, teacher = torch.where(mask, student, 0.0), torch.where(mask, teacher, 0.0)
    known = mask[..., :-1, :-1] & mask[..., :-1, 1:] & mask[..., 1:, :-1]
    (sx, sy), (tx, ty) = _differences(student), _differences(teacher)
    steep, wanted = sx**2 + sy**2, tx**2 + ty**2
    directed = known & (steep > FLAT**2) & (wanted > FLAT**2)
    # Where there is no direction the arc tangent would have no gradient; 0 is given instead.
    across = torch.where(directed, sx * ty - sy * tx, 0.0)
    along = torch.where(directed, sx * tx + sy * ty, 1.0)
    return image_mean((steep - wanted).abs(), known) + image_mean(torch.atan2(across, along).abs(), directed)


def _differences(values: Tensor) -> tuple[Tensor, Tensor]:
    """To the next pixel on the right and below, (B, 1, H - 1, W - 1) each."""
    here = values[..., :-1, :-1]
    return values[..., :-1, 1:] - here, values[..., 1:, :-1] - here
