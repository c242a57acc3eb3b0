"""How unlike two images are: what self-supervision minimises."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def ssim_error(one: Tensor, two: Tensor) -> Tensor:
    """Structural dissimilarity, (1 - SSIM) / 2 in [0, 1], over 3x3 windows (Wang et al., TIP 2004; the windows and
    reflected border of monodepth2, arXiv 1806.01260).

    Args:
        one, two: (B, C, H, W) in [0, 1].

    Returns:
        (B, C, H, W).
    """

    def mean(values: Tensor) -> Tensor:
        return functional.avg_pool2d(functional.pad(values, (1, 1, 1, 1), mode="reflect"), 3, 1)

    c1, c2 = 0.01**2, 0.03**2
    m1, m2 = mean(one), mean(two)
    v1, v2, both = mean(one * one) - m1 * m1, mean(two * two) - m2 * m2, mean(one * two) - m1 * m2
    ssim = (2 * m1 * m2 + c1) * (2 * both + c2) / ((m1 * m1 + m2 * m2 + c1) * (v1 + v2 + c2))
    return torch.clamp((1 - ssim) / 2, 0, 1)


def photometric_error(one: Tensor, two: Tensor, alpha: float = 0.85) -> Tensor:
    """Photometric error ``alpha * (1 - SSIM) / 2 + (1 - alpha) * |one - two|`` (monodepth2, arXiv 1806.01260, eq. 2).

    Args:
        one, two: (B, C, H, W) in [0, 1].
        alpha: weight of structure against colour.

    Returns:
        (B, 1, H, W), the mean over the colours.
    """
    error = alpha * ssim_error(one, two) + (1 - alpha) * (one - two).abs()
    return error.mean(dim=1, keepdim=True)
