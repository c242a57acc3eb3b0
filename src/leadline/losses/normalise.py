"""Bring student and teacher to what the teacher knows, before they are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from leadline.depth import Kind

FLOOR = 1e-3
"""Before the logarithm, values below this share of their image's median are raised to it (sky has disparity
0)."""
TINY = 1e-6
"""Smallest mean deviation a map is divided by: a constant map stays constant instead of becoming noise."""


def masked_median(values: Tensor, mask: Tensor) -> Tensor:
    """Median over each image's mask (of an even number of pixels the lower one), 0 where it is empty.

    Args:
        values: (B, 1, H, W).
        mask: (B, 1, H, W) bool.

    Returns:
        (B, 1, 1, 1), differentiable: the gradient goes to the pixel that is the median.
    """
    # nanmedian selects in linear time; sorting every map would cost six times as much.
    median = torch.where(mask, values, torch.nan).flatten(1).nanmedian(dim=1).values
    return torch.where(mask.flatten(1).any(dim=1), median, 0.0).view(-1, 1, 1, 1)


def affine_normalised(values: Tensor, mask: Tensor) -> Tensor:
    """``(x - median(x)) / mean|x - median(x)|`` per image: a map freed from its unknown scale and shift.

    MiDaS (Ranftl et al., TPAMI 2022, arXiv 1907.01341), equations 5 and 6. Where more than half of an image
    has one value the deviation stays defined, it is a mean; a map constant over the mask becomes 0.

    Args:
        values: (B, 1, H, W), any unit.
        mask: (B, 1, H, W) bool.

    Returns:
        (B, 1, H, W) without unit, 0 outside the mask.
    """
    values = torch.where(mask, values, 0.0)
    centred = torch.where(mask, values - masked_median(values, mask), 0.0)
    count = mask.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)
    deviation = centred.abs().sum(dim=(1, 2, 3), keepdim=True) / count
    return centred / deviation.clamp(min=TINY)


def log_depth(values: Tensor, mask: Tensor, quantity: str) -> Tensor:
    """Natural logarithm of depth, from depth or from disparity (then ``-log``).

    Values are first raised to a thousandth of their image's median (our choice: nothing is published), so
    that the floor scales with the map and a sky of disparity 0 stays finite.

    Args:
        values: (B, 1, H, W), > 0 on most of the mask.
        mask: (B, 1, H, W) bool.
        quantity: "depth" or "disparity", as in :class:`leadline.depth.Kind`.

    Returns:
        (B, 1, H, W), 0 outside the mask.
    """
    values = torch.where(mask, values, 1.0)
    floor = FLOOR * masked_median(values, mask).detach()
    log = values.clamp(min=floor.clamp(min=torch.finfo(values.dtype).tiny)).log()
    return torch.where(mask, log if quantity == "depth" else -log, 0.0)


def normalised_pair(student: Tensor, teacher: Tensor, mask: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    """Student and teacher in the quantity in which a student of this kind can be compared with its teacher.

    - known up to an affine map: both become ``(x - median) / mean|x - median|`` in the kind's own quantity
      (:func:`affine_normalised`);
    - known up to scale: log depth, the student aligned by the ratio of medians only (DAE, CVPR 2026),
      ``l = med(t) / med(s)`` per image; its scale is left free;
    - metric: log depth **without** alignment, so that the scale is learned too.

    The kind is the student's, what it shall learn. It is normally the teacher's own: a metric teacher gives a
    metric student. Passing a kind up to scale with a metric teacher trains a student that is judged by scale
    only.

    Args:
        student: (B, 1, H, W) in ``kind.quantity``; for a metric kind in the teacher's unit.
        teacher: (B, 1, H, W) in ``kind.quantity``.
        mask: (B, 1, H, W) bool, pixels that count.
        kind: what student and teacher are, and what is known of them.

    Returns:
        The two normalised maps, (B, 1, H, W), at least float32, without unit, 0 outside the mask.
    """
    dtype = torch.promote_types(student.dtype, torch.float32)
    student, teacher = student.to(dtype), teacher.to(dtype)
    if kind.up_to == "affine":
        return affine_normalised(student, mask), affine_normalised(teacher, mask)
    student, teacher = log_depth(student, mask, kind.quantity), log_depth(teacher, mask, kind.quantity)
    if kind.up_to == "scale":
        # The median of the logarithm is the logarithm of the median, so the ratio becomes a difference.
        student = student + (masked_median(teacher, mask) - masked_median(student, mask))
        student = torch.where(mask, student, 0.0)
    return student, teacher
