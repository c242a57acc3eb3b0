"""Losses on distributions over depth bins."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from leadline.losses.reduce import image_mean


def probability_divergence(student: Tensor, teacher: Tensor, temperature: float = 2.0) -> Tensor:
    """``T**2 KL(softmax(t / T) || softmax(s / T))``, the mean over all pixels.

    Hinton et al., "Distilling the Knowledge in a Neural Network" (arXiv 1503.02531), sec. 2, on bins of depth as in
    the cross-interaction distillation of Hwang et al. (RA-L 2026, arXiv 2512.08700). It sees no unit of length: both
    must mean the same bins.

    Args:
        student: (B, N, h, w) logits.
        teacher: (B, N, h, w) logits; no gradient.
        temperature: T > 0; the gradient's size does not depend on it.

    Returns:
        A scalar >= 0 without unit, at least float32, 0 where the logits are equal up to a constant a pixel.
    """
    dtype = torch.promote_types(student.dtype, torch.float32)
    wanted = F.log_softmax(teacher.detach().to(dtype) / temperature, dim=1)
    given = F.log_softmax(student.to(dtype) / temperature, dim=1)
    return temperature**2 * (wanted.exp() * (wanted - given)).sum(dim=1).mean()


def depth_probability(student: Tensor, depth: Tensor, mask: Tensor, centres: Tensor) -> Tensor:
    """``KL(q || softmax(s))`` with ``q_k ~ exp(-(log d - log c_k)**2 / (2 w**2))``: the student's distribution against
    one made from a teacher's depth.

    The depth probability map of TIE-KD (Choi et al., "Teacher-Independent Explainable Knowledge Distillation for
    Monocular Depth Estimation", arXiv 2402.14340), a distribution around the teacher's depth on the student's bins. Our
    choice, so that lengths have no unit: the distance is that of logarithms, and w is the mean distance of
    neighbouring centres.

    Args:
        student: (B, N, h, w) logits.
        depth: (B, 1, h, w) of the teacher, > 0 on the mask, in the unit of the centres.
        mask: (B, 1, h, w) bool.
        centres: (B, N) of the bins, > 0 and ascending; no gradient.

    Returns:
        A scalar >= 0 without unit, at least float32.
    """
    dtype = torch.promote_types(student.dtype, torch.float32)
    log_centres = centres.detach().to(dtype).log()
    spacing = (log_centres[:, -1] - log_centres[:, 0]) / (log_centres.shape[1] - 1)
    distance = torch.where(mask, depth, 1.0).to(dtype).log() - log_centres[:, :, None, None]
    wanted = F.log_softmax(-((distance / spacing[:, None, None, None]) ** 2) / 2, dim=1)
    given = F.log_softmax(student.to(dtype), dim=1)
    return image_mean((wanted.exp() * (wanted - given)).sum(dim=1, keepdim=True), mask)


def bin_chamfer(centres: Tensor, depth: Tensor, mask: Tensor, samples: int = 1024) -> Tensor:
    """Mean distance, of logarithms, from each true depth to the nearest centre and from each centre to the nearest true
    depth: bins go where depths are (Bhat et al., "AdaBins", CVPR 2021, equation 7, there squared and in metres).

    Args:
        centres: (B, N) > 0.
        depth: (B, 1, H, W), > 0 on the mask, in the unit of the centres.
        mask: (B, 1, H, W) bool; images without a pixel do not count.
        samples: most depths of an image that are looked at, evenly spread over its valid pixels.

    Returns:
        A scalar >= 0 without unit.
    """
    terms = []
    for bins, values, known in zip(centres, depth[:, 0], mask[:, 0], strict=True):
        there = values[known]
        if len(there):
            there = there[:: max(1, len(there) // samples)].log()
            apart = (bins.log()[:, None] - there).abs()
            terms.append(apart.min(dim=0).values.mean() + apart.min(dim=1).values.mean())
    return torch.stack(terms).mean() if terms else 0.0 * centres.sum()
