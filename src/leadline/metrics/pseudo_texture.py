"""How much of an image's texture a depth map has printed into smooth surface."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

#: Smooth surface bends by less than this part of its disparity over two steps of a hundredth of the image's width.
BEND = 0.01
#: Changes of depth from pixel to pixel far below this part of it are rounding, not a print.
FAINT = 5e-4
#: Side in pixels of the window in which what is common to its pixels is the shape, and the rest texture.
WINDOW = 15
#: Images with less smooth surface than this part of their pixels are not judged.
SHARE = 0.01


def pseudo_texture(pred: Tensor, gt: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """Correlation of depth's and the image's gradient on surface that is smooth in truth; 0 is best, 1 a print.

    With ``q = log(p / g)``, what the prediction adds to the truth, and the image's grey value I, both gradients (next
    pixel to the right and below) less their mean in a window of 15 pixels: ``corr(|grad q|, |grad I|)`` over the smooth
    pixels, the deviation of ``|grad q|`` taken as ``sqrt(var + 5e-4**2)``. The truth's own gradient has to go: on a
    slanted surface depth changes faster the farther it is, as texture does. So has what changes slowly: a wrong slant
    is no print. The constant keeps rounding from counting as one; the scale of the prediction does not matter.

    Smooth: within a hundredth of the image's width, s, valid truth everywhere and ``|d(x-s) - 2 d(x) + d(x+s)|``, to
    the sides and up and down, below a hundredth of d, the truth's disparity. This is 0 on any plane a pinhole sees
    and small where quantised depth makes steps, but large at outlines and at creases. Sparse or noisy truth, as of
    lidar, has no smooth surface. The idea is LiteNet's pseudo-texture; nothing of a measure is published, so the
    definition is ours.

    Args:
        pred: depth > 0, (H, W) or (B, H, W), of any scale.
        gt: true depth of the same shape.
        image: (H, W, 3) or (B, H, W, 3) in [0, 1].
        mask: bool of the maps' shape, pixels with a valid truth.

    Returns:
        () or (B,) in [-1, 1]; NaN where smooth surface covers less than 1 % of the image, or has no texture.

    Example:
        >>> texture = torch.rand(40, 60, generator=torch.Generator().manual_seed(0))
        >>> gt = torch.full((40, 60), 2.0)
        >>> pseudo_texture(gt + texture / 10, gt, texture[..., None].expand(-1, -1, 3), gt > 0) > 0.9
        tensor(True)
    """
    shape = gt.shape[:-2]
    pred, gt, mask = (maps.reshape(-1, *maps.shape[-2:]) for maps in (pred, gt, mask))
    grey = image.reshape(-1, *image.shape[-3:]).mean(dim=-1).to(gt.dtype)
    smooth = _smooth(gt, mask)
    added = torch.where(smooth, torch.log(pred / gt), 0.0)
    pairs = smooth[:, :-1, :-1] & smooth[:, :-1, 1:] & smooth[:, 1:, :-1]
    depth, texture = _detail(added, pairs), _detail(grey, pairs)
    count = pairs.sum(dim=(-2, -1))

    def mean(values: Tensor) -> Tensor:
        return torch.where(pairs, values, 0.0).sum(dim=(-2, -1), keepdim=True) / count[:, None, None]

    depth, texture = depth - mean(depth), texture - mean(texture)
    spread = torch.sqrt((mean(depth**2) + FAINT**2) * mean(texture**2))
    found = (mean(depth * texture) / spread)[:, 0, 0]
    enough = (count >= SHARE * gt.shape[-2] * gt.shape[-1]) & (spread[:, 0, 0] > FAINT * 1e-6)
    return torch.where(enough, found, torch.nan).reshape(shape)


def _smooth(gt: Tensor, mask: Tensor) -> Tensor:
    """Pixels (B, H, W) of which everything near is one gently bent surface."""
    step = max(2, gt.shape[-1] // 100)
    disparity = torch.where(mask, 1 / gt, torch.nan)  # unknown is not smooth
    flat = torch.zeros_like(mask)
    if min(gt.shape[-2:]) > 2 * step:
        here = disparity[:, step:-step, step:-step]
        across = disparity[:, step:-step, 2 * step :] + disparity[:, step:-step, : -2 * step]
        down = disparity[:, 2 * step :, step:-step] + disparity[:, : -2 * step, step:-step]
        bend = torch.maximum((across - 2 * here).abs(), (down - 2 * here).abs())
        flat[:, step:-step, step:-step] = bend < BEND * here
    rough = (~flat).to(gt.dtype)
    for size in ((2 * step + 1, 1), (1, 2 * step + 1)):
        rough = functional.max_pool2d(rough, size, 1, (size[0] // 2, size[1] // 2))
    return rough == 0


def _detail(values: Tensor, pairs: Tensor) -> Tensor:
    """Length of the gradient less its mean in the window: values (B, H, W), valid pairs and result (B, H-1, W-1)."""
    across, down = values[:, :-1, 1:] - values[:, :-1, :-1], values[:, 1:, :-1] - values[:, :-1, :-1]
    layers = torch.stack([across, down, torch.ones_like(across)], dim=1)
    around = torch.where(pairs[:, None], layers, 0.0)
    for size in ((WINDOW, 1), (1, WINDOW)):
        around = functional.avg_pool2d(around, size, 1, (size[0] // 2, size[1] // 2))
    return torch.linalg.vector_norm(layers[:, :2] - around[:, :2] / around[:, 2:], dim=1)
