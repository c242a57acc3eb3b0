"""Sparse disparity of a rectified stereo pair: only where the match is clear."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

#: Half the side of the window that is compared.
RADIUS = 5
#: Windows whose correlation is lower are not of one thing.
CORRELATION = 0.8
#: The best match must be better than any other by this part of what separates it from perfection.
UNIQUENESS = 0.8
#: Largest difference, in pixels, between the disparity found from the left and from the right.
AGREEMENT = 1.0
#: Grey levels of [0, 1] that a window must vary by: what has no texture has no match.
TEXTURE = 0.02


def match(
    left: NDArray[np.uint8], right: NDArray[np.uint8], lowest: int = 0, highest: int | None = None, most: int = 2000
) -> Values:
    """Where points of the left image lie in the right one: normalised correlation of windows on well-textured points.

    A point is kept where its best match is clear, agrees with that found from the right image, and is not at the end
    of the range; a parabola through the correlations gives parts of a pixel.

    Args:
        left: (H, W, 3) RGB, rows corresponding to those of ``right``.
        right: (H, W, 3), of one size with ``left``.
        lowest: smallest disparity looked for, in pixels; below 0 where the principal points differ.
        highest: largest; by default a quarter of the width.
        most: points tried, spread evenly over the image.

    Returns:
        (M, 3): u, v in the left image and the disparity u - u_right.
    """
    highest = max(lowest + 3, left.shape[1] // 4) if highest is None else highest
    one, other = _grey(left), _grey(right)
    points = _textured(one, most)
    disparity, sure = _best(one, other, points, np.arange(lowest, highest + 1))
    points, disparity = points[sure], disparity[sure]
    # From the right image the match lies to the right: the same search with turned signs.
    there = points - np.stack([np.rint(disparity), np.zeros(len(points))], axis=-1).astype(np.int64)
    back, clear = _best(other, one, there, -np.arange(lowest, highest + 1))
    keep = clear & (np.abs(np.rint(disparity) + back) <= AGREEMENT)
    return np.column_stack([points[keep], disparity[keep]]).astype(np.float64)


def _grey(image: NDArray[np.uint8]) -> Values:
    grey: Values = image.astype(np.float64) @ (np.array([0.299, 0.587, 0.114]) / 255)
    return grey


def _textured(image: Values, most: int) -> NDArray[np.int64]:
    """(N, 2) pixels u, v: of each cell of a grid the one whose window varies most along the row."""
    height, width = image.shape
    change = np.abs(np.diff(image, axis=1, prepend=image[:, :1]))
    change[:, : RADIUS + 1] = change[:, -RADIUS:] = 0
    change[:RADIUS] = change[-RADIUS:] = 0
    side = max(2, int(np.sqrt(height * width / most)))
    rows, columns = height // side, width // side
    cells = change[: rows * side, : columns * side].reshape(rows, side, columns, side).swapaxes(1, 2)
    place = cells.reshape(rows, columns, -1).argmax(axis=-1)
    v = place // side + side * np.arange(rows)[:, None]
    u = place % side + side * np.arange(columns)
    found = np.stack([u.ravel(), v.ravel()], axis=-1)
    return found[change[found[:, 1], found[:, 0]] > 0]


def _windows(image: Values, points: NDArray[np.int64]) -> tuple[Values, NDArray[np.bool_]]:
    """(N, S) windows around pixels, less their mean, of length 1; and whether they lie inside and have texture."""
    height, width = image.shape
    u, v = points[:, 0], points[:, 1]
    inside = (u >= RADIUS) & (u < width - RADIUS) & (v >= RADIUS) & (v < height - RADIUS)
    u, v = np.clip(u, RADIUS, width - 1 - RADIUS), np.clip(v, RADIUS, height - 1 - RADIUS)
    views = np.lib.stride_tricks.sliding_window_view(image, (2 * RADIUS + 1, 2 * RADIUS + 1))
    window = views[v - RADIUS, u - RADIUS].reshape(len(points), (2 * RADIUS + 1) ** 2)
    window = window - window.mean(axis=1, keepdims=True)
    length = np.linalg.norm(window, axis=1)
    textured = length > TEXTURE * (2 * RADIUS + 1)
    return window / np.maximum(length, 1e-12)[:, None], inside & textured


def _best(
    image: Values, other: Values, points: NDArray[np.int64], disparities: NDArray[np.int64]
) -> tuple[Values, NDArray[np.bool_]]:
    """(N,) disparity of the best match in the other image, and whether it is clear."""
    window, usable = _windows(image, points)
    scores = np.full((len(disparities), len(points)), -1.0)
    for place, disparity in enumerate(disparities):
        shifted = points - np.array([disparity, 0])
        against, there = _windows(other, shifted)
        scores[place] = np.where(there, (window * against).sum(axis=1), -1.0)
    if not len(points):
        return np.empty(0), np.empty(0, bool)
    best, each = scores.argmax(axis=0), np.arange(len(points))
    top = scores[best, each]
    near = np.abs(np.arange(len(disparities))[:, None] - best) <= 2
    second = np.where(near, -1.0, scores).max(axis=0)
    inner = np.clip(best, 1, len(disparities) - 2)
    before, after = scores[inner - 1, each], scores[inner + 1, each]
    clear = usable & (inner == best) & (top >= CORRELATION) & (1 - top <= UNIQUENESS * (1 - second))
    clear &= (before > -1) & (after > -1)
    bend = before - 2 * top + after
    part = np.divide(before - after, 2 * bend, out=np.zeros(len(points)), where=bend < 0)
    step = disparities[1] - disparities[0]
    return disparities[best] + step * np.clip(part, -0.5, 0.5), clear
