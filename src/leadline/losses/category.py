"""Distance category alignment: how far is each pixel, near or far among the distances of its own image.

After VFM-Depth (Yu, Wu and Lam, IEEE TCSVT 35(5), 2025, doi 10.1109/TCSVT.2024.3523702). Only its abstract is open: it
names the alignment of distance categories, all else here is ours. Distances are relative to their image's median, so
neither loss knows the scale of a depth map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from leadline.errors import ConfigError
from leadline.losses.imitation import feature_imitation
from leadline.losses.normalise import log_depth, masked_median
from leadline.losses.reduce import image_mean


@dataclass(frozen=True)
class Categories:
    """Bins of relative distance ``r = d / median(d)``, of equal width in ``log r``.

    A pixel belongs to all of them, softly: ``q_k = softmax_k(-|log r - log c_k| / tau)`` with ``c_k`` the (geometric)
    middle of bin k and ``tau`` the width of a bin. Before the first middle and behind the last one q is constant: all
    that is very far is equally far, and no gradient moves it.

    Args:
        count: number K of bins.
        nearest: lower end of the first bin, > 0.
        farthest: upper end of the last bin.

    Raises:
        ConfigError: there is no bin, or the ends are not positive and in order.

    Example:
        >>> decades = Categories(count=2, nearest=0.1, farthest=10)
        >>> [round(math.exp(centre), 3) for centre in decades.centres]
        [0.316, 3.162]
    """

    count: int = 16
    nearest: float = 0.1
    farthest: float = 10.0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"count: {self.count} is not 1 or more")
        if not 0 < self.nearest < self.farthest < math.inf:
            raise ConfigError(f"nearest, farthest: {self.nearest:g}, {self.farthest:g} are not positive and in order")

    @property
    def width(self) -> float:
        """Width of a bin in ``log r``."""
        return math.log(self.farthest / self.nearest) / self.count

    @property
    def centres(self) -> tuple[float, ...]:
        """``log c_k``, the middle of each bin in ``log r``, nearest first."""
        return tuple(math.log(self.nearest) + (k + 0.5) * self.width for k in range(self.count))

    def assign(self, relative: Tensor) -> Tensor:
        """Soft assignment q of :func:`relative_log_depth` (B, 1, H, W): (B, K, H, W) >= 0, of sum 1 over K."""
        return self.log_assign(relative).exp()

    def log_assign(self, relative: Tensor) -> Tensor:
        """``log q`` of :meth:`assign`, finite however many categories there are."""
        centres = relative.new_tensor(self.centres).view(-1, 1, 1)
        return (-(relative - centres).abs() / self.width).log_softmax(dim=1)


def relative_log_depth(depth: Tensor, mask: Tensor) -> Tensor:
    """``log(d / median(d))`` with the median over each image's mask.

    Args:
        depth: (B, 1, H, W) > 0 on the mask, any unit.
        mask: (B, 1, H, W) bool.

    Returns:
        (B, 1, H, W) without unit, at least float32, 0 outside the mask.
    """
    log = log_depth(depth.to(torch.promote_types(depth.dtype, torch.float32)), mask, "depth")
    return torch.where(mask, log - masked_median(log, mask), 0.0)


def category_divergence(student_depth: Tensor, teacher_depth: Tensor, mask: Tensor, categories: Categories) -> Tensor:
    """``KL(q_T || q_S)`` of the soft assignments of each pixel, the mean over each image's mask, then over images.

    Args:
        student_depth: (B, 1, H, W) > 0 on the mask, any unit.
        teacher_depth: (B, 1, H, W) > 0 on the mask, any unit; no gradient.
        mask: (B, 1, H, W) bool.
        categories: the bins.

    Returns:
        A scalar >= 0 without unit, at least float32. The scale of either map does not matter.
    """
    p = categories.log_assign(relative_log_depth(teacher_depth.detach(), mask))
    q = categories.log_assign(relative_log_depth(student_depth, mask))
    return image_mean((p.exp() * (p - q)).sum(dim=1, keepdim=True), mask)


def prototype_alignment(
    student_features: Tensor,
    teacher_features: Tensor,
    teacher_depth: Tensor,
    mask: Tensor,
    categories: Categories,
    share: float = 0.005,
) -> Tensor:
    """``1 - cos(z_S, z_T)`` of the prototypes ``z_k = sum q_k f / sum q_k``, the mean feature of each category.

    The teacher's assignment weighs the features of both, so that the student cannot lower the loss by moving its depth.
    Assigned is each place of the features' grid by the mean log depth of its valid pixels, and it weighs as much as it
    has of them. The mean goes over the categories of an image that are there at all, then over images.

    Args:
        student_features: (B, C, h, w).
        teacher_features: (B, C, h, w); no gradient.
        teacher_depth: (B, 1, H, W) > 0 on the mask, any unit, H >= h and W >= w; no gradient.
        mask: (B, 1, H, W) bool, pixels whose depth is known.
        categories: the bins.
        share: a category counts that holds more than this share of its image's assignments, in [0, 1).

    Returns:
        A scalar in [0, 2] (up to rounding) without unit, at least float32. The scale of the depth does not matter.
    """
    grid = (student_features.shape[-2], student_features.shape[-1])
    relative = relative_log_depth(teacher_depth.detach(), mask)
    known = F.adaptive_avg_pool2d(mask.to(relative.dtype), grid)
    relative = F.adaptive_avg_pool2d(relative, grid) / torch.where(known > 0, known, 1.0)
    weight = known * categories.assign(relative)
    mass = weight.sum(dim=(2, 3))
    there = mass > share * mass.sum(dim=1, keepdim=True)
    student, teacher = _prototypes(student_features, weight), _prototypes(teacher_features, weight)
    return feature_imitation(student, teacher, there[:, None, :, None])


def _prototypes(features: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean features (B, C, K, 1) of (B, C, h, w), by weights (B, K, h, w)."""
    weight = weight / weight.sum(dim=(2, 3), keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)
    dtype = torch.promote_types(features.dtype, weight.dtype)
    # A matrix product is what autocast would round.
    with torch.autocast(features.device.type, enabled=False):
        return torch.einsum("bchw,bkhw->bck", features.to(dtype), weight.to(dtype))[..., None]
