"""Imitation: the student shall give the teacher's depth, and features that point where the teacher's do.

The complementary feature and depth imitation of VFM-Depth (Yu, Wu and Lam, IEEE TCSVT 35(5), 2025, doi
10.1109/TCSVT.2024.3523702). Only its abstract is open: what it is that is compared, and how it is weighed, is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leadline.depth import Kind
from leadline.losses.normalise import normalised_pair
from leadline.losses.reduce import image_mean

TINY = 1e-6
"""Feature vectors shorter than this have no direction to speak of."""


def depth_imitation(student: Tensor, teacher: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
    """``sum(w |log s - log t|) / sum(w)`` over the mask of each image, then the mean over images that have any weight.

    Nothing is aligned: both depths are in one unit, as those of networks that share a pose network are. Otherwise the
    caller aligns them (:func:`leadline.losses.normalise.normalised_pair`). Only the ratio of the weights within an
    image matters, so that an image which the teacher explains badly throughout counts no less.

    Args:
        student: (B, 1, H, W) > 0 on the mask.
        teacher: (B, 1, H, W) > 0 on the mask, in the same unit; no gradient.
        mask: (B, 1, H, W) bool.
        weight: (B, 1, H, W) >= 0 and finite on the mask, normally :func:`trust`; by default 1. No gradient.

    Returns:
        A scalar without unit, at least float32.
    """
    student, teacher = normalised_pair(student, teacher.detach(), mask, Kind("depth", "nothing"))
    residual = (student - teacher).abs()
    if weight is None:
        return image_mean(residual, mask)
    weight = torch.where(mask, weight.detach(), 0.0).to(residual.dtype)
    mean = weight.sum(dim=(1, 2, 3), keepdim=True) / mask.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)
    weighs = mean > 0
    return image_mean(weight / torch.where(weighs, mean, 1.0) * residual, mask & weighs)


def trust(error: Tensor) -> Tensor:
    """``exp(-E)``: how far a teacher is to be believed whose depth explains the images with the error E.

    Args:
        error: (B, 1, H, W), the teacher's reprojection error, the minimum over the sources, in [0, about 1]; inf or NaN
            where no source shows the pixel.

    Returns:
        (B, 1, H, W) in [0, 1], 0 where the error is not finite; at least float32, without gradient.
    """
    error = error.detach().to(torch.promote_types(error.dtype, torch.float32))
    return torch.where(error.isfinite(), torch.exp(-error), 0.0)


def feature_imitation(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
    """``1 - cos(s, t)`` over the channels, the mean over the places of each image, then over images.

    Places where the teacher's vector is 0 name no direction and are left out; a student's vector of 0 costs 1 and is
    pulled as one of length 1 would be, not without bound.

    Args:
        student: (B, C, h, w).
        teacher: (B, C, h, w); no gradient.
        mask: (B, 1, h, w) bool, places that count; by default all.

    Returns:
        A scalar in [0, 2] (up to rounding) without unit, at least float32.
    """
    mask = torch.ones_like(student[:, :1], dtype=torch.bool) if mask is None else mask
    student, _ = _direction(torch.where(mask, student, 0.0))
    teacher, known = _direction(teacher.detach())
    return image_mean(1 - (student * teacher).sum(dim=1, keepdim=True), mask & known)


def _direction(features: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors of length 1 (B, C, h, w), at least float32, and (B, 1, h, w) where they have a direction at all."""
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    length = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    known = length > TINY
    return features / torch.where(known, length, 1.0), known
