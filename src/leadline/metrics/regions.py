"""Where depth is hard: near the borders of things, on thin ones, and where the image has no texture.

The functions that find a region return a mask to pass to the errors of :mod:`leadline.metrics.depth`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from leadline.errors import ConfigError

#: A smaller step than from one depth to this many times it is no border: a pixel given the wrong side's depth would be
#: wrong by no more than good models are on average (AbsRel of about 0.1), so nothing could be seen of it.
STEP = 1.1
#: A step goes on as a surface does unless it is this many times larger than the steps before and after it: on planes
#: it is as large as they are, at a crease no larger than the larger one, so 2 leaves room for noise.
CONTINUED = 2.0
#: Least mean gradient of texture, of white: 4 of 255 grey levels from pixel to pixel, as in Middlebury's evaluation.
FLAT = 4 / 255
#: An image of which a region covers less than this part has no error there.
SHARE = 1e-3


def near_borders(gt: Tensor, mask: Tensor, distance: int = 8) -> Tensor:
    """Valid pixels near an occluding contour of the true depth.

    Disparity, which is linear on a plane, is looked at along rows and columns. Of four valid pixels a, b, c, e in a row
    a contour lies between b and c if ``|c - b| > 0.1 min(b, c)``, a ratio of depths above 1.1, and ``|c - b|`` is more
    than twice as large as ``b - a`` and ``e - c`` where these have its direction. So neither ground seen at a grazing
    angle nor the crease between two planes is a border, however steep, but a pole one pixel wide has two. Neighbourhood
    is that of a square (Chebyshev distance): a straight contour has ``distance`` pixels on each of its sides.

    Unknown pixels make no border, so there is none against a sky without depth, nor in sparse truth as of lidar. Truth
    whose outlines are blurred over several pixels has few. The distance is in pixels of the truth: compare models on
    maps of one size, and take less for small ones (8 pixels are a fifth of a street 1242 pixels wide, but two fifths of
    the same at 416). The idea of such a region is Middlebury's (Scharstein and Szeliski, IJCV 47, 2002, depth
    discontinuity regions: neighbouring disparities that differ by more than a gap, dilated); the definition is ours.

    Args:
        gt: true depth > 0, (H, W) or (B, H, W), of any scale.
        mask: bool of the same shape, pixels with a valid truth.
        distance: in pixels, at least 1: the two pixels beside the contour.

    Returns:
        bool of the same shape.

    Raises:
        ConfigError: the distance is below 1.

    Example:
        >>> gt = torch.tensor([[2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0]])
        >>> near_borders(gt, gt > 0, distance=2).int()
        tensor([[0, 0, 1, 1, 1, 1, 0]], dtype=torch.int32)
    """
    if distance < 1:
        raise ConfigError(f"distance: {distance} pixels; at least 1")
    disparity = torch.where(mask, 1 / gt, torch.nan)  # a comparison with what is unknown is false
    beside = torch.zeros_like(mask)
    for dim in (-1, -2):
        found, along = _contours(disparity.transpose(dim, -1)), beside.transpose(dim, -1)  # a view, written through
        along[..., :-1] |= found
        along[..., 1:] |= found
    near = beside.reshape(-1, *mask.shape[-2:]).to(gt.dtype)
    side = 2 * distance - 1
    for size in ((side, 1), (1, side)):
        near = functional.max_pool2d(near, size, 1, (size[0] // 2, size[1] // 2))
    return mask & (near > 0).reshape(mask.shape)


def _contours(disparity: Tensor) -> Tensor:
    """Whether a contour lies between the pixels of a row: (..., W) with NaN where unknown, to (..., W - 1) bool."""
    steps = functional.pad(disparity, (1, 1), value=torch.nan).diff(dim=-1)
    before, step, after = steps[..., :-2], steps[..., 1:-1], steps[..., 2:]
    farther = torch.minimum(disparity[..., 1:], disparity[..., :-1])
    onward = torch.maximum(before * step.sign(), after * step.sign()).clamp(min=0)  # what goes back is a new surface
    return (step.abs() > (STEP - 1) * farther) & (step.abs() > CONTINUED * onward)


def thin(gt: Tensor, mask: Tensor, width: int = 5) -> Tensor:
    """Valid pixels of things that are thin: no square of ``width`` pixels that holds the pixel fits onto the thing.

    A square does not fit where some valid pixel of it is farther, by more than a tenth in disparity: a ratio of depths
    above 1.1. So a leg, a cable, a stem narrower than ``width`` is thin in all its pixels, and what is as wide as that
    in both directions is not, but for corners sharper than the square; nor is any plane, however steep, for a square
    beyond the pixel shows nothing farther. Squares may reach beyond the image, where nothing is known, and unknown
    pixels make nothing thin. A white top-hat in the terms of morphology; the definition is ours. As for
    :func:`near_borders` the width is in pixels of the truth.

    Args:
        gt: true depth > 0, (H, W) or (B, H, W), of any scale.
        mask: bool of the same shape, pixels with a valid truth.
        width: side of the square, at least 2.

    Returns:
        bool of the same shape.

    Raises:
        ConfigError: the width is below 2.

    Example:
        >>> gt = torch.tensor([[3.0, 3.0, 1.0, 1.0, 3.0, 3.0, 3.0, 2.0, 2.0, 2.0]]).expand(3, -1)
        >>> thin(gt, gt > 0, width=3)[1].int()
        tensor([0, 0, 1, 1, 0, 0, 0, 0, 0, 0], dtype=torch.int32)
    """
    if width < 2:
        raise ConfigError(f"width: {width} pixels; at least 2")
    disparity = torch.where(mask, 1 / gt, torch.inf).reshape(-1, 1, *gt.shape[-2:])
    around = functional.pad(disparity, (width - 1,) * 4, value=torch.inf)
    farthest = -functional.max_pool2d(-around, width, 1)  # of every square that touches the image
    best = functional.max_pool2d(farthest, width, 1).reshape(gt.shape)  # of the squares that hold the pixel
    return mask & (1 / gt > STEP * best)


def textureless(image: Tensor, mask: Tensor, window: int = 9, threshold: float = FLAT) -> Tensor:
    """Valid pixels around which the image has next to no texture, so that nothing can be matched there.

    The mean over the window of ``|grad I|``, the length of the differences of the grey value I (mean of the colours) to
    the next pixel on the right and the next below, is less than the threshold; at the image's edges the mean over what
    there is of the window. After Scharstein and Szeliski (IJCV 47, 2002), textureless regions, who average the squared
    horizontal gradient, the one that stereo can match; their public evaluation takes 3x3 pixels and 4 grey levels. Both
    directions, the plain mean and the larger window, in which a few pixels of noise decide nothing, are ours.

    The gradient is that from pixel to pixel: a larger image of the same scene has less of it, and noise adds to it.
    Compare models on images of one size and one sensor.

    Args:
        image: (H, W, 3) or (B, H, W, 3) in [0, 1], at least 2x2 pixels.
        mask: bool (H, W) or (B, H, W), pixels with a valid truth; the gradient is looked at outside, too.
        window: its side in pixels, odd, at least 3.
        threshold: in units of white for a step of a pixel.

    Returns:
        bool of the mask's shape.

    Raises:
        ConfigError: the window has no such side.

    Example:
        >>> image = torch.zeros(1, 12, 3).expand(2, -1, -1).clone()
        >>> image[:, 8:] = 1
        >>> textureless(image, torch.ones(2, 12, dtype=torch.bool), window=5)[0].int()
        tensor([1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1], dtype=torch.int32)
    """
    if window < 3 or window % 2 == 0:
        raise ConfigError(f"window: {window} pixels; an odd number of at least 3")
    grey = image.reshape(-1, *image.shape[-3:]).mean(dim=-1)
    across, down = grey[:, :-1].diff(dim=-1), grey[:, :, :-1].diff(dim=-2)
    # Differences lie between pixels: a window of n pixels has n - 1 of them, and their mean is that around its centre.
    mean = functional.avg_pool2d(torch.hypot(across, down), window - 1, 1, window // 2, count_include_pad=False)
    return mask & (mean < threshold).reshape(mask.shape)


def in_region(error: Callable[[Tensor, Tensor, Tensor], Tensor], pred: Tensor, gt: Tensor, region: Tensor) -> Tensor:
    """An error of :mod:`leadline.metrics.depth` on the pixels of a region alone.

    Args:
        error: :func:`leadline.metrics.depth.abs_rel` or another function of prediction, truth and mask.
        pred: aligned, clamped depth, (H, W) or (B, H, W).
        gt: true depth in the same unit and of the same shape.
        region: bool of the same shape, valid pixels.

    Returns:
        () or (B,), as the error; NaN where the region has less than 0.1 % of the image's pixels.
    """
    enough = region.sum(dim=(-2, -1)) >= SHARE * region.shape[-2] * region.shape[-1]
    return torch.where(enough, error(pred, gt, region), torch.nan)
