"""Semantic distribution alignment: the student's features shall be spread over their channels as semantic ones are.

A small network prints the texture of the image into the depth. Features that know what is seen, not how it is
coloured, hold against that (LiteNet, Zhu et al., IEEE TMI 2026, whose losses are not public; the dense form follows
DAE of the same group, CVPR 2026). Temperatures are our choice: nothing is published.

Every divergence is ``KL(p || q) = sum_c p_c (log p_c - log q_c)`` with ``p = softmax(semantic / T)`` and
``q = softmax(student / T)`` over the channels, times ``T**2``, so that gradients keep their size whatever the
temperature (Hinton et al., 2015). The semantic side is a fixed target: it gets no gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor


def dense(semantic: Tensor, student: Tensor, temperature: float = 1.0) -> Tensor:
    """``KL(semantic || student)`` over the channels, mean over positions and images. Trains the student only.

    Args:
        semantic: (B, C, h, w), features of the semantic encoder brought to the student's width; no gradient.
        student: (B, C, h, w), the student's features.
        temperature: T, above 1 lets the smaller channels have more say.

    Returns:
        A scalar >= 0 without unit, at least float32.
    """
    return _divergence(semantic, student, temperature)


def mapping(projected: Tensor, student: Tensor) -> Tensor:
    """Mean absolute error of projected semantic features. Trains the projector only.

    Args:
        projected: (B, C, h, w), the projector's answer.
        student: (B, C, h, w), the student's features, what it should be; no gradient.

    Returns:
        A scalar, in the unit of the features, at least float32.
    """
    projected, student = _precise(projected), _precise(student.detach())
    return (projected - student).abs().mean()


def pooled(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """``KL(teacher || student)`` of the semantic vectors of two depth maps, mean over images. Trains the student.

    Args:
        student: (B, C), the semantic encoder's vector of the student's depth, differentiable.
        teacher: (B, C), that of the teacher's depth; no gradient.
        temperature: T.

    Returns:
        A scalar >= 0 without unit, at least float32.
    """
    return _divergence(teacher, student, temperature)


def as_image(values: Tensor, mask: Tensor) -> Tensor:
    """A depth map as a grey image, for a network that was trained on images.

    ``(x - min) / (max - min)`` per image, so scale and shift do not matter. Differentiable, the extremes included.

    Args:
        values: (B, 1, H, W), depth or disparity, any unit.
        mask: (B, 1, H, W) bool, pixels that count.

    Returns:
        (B, 3, H, W) in [0, 1], at least float32; 0 outside the mask, and where a map is constant over it.
    """
    values = _precise(values)
    low = torch.where(mask, values, torch.inf).amin(dim=(1, 2, 3), keepdim=True)
    high = torch.where(mask, values, -torch.inf).amax(dim=(1, 2, 3), keepdim=True)
    # Below this the spread is rounding error; an empty mask has none at all.
    known = high - low > torch.finfo(values.dtype).eps * high.abs().maximum(low.abs())
    low, span = torch.where(known, low, 0.0), torch.where(known, high - low, 1.0)
    counts = mask & known
    return torch.where(counts, (torch.where(counts, values, 0.0) - low) / span, 0.0).expand(-1, 3, -1, -1)


def _divergence(target: Tensor, student: Tensor, temperature: float) -> Tensor:
    p = (_precise(target.detach()) / temperature).log_softmax(dim=1)
    q = (_precise(student) / temperature).log_softmax(dim=1)
    return temperature**2 * (p.exp() * (p - q)).sum(dim=1).mean()


def _precise(values: Tensor) -> Tensor:
    """At least float32."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
