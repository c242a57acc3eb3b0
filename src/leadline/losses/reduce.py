"""How every loss becomes one number, so that masks and empty images are treated alike everywhere."""

from __future__ import annotations

import torch
from torch import Tensor


def image_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the mask of each image, then over the images whose mask is not empty.

    A large hole in one image therefore does not make its remaining pixels count less than those of its
    neighbours, and an image without a valid pixel contributes nothing. A batch without any gives a zero that
    still has a graph, so that ``backward`` works on every rank.

    Args:
        values: (B, ...) finite wherever the mask is true; what it holds elsewhere does not matter.
        mask: bool, of the same shape.

    Returns:
        A scalar.
    """
    return over_images(*each_image(values, mask))


def each_image(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) mean over the mask of each image, 0 where that is empty, and (B,) whether it is not; see
    :func:`image_mean`."""
    dims = tuple(range(1, values.ndim))
    count = mask.sum(dims)
    return torch.where(mask, values, 0.0).sum(dims) / count.clamp(min=1), count > 0


def over_images(values: Tensor, counted: Tensor) -> Tensor:
    """The mean of (B,) values, one an image, over the images that are counted; 0 of none."""
    return torch.where(counted, values, 0.0).sum() / counted.sum().clamp(min=1)
