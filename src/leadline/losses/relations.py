"""Relations between neighbouring cameras of a rig, as a teacher sees them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Rows and columns of the tokens that stand for an image.
GRID = (6, 10)


def view_relations(student: Tensor, teacher: Tensor, pairs: Tensor, grid: tuple[int, int] = GRID) -> Tensor:
    """Smooth L1 between the similarities of neighbouring views' tokens, the student's and the teacher's.

    View-relational distillation (Hwang et al., "Scale-invariant and View-relational Representation Learning for Full
    Surround Monocular Depth", RA-L 2026, arXiv 2512.08700; its equation is not public, this form is ours): features are
    pooled to a grid of tokens of length 1; for each ordered pair of neighbours (a, b) the cosines of all tokens of a
    with all of b are compared.

    Args:
        student: (N, C, h, w) of all views.
        teacher: (N, D, h', w') of the same views; no gradient. Neither sizes nor channels need to agree.
        pairs: (P, 2) int, rows of neighbours among the N views, see :func:`leadline.rig.ring`.
        grid: rows and columns of tokens.

    Returns:
        A scalar in [0, 1.5] without unit, at least float32; 0 with no pairs, or where the features are equal.
    """
    own, wanted = _tokens(student, grid), _tokens(teacher.detach(), grid)
    if not len(pairs):
        return 0.0 * own.sum()
    first, second = pairs.unbind(1)
    # Matrix products are what autocast would round.
    with torch.autocast(student.device.type, enabled=False):
        return F.smooth_l1_loss(own[first] @ own[second].mT, wanted[first] @ wanted[second].mT)


def _tokens(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """(N, rows columns, C) tokens of length 1."""
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    return F.normalize(F.adaptive_avg_pool2d(features, grid).flatten(2).mT, dim=2)
