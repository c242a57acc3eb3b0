"""Intrinsic decomposition, learned from several views: an image is a diffuse image times a residual, I = L R.

Choi et al., "Intrinsic Image Decomposition for Robust Self-supervised Monocular Depth Estimation on Reflective
Surfaces", AAAI 2025, arXiv 2503.22209. L is albedo times shading and looks the same from everywhere; R holds what
depends on the view. The paper names the terms; that images are compared by the photometric error is ours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from leadline.losses.photometric import photometric_error, photometric_loss
from leadline.losses.reduce import image_mean

#: Rows and columns that diffuse images are compared at.
GRID = (24, 32)
#: How far apart two of them shall be.
MARGIN = 5.0


def reconstruction(diffuse: Tensor, log_residual: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """``mean_mask P(L exp(log R), I)`` with P the photometric error.

    The paper's reconstruction of every image by its own L and R.

    Args:
        diffuse: (B, 3, H, W) L in (0, 1).
        log_residual: (B, 3, H, W) log R.
        image: (B, 3, H, W) in [0, 1].
        mask: (B, 1, H, W) bool, pixels that count.

    Returns:
        A scalar: the mean over each image's mask, then over images.
    """
    return image_mean(photometric_error(diffuse * log_residual.exp(), image), mask)


def cross_reconstruction(diffuse: Tensor, log_residual: Tensor, image: Tensor, shown: Tensor) -> Tensor:
    """``mean_shown min_s P(L_s exp(log R), I)``: with a source's L, brought to the image by its depth, and the image's
    own R the image must come out, for which L must not depend on the view.

    That the source decides that explains a pixel best is ours, as in self-supervision: what one source does not show
    must not be taken for a reflection.

    Args:
        diffuse: (B, S, 3, H, W) L of the sources in (0, 1), brought to the image.
        log_residual: (B, 3, H, W) log R of the image.
        image: (B, 3, H, W) in [0, 1].
        shown: (B, S, H, W) bool, pixels that each source shows.

    Returns:
        A scalar: the mean over each image's pixels that a source shows, then over images.
    """
    residual = log_residual.exp()
    errors = [photometric_error(each * residual, image) for each in diffuse.unbind(1)]
    return photometric_loss(torch.cat(errors, dim=1), shown)[0]


def sparsity(log_residual: Tensor, mask: Tensor) -> Tensor:
    """``mean_mask |log R|``, ours: an image is diffuse where nothing speaks against it. Without it the terms above are
    least for an L without texture, which agrees with itself from everywhere, and an R that holds the whole image.

    Args:
        log_residual: (B, 3, H, W).
        mask: (B, 1, H, W) bool, pixels that count.

    Returns:
        A scalar: the mean over the colours and each image's mask, then over images.
    """
    return image_mean(log_residual.abs().mean(dim=1, keepdim=True), mask)


def contrast(diffuse: Tensor, margin: float = MARGIN, grid: tuple[int, int] = GRID) -> Tensor:
    """``mean_{a<b} max(0, margin - |log L_a - log L_b|_2)`` over pairs of images, log L averaged over the cells of a
    grid: diffuse images of different places must differ, which forbids L = 1 everywhere.

    Args:
        diffuse: (B, 3, H, W) L > 0, of different places.
        margin: the distance from which pairs are left alone.
        grid: rows and columns.

    Returns:
        A scalar; 0 with a graph for a single image.
    """
    pooled = F.adaptive_avg_pool2d(diffuse.log(), grid).flatten(1)
    if len(pooled) < 2:
        return 0.0 * pooled.sum()
    return (margin - F.pdist(pooled)).clamp(min=0).mean()
