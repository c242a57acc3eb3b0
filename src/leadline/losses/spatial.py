"""Spatial distillation: how far is each pixel, and which of two pixels is nearer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from leadline.losses.reduce import image_mean


def trimmed(student: Tensor, teacher: Tensor, mask: Tensor, trim: float = 0.1) -> Tensor:
    """Mean of ``|s - t|`` without the share ``trim`` of each image's pixels whose residual is largest.

    A teacher is wrong somewhere in nearly every image; the trimming (DAE, CVPR 2026) keeps those places from
    pulling. Which pixels are dropped is decided on the current residuals and carries no gradient.

    Args:
        student, teacher: (B, 1, H, W), normalised (:func:`leadline.losses.normalise.normalised_pair`).
        mask: (B, 1, H, W) bool.
        trim: share of the valid pixels to drop, in [0, 1); ``floor(trim * n)`` of n are dropped (none of a
            tie with the largest residual that is kept).

    Returns:
        A scalar, in the unit of the maps.
    """
    residual = torch.where(mask, student - teacher, 0.0).abs()
    ranked = torch.where(mask, residual, -torch.inf).detach().flatten(1)
    most = int(trim * ranked.shape[1])
    dropped = (trim * mask.flatten(1).sum(dim=1, keepdim=True)).long().clamp(max=most)
    # The largest residual that is kept stands behind the dropped ones.
    largest = ranked.topk(most + 1, dim=1).values.gather(1, dropped)
    return image_mean(residual, mask & (ranked <= largest).view_as(mask))


def ranking(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor,
    pairs: int = 4096,
    threshold: float = 0.03,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Order of depth in randomly drawn pairs of pixels.

    With ``label = sign(t1 - t2)`` where ``|t1 - t2| > threshold`` and 0 elsewhere, and ``d = s1 - s2``::

        log(1 + exp(-label * d))   where label != 0
        d ** 2                     where label == 0

    Chen et al., "Single-Image Depth Perception in the Wild" (NeurIPS 2016, arXiv 1604.03901); the threshold
    as in DAE (CVPR 2026). The number of pairs is our choice: nothing is published.

    Args:
        student, teacher: (B, 1, H, W), normalised.
        mask: (B, 1, H, W) bool; both pixels of a pair are drawn from it, uniformly and with replacement.
        pairs: pairs drawn in each image.
        threshold: the smallest difference the teacher is believed to order.
        generator: source of the draw, torch's global one by default.

    Returns:
        A scalar without unit. It is not 0 for equal maps: ordered pairs cost ``log(1 + exp(-|d|))``.
    """
    valid = mask.flatten(1)
    count = valid.sum(dim=1, keepdim=True)
    device = valid.device if generator is None else generator.device
    draw = torch.rand(len(valid), 2 * pairs, generator=generator, device=device).to(valid.device)
    # The k-th valid pixel (from 0) is where the running count of valid pixels reaches k + 1.
    index = torch.searchsorted(valid.cumsum(dim=1), (draw * count).long().minimum(count - 1) + 1)
    drawn = (count > 0).expand(-1, pairs)
    t1, t2 = torch.where(mask, teacher, 0.0).flatten(1).gather(1, index).chunk(2, dim=1)
    s1, s2 = torch.where(mask, student, 0.0).flatten(1).gather(1, index).chunk(2, dim=1)
    label = torch.where((t1 - t2).abs() > threshold, (t1 - t2).sign(), 0.0)
    difference = s1 - s2
    return image_mean(torch.where(label != 0, F.softplus(-label * difference), difference**2), drawn)
