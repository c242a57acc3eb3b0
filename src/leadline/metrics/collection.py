"""Mean scores of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from leadline.metrics.depth import depth_errors

NAMES = tuple(depth_errors(torch.ones(1, 1), torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool)))


class Means(Metric):
    """What the mean scores share: every item (an image, a pair of frames) weighs the same, and items that cannot be
    judged are left out of the means, but counted. Sums and counts are added over processes.

    A score that is NaN although its item was judged is the model's failure and makes the mean NaN.

    Args:
        names: of the scores.

    Attributes:
        unjudged: names of the items that could not be judged, of those this process saw.
    """

    full_state_update = False
    total: Tensor
    count: Tensor
    missing: Tensor

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        # A sum over a whole data set outgrows float32.
        self.add_state("total", torch.zeros(len(self.names), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(len(self.names), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("missing", torch.zeros(len(self.names), dtype=torch.long), dist_reduce_fx="sum")
        self.unjudged: list[str] = []

    def _add(self, scores: Tensor, judged: Tensor) -> None:
        """Add items: scores (N, names), and which of them count (N, names) bool."""
        self.total += torch.where(judged, scores.double(), 0.0).sum(dim=0).to(self.total.device)
        self.count += judged.sum(dim=0).to(self.count.device)
        self.missing += (~judged).sum(dim=0).to(self.missing.device)

    def _means(self) -> dict[str, Tensor]:
        return dict(zip(self.names, (self.total / self.count).float(), strict=True))

    def reset(self) -> None:
        """Forget all items."""
        super().reset()
        self.unjudged = []


class DepthErrors(Means):
    """Mean over images of the errors of :func:`leadline.metrics.depth.depth_errors`, never pooled over pixels.

    An image without a valid pixel has no error: it is left out of the means, counted as ``without_truth``, and named
    in ``unjudged`` if its name was given. An image whose prediction is NaN where truth exists is not left out: it
    makes the means NaN. Errors of a group of pixels (near borders, reflective, ...) are those of another object whose
    masks are that group.

    Example:
        >>> metric = DepthErrors()
        >>> gt = torch.tensor([[[2.0, 4.0]], [[0.0, 0.0]]])
        >>> metric.update(gt * 1.5, gt, gt > 0, names=["000", "001"])
        >>> result = metric.compute()
        >>> result["abs_rel"], result["images"], result["without_truth"], metric.unjudged
        (tensor(0.5000), tensor(1), tensor(1), ['001'])
    """

    def __init__(self) -> None:
        super().__init__(NAMES)

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
        scores = torch.stack(list(depth_errors(pred, gt, mask).values()), dim=1)
        self._add(scores, judged[:, None].expand_as(scores))
        if names is not None:
            self.unjudged += [name for name, valid in zip(names, judged.tolist(), strict=True) if not valid]

    def compute(self) -> dict[str, Tensor]:
        """The means by name (NaN where no image was judged), and the counts ``images`` and ``without_truth``."""
        return {**self._means(), "images": self.count[0], "without_truth": self.missing[0]}


class MeanScores(Means):
    """Mean over images of any scores of which NaN says that the image cannot be judged: boundary F1, pseudo-texture,
    flow-warped differences.

    Args:
        names: of the scores.

    Example:
        >>> metric = MeanScores(["boundary_f1"])
        >>> for name, score in {"000": 0.25, "001": float("nan"), "002": 0.75}.items():
        ...     metric.update({"boundary_f1": score}, name)
        >>> metric.compute(), metric.unjudged
        ({'boundary_f1': tensor(0.5000), 'boundary_f1_missing': tensor(1)}, ['001'])
    """

    def update(self, scores: Mapping[str, Tensor | float], name: str | None = None) -> None:
        """Add an image.

        Args:
            scores: all of them, by name.
            name: what the image is called; listed in ``unjudged`` if one of the scores is NaN.
        """
        values = torch.tensor([[float(scores[score]) for score in self.names]], dtype=torch.float64)
        judged = ~values.isnan()
        self._add(values, judged)
        if name is not None and not judged.all():
            self.unjudged.append(name)

    def compute(self) -> dict[str, Tensor]:
        """The means by name (NaN where no image was judged), and for each the count ``NAME_missing``."""
        missing = {f"{name}_missing": count for name, count in zip(self.names, self.missing, strict=True)}
        return {**self._means(), **missing}
