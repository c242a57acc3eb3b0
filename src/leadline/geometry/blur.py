"""Gaussian blur of images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """An image (C, H, W) convolved with a Gaussian, cut off at three sigma; its border goes on outside.

    Args:
        image: float32, in any unit.
        sigma: standard deviation in pixels, above 0.
    """
    radius = max(1, round(3 * sigma))
    weights = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / sigma) ** 2)
    kernel = (weights / weights.sum()).to(image).expand(len(image), 1, 1, -1)
    x = F.pad(image[None], (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(x, kernel, groups=len(image)), kernel.transpose(2, 3), groups=len(image))[0]
