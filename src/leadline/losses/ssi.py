"""Losses that do not care about scale and shift, as in MiDaS (Ranftl et al., TPAMI 2022, arXiv 1907.01341).

The constant factors of the paper (1/2, and the gradient term's weight) are left to the method.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leadline.losses.normalise import affine_normalised
from leadline.losses.reduce import image_mean
from leadline.losses.spatial import trimmed


def least_squares_aligned(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """``a * s + b`` with the a and b per image that minimise ``sum (a s + b - t)**2`` over the mask (equation
    4).

    Differentiable through a and b. A student that is constant over the mask fixes no a: it becomes the
    teacher's mean. One that falls where the teacher rises is turned over, a < 0, and what is lowered by gradients
    after that turns it further away: such losses are for networks that know what is near, not for those that start
    from nothing, which they keep from learning.

    Args:
        student, teacher: (B, 1, H, W), normally disparity; any unit.
        mask: (B, 1, H, W) bool.

    Returns:
        (B, 1, H, W) in the teacher's unit, 0 outside the mask.
    """
    scale, middle, wanted = least_squares(student, teacher, mask)
    return torch.where(mask, scale * (torch.where(mask, student, 0.0) - middle) + wanted, 0.0)


def least_squares(student: Tensor, teacher: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The a of :func:`least_squares_aligned` and the means of s and t over the mask, (B, 1, 1, 1) each: aligned is
    ``a (s - mean s) + mean t``, also where t is not known."""
    count = mask.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)

    def mean(values: Tensor) -> Tensor:
        return torch.where(mask, values, 0.0).sum(dim=(1, 2, 3), keepdim=True) / count

    student, teacher = torch.where(mask, student, 0.0), torch.where(mask, teacher, 0.0)
    middle, wanted = mean(student), mean(teacher)
    s, t = student - middle, teacher - wanted
    variance, covariance = mean(s**2), mean(s * t)
    # Below this the spread of the student is rounding error of its mean.
    known = variance > (torch.finfo(student.dtype).eps * student.abs().amax(dim=(1, 2, 3), keepdim=True)) ** 2
    scale = torch.where(known, covariance / torch.where(known, variance, 1.0), 0.0)
    return scale, middle, wanted


def ssi(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error after least-squares alignment (MiDaS, equation 3); see
    :func:`least_squares_aligned`."""
    return image_mean((least_squares_aligned(student, teacher, mask) - teacher) ** 2, mask)


def ssi_robust(student: Tensor, teacher: Tensor, mask: Tensor, trim: float = 0.2) -> Tensor:
    """Trimmed absolute error of the maps normalised by median and mean deviation (MiDaS, equations 5 to 7).

    Unlike the least-squares alignment, outliers of the teacher move it little.

    Args:
        student, teacher: (B, 1, H, W), normally disparity; any unit.
        mask: (B, 1, H, W) bool.
        trim: share of the pixels with the largest residuals to drop.

    Returns:
        A scalar, in units of the mean deviation.
    """
    return trimmed(affine_normalised(student, mask), affine_normalised(teacher, mask), mask, trim)
