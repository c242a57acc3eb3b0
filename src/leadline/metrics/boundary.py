"""Sharpness of depth boundaries."""

from __future__ import annotations

import torch
from torch import Tensor

THRESHOLDS = torch.linspace(1.05, 1.25, 10).tolist()
"""Ratios of neighbouring depths from which on a step is an occluding contour."""


def _steps(depth: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Ratios of depth between neighbours, for the four directions, and where both pixels are valid."""
    found = []
    for dim in (-1, -2):
        length = depth.shape[dim] - 1
        after, before = depth.narrow(dim, 1, length), depth.narrow(dim, 0, length)
        valid = mask.narrow(dim, 1, length) & mask.narrow(dim, 0, length)
        found += [(after / before, valid), (before / after, valid)]
    return found


def boundary_f1(pred: Tensor, gt: Tensor, mask: Tensor) -> Tensor:
    """How well a depth map's occluding contours agree with those of the truth, in [0, 1]; larger is better.

    A contour of threshold t lies between neighbours whose depths have a ratio above t. Precision and recall
    of exactly placed contours are averaged over the four directions, their F1 over ten thresholds from 1.05
    to 1.25, weighted by the threshold. The scale does not matter; the size of the maps does, since neighbours
    are pixels. Depth Pro (Bochkovskii et al., ICLR 2025, arXiv 2410.02073), section 3.3 and its public
    evaluation, plus a mask.

    Args:
        pred, gt: depth > 0, (H, W) or (B, H, W).
        mask: bool of the same shape; a step counts where both its pixels are valid.

    Returns:
        () or (B,); NaN for an image whose truth has no contour even at the lowest threshold.

    Example:
        >>> gt = torch.ones(4, 6)
        >>> gt[:, 3:] = 2
        >>> boundary_f1(gt * 5, gt, gt > 0)
        tensor(0.2500)

        The contour is vertical, so three of the four directions have none and contribute 0 to both means.
    """
    pred_steps, gt_steps = _steps(pred, mask), _steps(gt, mask)
    total = torch.zeros(gt.shape[:-2], dtype=gt.dtype, device=gt.device)
    contours = total.clone()
    for threshold in THRESHOLDS:
        precision, recall = torch.zeros_like(total), torch.zeros_like(total)
        for (p, valid), (g, _) in zip(pred_steps, gt_steps, strict=True):
            drawn, true = (p > threshold) & valid, (g > threshold) & valid
            hits = (drawn & true).sum(dim=(-2, -1))
            precision += hits / drawn.sum(dim=(-2, -1)).clamp(min=1) / 4
            recall += hits / true.sum(dim=(-2, -1)).clamp(min=1) / 4
            if threshold == THRESHOLDS[0]:
                contours += true.sum(dim=(-2, -1))
        f1 = 2 * precision * recall / (precision + recall).clamp(min=torch.finfo(total.dtype).tiny)
        total += f1 * threshold / sum(THRESHOLDS)
    return torch.where(contours > 0, total, torch.nan)
