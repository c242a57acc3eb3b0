"""Per-image depth errors: pure functions of aligned, clamped depth and its truth.

All take maps of shape (H, W) or (B, H, W) in one unit of length and a bool mask of the same shape, and return
one value per image: shape () or (B,). An image whose mask is empty gives NaN, so that it cannot pass unseen;
so does one with a NaN prediction inside its mask. What the maps hold outside the mask does not matter.
Predictions must be > 0, which clamping to the benchmark's range ensures.

Definitions: Eigen et al. (NeurIPS 2014, arXiv 1406.2283) unless another source is named.
"""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the mask of each image, NaN where it is empty; (H, W) or (B, H, W) to () or (B,)."""
    return torch.where(mask, values, 0.0).sum(dim=(-2, -1)) / mask.sum(dim=(-2, -1))


def abs_rel(pred: Tensor, gt: Tensor, mask: Tensor) -> Tensor:
    """``mean(|p - g| / g)``, without unit.

    Example:
        >>> gt = torch.tensor([[2.0, 4.0]])
        >>> abs_rel(gt * 1.5, gt, gt > 0)
        tensor(0.5000)
    """
    return masked_mean((pred - gt).abs() / gt, mask)


def sq_rel(pred: Tensor, gt: Tensor, mask: Tensor) -> Tensor:
    """``mean((p - g)**2 / g)``, in the unit of the maps.

    Example:
        >>> gt = torch.tensor([[2.0, 4.0]])
        >>> sq_rel(gt + 2, gt, gt > 0)
        tensor(1.5000)
    """
    return masked_mean((pred - gt) ** 2 / gt, mask)


def rmse(pred: Tensor, gt: Tensor, mask: Tensor) -> Tensor:
    """``sqrt(mean((p - g)**2))``, in the unit of the maps.

    Example:
        >>> gt = torch.tensor([[2.0, 4.0]])
        >>> rmse(gt + 2, gt, gt > 0)
        tensor(2.)
    """
    return masked_mean((pred - gt) ** 2, mask).sqrt()


def rmse_log(pred: Tensor, gt: Tensor, mask: Tensor) -> Tensor:
    """``sqrt(mean((ln p - ln g)**2))``, natural logarithm.

    Example:
        >>> gt = torch.tensor([[2.0, 4.0]])
        >>> rmse_log(gt * torch.e, gt, gt > 0)
        tensor(1.)
    """
    return masked_mean((pred.log() - gt.log()) ** 2, mask).sqrt()


def log10(pred: Tensor, gt: Tensor, mask: Tensor) -> Tensor:
    """``mean(|log10 p - log10 g|)``; Make3D (Saxena et al., TPAMI 2009).

    Example:
        >>> gt = torch.tensor([[2.0, 4.0]])
        >>> log10(gt * 10, gt, gt > 0)
        tensor(1.)
    """
    return masked_mean((pred.log10() - gt.log10()).abs(), mask)


def silog(pred: Tensor, gt: Tensor, mask: Tensor) -> Tensor:
    """``100 * sqrt(mean(d**2) - mean(d)**2)`` with ``d = ln p - ln g``; the KITTI benchmark's scale, in per
    cent.

    Example:
        >>> gt = torch.tensor([[2.0, 4.0]])
        >>> silog(gt * 3, gt, gt > 0)
        tensor(0.)
    """
    d = pred.log() - gt.log()
    # The mean square around the mean is the same number and cannot cancel below zero.
    return 100 * masked_mean((d - masked_mean(d, mask)[..., None, None]) ** 2, mask).sqrt()


def delta(pred: Tensor, gt: Tensor, mask: Tensor, power: int = 1) -> Tensor:
    """Share of pixels with ``max(p / g, g / p) < 1.25**power``, in [0, 1]; larger is better.

    Example:
        >>> gt = torch.tensor([[2.0, 4.0]])
        >>> delta(torch.tensor([[2.2, 6.0]]), gt, gt > 0)
        tensor(0.5000)
    """
    ratio = torch.maximum(pred / gt, gt / pred)
    # A NaN compares as false; it must not count as a mere miss.
    return masked_mean(torch.where(ratio.isnan(), torch.nan, (ratio < 1.25**power).to(ratio.dtype)), mask)


def within(pred: Tensor, gt: Tensor, mask: Tensor, share: float = 0.1) -> Tensor:
    """Share of pixels with ``|p - g| / g < share``, in [0, 1]: what PPSNet calls a1, which is not
    :func:`delta`.

    Example:
        >>> gt = torch.tensor([[2.0, 4.0]])
        >>> within(torch.tensor([[2.1, 4.8]]), gt, gt > 0)
        tensor(0.5000)
    """
    error = (pred - gt).abs() / gt
    return masked_mean(torch.where(error.isnan(), torch.nan, (error < share).to(error.dtype)), mask)


def l1(pred: Tensor, gt: Tensor, mask: Tensor) -> Tensor:
    """``mean(|p - g|)``, in the unit of the maps; SimCol3D.

    Example:
        >>> gt = torch.tensor([[2.0, 4.0]])
        >>> l1(gt + 1, gt, gt > 0)
        tensor(1.)
    """
    return masked_mean((pred - gt).abs(), mask)


def median_rel(pred: Tensor, gt: Tensor, mask: Tensor) -> Tensor:
    """``median(|p - g| / g)``, without unit; of an even number of pixels the mean of the middle two; SimCol3D.

    Example:
        >>> gt = torch.tensor([[2.0, 4.0]])
        >>> median_rel(torch.tensor([[2.2, 6.0]]), gt, gt > 0)
        tensor(0.3000)
    """
    errors = torch.where(mask, (pred - gt).abs() / gt, torch.nan).flatten(-2)
    broken = (mask & (pred.isnan() | gt.isnan())).flatten(-2).any(dim=-1)
    return torch.where(broken, torch.nan, errors.nanquantile(0.5, dim=-1))


def rmse_log10(pred: Tensor, gt: Tensor, mask: Tensor) -> Tensor:
    """``sqrt(mean((log10 p - log10 g)**2))``; what Make3D's tables call log10 since Godard et al. (CVPR 2017).

    Example:
        >>> gt = torch.tensor([[2.0, 4.0]])
        >>> rmse_log10(gt * 10, gt, gt > 0)
        tensor(1.)
    """
    return masked_mean((pred.log10() - gt.log10()) ** 2, mask).sqrt()


def depth_errors(pred: Tensor, gt: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """The errors every table of the field has, by name, in its customary order.

    Example:
        >>> gt = torch.tensor([[2.0, 4.0]])
        >>> list(depth_errors(gt, gt, gt > 0))
        ['abs_rel', 'sq_rel', 'rmse', 'rmse_log', 'log10', 'silog', 'delta1', 'delta2', 'delta3']
    """
    return {
        "abs_rel": abs_rel(pred, gt, mask),
        "sq_rel": sq_rel(pred, gt, mask),
        "rmse": rmse(pred, gt, mask),
        "rmse_log": rmse_log(pred, gt, mask),
        "log10": log10(pred, gt, mask),
        "silog": silog(pred, gt, mask),
        "delta1": delta(pred, gt, mask, 1),
        "delta2": delta(pred, gt, mask, 2),
        "delta3": delta(pred, gt, mask, 3),
    }
