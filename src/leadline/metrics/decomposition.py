"""How right an intrinsic decomposition is, I = L R: its diffuse image, its residual, and the mask of reflections.

Pure functions and one torchmetrics class. What the product leaves open is not judged: a factor for each colour of an
image, by which L may be larger and R smaller.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class MaskScores(Metric):
    """Precision, recall and F1 of a mask of reflections over the pixels of all images, pooled: images without a
    reflection count too, by what is flagged in them.

    Example:
        >>> metric = MaskScores()
        >>> found, true = torch.tensor([[True, True, False, False]]), torch.tensor([[True, False, True, True]])
        >>> metric.update(found, true)
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'precision': 0.5, 'recall': 0.333, 'f1': 0.4, 'flagged': 0.5, 'reflective': 0.75}
    """

    full_state_update = False
    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(4, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, found: Tensor, true: Tensor, mask: Tensor | None = None) -> None:
        """Add images.

        Args:
            found: bool of any shape, the pixels flagged.
            true: bool of the same shape, the pixels that show a reflection.
            mask: bool of the same shape, the pixels that are judged; by default all.
        """
        mask = torch.ones_like(true) if mask is None else mask
        counted = torch.stack([(each & mask).sum() for each in (found & true, found, true, mask)])
        self.counts += counted.to(self.counts.device)

    def compute(self) -> dict[str, Tensor]:
        """``precision``, NaN where nothing was flagged; ``recall``, NaN where there is no reflection; ``f1``, NaN where
        there is neither; and the parts of all pixels that are ``flagged`` and ``reflective``."""
        hits, found, true, every = self.counts.double()
        scores = {
            "precision": hits / found,
            "recall": hits / true,
            "f1": 2 * hits / (found + true),
            "flagged": found / every,
            "reflective": true / every,
        }
        return {name: score.float() for name, score in scores.items()}


def diffuse_error(pred: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    """Scale-invariant RMSE of diffuse images, of each as a whole (Grosse et al., "Ground truth dataset and baseline
    evaluations for intrinsic image algorithms", ICCV 2009)::

        min over s:  sqrt(mean((s_c pred_c - true_c)^2))    with a factor s_c for each colour c

    Args:
        pred: (B, 3, H, W) >= 0.
        true: (B, 3, H, W) >= 0.
        mask: (B, 1, H, W) bool, pixels that count.

    Returns:
        (B,) in the unit of ``true``; NaN where the mask is empty.
    """
    pred, true = (torch.where(mask, values, 0.0).flatten(2) for values in (pred, true))
    factor = (pred * true).sum(2, keepdim=True) / (pred * pred).sum(2, keepdim=True).clamp(min=1e-12)
    return (((factor * pred - true) ** 2).sum((1, 2)) / (3 * mask.flatten(1).sum(1))).sqrt()


def residual_error(pred: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    """Scale-invariant RMSE of residuals, in logarithms, as they are factors: ``sqrt(mean((d_c - mean d_c)^2))`` with
    ``d = pred - true`` and the mean for each colour c of an image.

    Args:
        pred: (B, 3, H, W) log R.
        true: (B, 3, H, W) log R.
        mask: (B, 1, H, W) bool, pixels that count.

    Returns:
        (B,) in natural logarithms: 0.1 is off by about 10 %; NaN where the mask is empty.
    """
    count = mask.flatten(1).sum(1)[:, None, None]
    apart = torch.where(mask, pred - true, 0.0).flatten(2)
    apart = torch.where(mask.flatten(2), apart - apart.sum(2, keepdim=True) / count, 0.0)
    return ((apart**2).sum((1, 2)) / (3 * count[:, 0, 0])).sqrt()
