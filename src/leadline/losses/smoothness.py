"""Smooth where the image is: depth and flow may step where colours do."""

from __future__ import annotations

import torch
from torch import Tensor

from leadline.losses.gradient import gradient_matching

TINY = 1e-7
"""Smallest mean disparity a map is divided by."""


def edge_aware_smoothness(values: Tensor, image: Tensor, mask: Tensor | None = None) -> Tensor:
    """First-order smoothness, ``mean|dx v| exp(-|dx I|) + mean|dy v| exp(-|dy I|)`` (monodepth, Godard et al., CVPR
    2017, arXiv 1609.03677), where ``|dx I|`` is the mean over the colours.

    Means over each image, then over images. A constant added to the values changes nothing; a factor is a factor of the
    loss.

    Args:
        values: (B, C, H, W): a flow in pixels, a brightness change, a disparity.
        image: (B, 3, H, W), whose edges excuse steps.
        mask: (B, 1, H, W) bool; both pixels of a step must be in it. By default all are.

    Returns:
        A scalar, in the unit of the values.
    """
    every = torch.ones_like(values, dtype=torch.bool) if mask is None else mask.expand_as(values)
    return gradient_matching(values, values.new_zeros(()), every, scales=1, image=image)


def disparity_smoothness(disparity: Tensor, image: Tensor) -> Tensor:
    """Edge-aware smoothness of ``d / mean(d)``, the mean over each image (monodepth2, arXiv 1806.01260).

    Divided by its mean a disparity cannot become smooth by shrinking: a factor changes nothing, and is not learned
    from. The weight ``1 / 2**scale`` of coarser outputs is the caller's.

    Args:
        disparity: (B, 1, H, W) > 0, any unit.
        image: (B, 3, H, W) in [0, 1], resized to the disparity.

    Returns:
        A scalar without unit.
    """
    mean = disparity.mean(dim=(1, 2, 3), keepdim=True)
    return edge_aware_smoothness(disparity / mean.clamp(min=TINY), image)
