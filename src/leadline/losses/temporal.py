"""Depth of a video changes from frame to frame as the teacher's does."""

from __future__ import annotations

import torch
from torch import Tensor

from leadline.losses.reduce import image_mean

STILL = 0.05
"""Where a teacher's value changes by more than this between two frames, something moved in or out of the pixel."""


def temporal_gradient(student: Tensor, teacher: Tensor, mask: Tensor, still: float = STILL) -> Tensor:
    """``mean ||s_{t+1} - s_t| - |g_{t+1} - g_t||`` over the pixels with ``|g_{t+1} - g_t| < still``, each clip's mean.

    Temporal gradient matching of Video Depth Anything (Chen et al., CVPR 2025, arXiv 2501.12375, section 3.2): what a
    pixel sees changes little from frame to frame, and so shall its depth; no flow is needed. The paper compares
    affine-normalised disparity, for which its threshold is; log depth has changes of the same size.

    Args:
        student: (B, T, H, W), in the quantity compared.
        teacher: (B, T, H, W), likewise; no gradient.
        mask: (B, T, H, W) bool.
        still: the threshold.

    Returns:
        A scalar, at least float32; 0 with a gradient where no pixel is known in two frames.
    """
    student = student.to(torch.promote_types(student.dtype, torch.float32))
    found, wanted = (torch.where(mask, x, 0.0).diff(dim=1) for x in (student, teacher.detach().to(student.dtype)))
    known = mask[:, 1:] & mask[:, :-1] & (wanted.abs() < still)
    return image_mean((found.abs() - wanted.abs()).abs(), known)
