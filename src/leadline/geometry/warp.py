"""Looking up images between pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def sample(image: Tensor, uv: Tensor) -> Tensor:
    """The image at other places, bilinear; beyond the border its nearest pixels.

    Args:
        image: (B, C, H, W).
        uv: (B, H', W', 2) pixels, right and down, the centre of the first pixel at (0, 0); not finite gives the first
            pixel.

    Returns:
        (B, C, H', W').
    """
    height, width = image.shape[-2:]
    size = torch.tensor([width, height], dtype=uv.dtype, device=uv.device)
    grid = torch.nan_to_num((2 * uv + 1) / size - 1, nan=-1.0, posinf=-1.0, neginf=-1.0)
    return functional.grid_sample(image, grid, padding_mode="border", align_corners=False)
