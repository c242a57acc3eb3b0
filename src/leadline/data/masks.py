"""Pixels that show nothing to be measured: specular highlights, and the border around a picture."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from leadline.errors import InputError

BLACK = 12 / 255
"""A border stays below this in every image and channel; compression leaves up to 7 grey levels in it."""
SMALLEST = 0.05
"""Least share of the image a connected bright region must have to be picture rather than text or a logo."""


def highlights(image: Tensor, brightness: float = 0.9, saturation: float = 0.25, dilation: int = 1) -> Tensor:
    """Saturated specular highlights: bright and nearly colourless pixels, and what surrounds them.

    A pixel is one where ``max(R, G, B) >= brightness`` and ``(max - min) / max <= saturation``; the mask is
    then widened, since the glare's rim is corrupted too. The thresholds are our choice: nothing is published.
    White objects are found as well; this is made for tissue, which is not white.

    Args:
        image: (B, 3, H, W) or (3, H, W), RGB in [0, 1].
        brightness: least value of the brightest channel.
        saturation: largest saturation (HSV).
        dilation: pixels by which the mask grows in every direction.

    Returns:
        (B, 1, H, W) or (1, H, W) bool, true on highlights.
    """
    high, low = image.amax(dim=-3, keepdim=True), image.amin(dim=-3, keepdim=True)
    found = (high >= brightness) & (high - low <= saturation * high)
    if dilation:
        found = F.max_pool2d(found.float(), 2 * dilation + 1, stride=1, padding=dilation) > 0
    return found


def valid_area(images: Iterable[NDArray[np.float32]]) -> NDArray[np.bool_]:
    """The area that ever carries picture: all but a black frame, or the black around an endoscope's picture.

    Black is what is below :data:`BLACK` in all images and connected to the image's border. It is believed to
    be no picture where it reaches all four corners, as vignettes, letterboxes and frames do but a night sky
    does not, and encloses something large (:data:`SMALLEST`). What it encloses is filled row by row and
    column by column, so that a lumen that happens to be dark at the rim stays part of the picture. Otherwise
    the whole image is returned. The more images of one camera are given, the surer the answer: a single
    photograph of a lamp in a black room cannot be told from a picture in a frame.

    Small text and narrow bars outside the picture are left out. Text or menus inside it, or a bright panel
    beside it, cannot be told from content: draw a mask file for these.

    Args:
        images: (H, W, 3) RGB in [0, 1], all of one camera and size; read one at a time.

    Returns:
        (H, W) bool.

    Raises:
        InputError: there are no images, or their sizes differ.
    """
    brightest: NDArray[np.float32] | None = None
    for image in images:
        level = image.max(axis=2)
        if brightest is None:
            brightest = level.copy()
        elif level.shape != brightest.shape:
            raise InputError(
                f"valid area: images of {level.shape} and {brightest.shape} (height, width); "
                "give images of one camera and size"
            )
        else:
            np.maximum(brightest, level, out=brightest)
    if brightest is None:
        raise InputError("valid area: no images were given; at least one is needed")
    dark = brightest < BLACK
    border = _flooded(_rim(dark), dark)
    picture = _large(_opened(~border))
    if not (_reaches_corners(border) and picture.any()):
        return np.ones_like(dark)
    return _between(picture, 0) | _between(picture, 1)


def _rim(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask's pixels on the image's border."""
    rim = mask.copy()
    rim[1:-1, 1:-1] = False
    return rim


def _reaches_corners(mask: NDArray[np.bool_]) -> bool:
    """Whether the mask is found in each corner, within a twentieth of the sides: text may cover the tip."""
    height, width = (max(1, side // 20) for side in mask.shape)
    corners = (mask[rows, columns] for rows in _ends(height) for columns in _ends(width))
    return all(corner.any() for corner in corners)


def _ends(length: int) -> tuple[slice, slice]:
    return slice(None, length), slice(-length, None)


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each pixel of the mask the number of its unbroken run within its row, from 1; 0 elsewhere."""
    starts = mask.copy()
    starts[:, 1:] &= ~mask[:, :-1]
    return np.where(mask, starts.ravel().cumsum().reshape(mask.shape), 0)


def _flooded(seed: NDArray[np.bool_], allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of ``allowed`` that are 4-connected to the seed within it.

    Fills whole runs, along rows and columns in turn, until nothing is added: few passes unless it is a maze.
    """
    rows, columns = _runs(allowed), _runs(allowed.T)
    reached = seed & allowed
    while True:
        before = np.count_nonzero(reached)
        for runs, view in ((rows, reached), (columns, reached.T)):
            hit = np.zeros(runs.max() + 1, dtype=bool)
            hit[runs[view]] = True
            view[...] = hit[runs]
        if np.count_nonzero(reached) == before:
            return reached


def _opened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Morphological opening, by a square of 5 % of the shorter side: text and status bars go, shapes stay."""
    reach = max(1, round(0.025 * min(mask.shape)))

    def grown(mask: NDArray[np.bool_], beyond: bool) -> NDArray[np.bool_]:
        for axis in (0, 1):
            pad = [(0, 0), (0, 0)]
            pad[axis] = (reach, reach)
            padded = np.pad(mask, pad, constant_values=beyond)
            windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis)
            mask = np.any(windows, axis=-1)
        return mask

    return grown(~grown(~mask, beyond=True), beyond=False)


def _large(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected regions of the mask that have at least :data:`SMALLEST` of the image."""
    left, kept = mask.copy(), np.zeros_like(mask)
    while np.count_nonzero(left) >= SMALLEST * mask.size:
        runs = _runs(left)
        lengths = np.bincount(runs.ravel())
        lengths[0] = 0
        region = _flooded(runs == lengths.argmax(), left)
        if np.count_nonzero(region) >= SMALLEST * mask.size:
            kept |= region
        left &= ~region
    return kept


def _between(mask: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """The pixels from the first to the last of the mask along an axis."""
    first = np.maximum.accumulate(mask, axis)
    last = np.flip(np.maximum.accumulate(np.flip(mask, axis), axis), axis)
    return first & last
