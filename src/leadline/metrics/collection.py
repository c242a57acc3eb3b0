"""Mean depth errors of a data set."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from leadline.metrics.depth import depth_errors

NAMES = tuple(depth_errors(torch.ones(1, 1), torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool)))


class DepthErrors(Metric):
    """Mean over images of the errors of :func:`leadline.metrics.depth.depth_errors`, never pooled over
    pixels.

    An image without a valid pixel has no error: it is left out of the means, counted as ``without_truth``,
        and named in
    :attr:`unjudged` if its name was given. An image whose prediction is NaN where truth exists is not left
    out: it makes the means NaN, for it is the model's failure. Counts and sums are added over processes;
        ``unjudged`` lists
    the images this process saw.

    Attributes:
        unjudged: names of the images without a valid pixel.

    Example:
        >>> metric = DepthErrors()
        >>> gt = torch.tensor([[[2.0, 4.0]], [[0.0, 0.0]]])
        >>> metric.update(gt * 1.5, gt, gt > 0, names=["000", "001"])
        >>> result = metric.compute()
        >>> result["abs_rel"], result["images"], result["without_truth"], metric.unjudged
        (tensor(0.5000), tensor(1), tensor(1), ['001'])
    """

    full_state_update = False
    total: Tensor
    images: Tensor
    without_truth: Tensor

    def __init__(self) -> None:
        super().__init__()
        # A sum over a whole data set outgrows float32.
        self.add_state("total", torch.zeros(len(NAMES), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("without_truth", torch.tensor(0), dist_reduce_fx="sum")
        self.unjudged: list[str] = []

    def update(self, pred: Tensor, gt: Tensor, mask: Tensor, names: Sequence[str] | None = None) -> None:
        """Add images.

        Args:
            pred: aligned, clamped depth, (H, W) or (B, H, W).
            gt: true depth in the same unit and of the same shape.
            mask: bool of the same shape, pixels with a valid truth.
            names: what the images are called, one for each.
        """
        pred, gt, mask = (maps if maps.ndim == 3 else maps[None] for maps in (pred, gt, mask))
        judged = mask.flatten(1).any(dim=1)
        errors = torch.stack(list(depth_errors(pred[judged], gt[judged], mask[judged]).values()))
        self.total += errors.double().sum(dim=1)
        self.images += judged.sum()
        self.without_truth += (~judged).sum()
        if names is not None:
            self.unjudged += [name for name, valid in zip(names, judged.tolist(), strict=True) if not valid]

    def compute(self) -> dict[str, Tensor]:
        """The means by name (NaN where no image was judged), and the counts ``images`` and
        ``without_truth``."""
        mean = (self.total / self.images).float()
        return {
            **dict(zip(NAMES, mean, strict=True)),
            "images": self.images,
            "without_truth": self.without_truth,
        }

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        self.unjudged = []
