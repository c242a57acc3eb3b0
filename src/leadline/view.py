"""Drawing depth maps: colours, one colour range for a whole video, pictures side by side.

Convention: near is the bright, warm end of a colour map and far the dark, cold one, for depth and disparity alike.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from leadline.errors import ConfigError, suggest

Picture = NDArray[np.uint8]
Quantity = Literal["depth", "disparity"]

BACKGROUND = 32
"""Grey level around pictures and captions."""

SPARSE = 0.2
"""Maps with a smaller part of valid pixels are drawn as points."""

VEHICLE = (-1.0, 3.7, 0.95)
"""Of a car seen from above, in metres: its rear and front from the middle of the rear axle, half its width."""

_GAP = 4


def colourise(
    values: NDArray[np.floating],
    valid: NDArray[np.bool_],
    low: float,
    high: float,
    *,
    quantity: Quantity = "disparity",
    colormap: str = "turbo",
    invalid: tuple[int, int, int] = (128, 128, 128),
) -> Picture:
    """Colour a depth or disparity map, near in the warm, bright end of the colour map.

    Args:
        values: (H, W), any unit.
        valid: bool (H, W).
        low: value that gets one end of the colour map; smaller ones get the same colour.
        high: value that gets the other end; larger ones get the same colour.
        quantity: "disparity", where large is near, or "depth", where small is near and the colours are
            turned round.
        colormap: a matplotlib name, such as "turbo", "magma", "viridis", "gray".
        invalid: RGB colour of invalid pixels; mid grey is in no colour map but the grey ones.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        ConfigError: there is no such colour map.
    """
    table = _table(colormap)
    span = float(high) - float(low)
    with np.errstate(invalid="ignore", over="ignore"):
        position = (values.astype(np.float64) - low) / (span if span > 0 else 1.0)
    position = np.clip(np.nan_to_num(position, nan=0.0), 0.0, 1.0)
    if quantity == "depth":
        position = 1.0 - position
    picture = table[np.rint(position * (len(table) - 1)).astype(np.intp)]
    picture[~valid] = invalid
    return picture


def thickened(
    depth: NDArray[np.floating], valid: NDArray[np.bool_], radius: int
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """A depth map whose points are squares of ``2 radius + 1`` pixels, the nearest before the others: lidar to be seen.

    Args:
        depth: (H, W).
        valid: bool (H, W).
        radius: in pixels.

    Returns:
        depth and valid, (H, W) both.
    """
    values = np.where(valid, depth, np.inf)
    for axis in (0, 1):
        padding = [(radius, radius) if each == axis else (0, 0) for each in (0, 1)]
        padded = np.pad(values, padding, constant_values=np.inf)
        values = np.lib.stride_tricks.sliding_window_view(padded, 2 * radius + 1, axis=axis).min(axis=-1)
    return values, np.isfinite(values)


def overlay(image: Picture, depth: NDArray[np.floating], valid: NDArray[np.bool_], low: float, high: float) -> Picture:
    """A picture with its depth drawn over it: sparse points as dots, a dense map half transparent.

    Args:
        image: uint8 (H, W, 3).
        depth: (H, W).
        valid: bool (H, W).
        low: nearest depth of the colours.
        high: farthest depth of the colours.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    sparse = valid.mean() < SPARSE
    if sparse:
        depth, valid = thickened(depth, valid, max(1, image.shape[1] // 600))
    colours = colourise(depth, valid, low, high, quantity="depth")
    drawn = colours if sparse else (0.5 * image + 0.5 * colours).astype(np.uint8)
    return np.where(valid[..., None], drawn, image)


def robust_range(
    values: NDArray[np.floating], valid: NDArray[np.bool_], percentiles: tuple[float, float] = (2.0, 98.0)
) -> tuple[float, float]:
    """The range of one map without its extremes, for `colourise`; low < high always, and (0, 1) with no
    valid pixel."""
    known = values[valid & np.isfinite(values)]
    if known.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(known.astype(np.float64), percentiles)
    return _widened(float(low), float(high))


class RangeSketch:
    """Percentiles of all pixels of a video in bounded memory, for one colour range over the whole of it.

    Keeps a uniform random sample of every pixel seen: each gets a random priority and those with the
    smallest stay. With the default size a percentile is off by 0.1 percentage points (one standard
    deviation), whatever the values, outliers included. The same pixels in the same order give the same
    result.
    """

    def __init__(self, size: int = 16384, seed: int = 0) -> None:
        """An empty sketch.

        Args:
            size: number of pixels kept.
            seed: of the random priorities; sketches to be merged should have different ones.
        """
        self.size = size
        self._random = np.random.default_rng(seed)
        self._values = np.empty(0, np.float32)
        self._priorities = np.empty(0)

    def add(self, values: NDArray[np.floating], valid: NDArray[np.bool_]) -> None:
        """Take in the valid, finite pixels of one map (H, W)."""
        known = values[valid & np.isfinite(values)].astype(np.float32)
        self._keep(known, self._random.random(known.size))

    def merge(self, other: RangeSketch) -> None:
        """Take in everything another sketch has seen."""
        self._keep(other._values, other._priorities)

    def range(self, percentiles: tuple[float, float] = (2.0, 98.0)) -> tuple[float, float]:
        """The range so far, as `robust_range` gives it for one map."""
        return robust_range(self._values, np.ones(self._values.shape, np.bool_), percentiles)

    def _keep(self, values: NDArray[np.float32], priorities: NDArray[np.float64]) -> None:
        if self._values.size >= self.size:  # most new pixels already lose against the worst one kept
            winning = priorities < self._priorities.max()
            values, priorities = values[winning], priorities[winning]
        values = np.concatenate([self._values, values])
        priorities = np.concatenate([self._priorities, priorities])
        if values.size > self.size:
            chosen = np.argpartition(priorities, self.size - 1)[: self.size]
            values, priorities = values[chosen], priorities[chosen]
        self._values, self._priorities = values, priorities


class RunningRange:
    """A range of colours for video whose end is not known, which rests while what is seen stays about the same.

    The wanted range is the running mean of the maps' own (:func:`robust_range`). The one that is shown does not move
    before an end of the wanted one is off by more than ``slack`` of its width; then it glides there, a part ``glide``
    of the way with each map, and rests again.
    """

    def __init__(self, memory: int = 30, slack: float = 0.1, glide: float = 0.1) -> None:
        """Before the first map.

        Args:
            memory: maps the mean is taken over.
            slack: part of the width of the range.
            glide: part of the way to the wanted range.
        """
        self.memory, self.slack, self.glide = memory, slack, glide
        self._count = 0
        self._wanted = self._shown = np.zeros(2)
        self._moves = False

    def add(self, values: NDArray[np.floating], valid: NDArray[np.bool_]) -> tuple[float, float]:
        """Take in the next map (H, W); the range to colour it with, low < high. A map without valid pixels changes
        nothing."""
        every = (slice(None, None, 1 + min(values.shape) // 128),) * 2
        values, valid = values[every], valid[every]
        if (valid & np.isfinite(values)).any():
            own = np.array(robust_range(values, valid))
            self._count = min(self._count + 1, self.memory)
            self._wanted = self._wanted + (own - self._wanted) / self._count
            if self._count == 1:
                self._shown = own
            off = float(np.abs(self._wanted - self._shown).max() / np.ptp(self._shown))
            self._moves = off > (self.slack / 5 if self._moves else self.slack)
            if self._moves:
                self._shown = self._shown + self.glide * (self._wanted - self._shown)
        low, high = (float(end) for end in self._shown)
        return _widened(low, high)


def side_by_side(
    images: Sequence[Picture], captions: Sequence[str] | None = None, height: int | None = None
) -> Picture:
    """Put pictures in a row at one height, captions above them.

    Args:
        images: uint8 (H, W, 3) each, of any sizes.
        captions: one a picture, or None; a caption wider than its picture is cut off.
        height: of the pictures in pixels; by default that of the first.

    Returns:
        uint8 (H', W', 3), RGB.
    """
    height = height or images[0].shape[0]
    cells = [_resized(image, height) for image in images]
    if captions is not None:
        cells = [_captioned(cell, text) for cell, text in zip(cells, captions, strict=True)]
    spacer = np.full((cells[0].shape[0], _GAP, 3), BACKGROUND, np.uint8)
    return np.concatenate([part for cell in cells for part in (spacer, cell)][1:], axis=1)


def contact_sheet(
    rows: Sequence[Sequence[Picture]], captions: Sequence[str] | None = None, height: int | None = None
) -> Picture:
    """Put rows of pictures under each other, captions above the first row; shorter rows are filled with grey.

    Args:
        rows: pictures uint8 (H, W, 3), row by row.
        captions: one for each picture of the first row, or None.
        height: of every picture in pixels; by default that of the very first.

    Returns:
        uint8 (H', W', 3), RGB.
    """
    height = height or rows[0][0].shape[0]
    bands = [side_by_side(row, captions if place == 0 else None, height) for place, row in enumerate(rows)]
    width = max(band.shape[1] for band in bands)
    padded = [
        np.pad(
            band,
            ((0, 0 if band is bands[-1] else _GAP), (0, width - band.shape[1]), (0, 0)),
            constant_values=BACKGROUND,
        )
        for band in bands
    ]
    return np.concatenate(padded, axis=0)


def colour_bar(
    low: float,
    high: float,
    height: int,
    *,
    quantity: Quantity = "disparity",
    colormap: str = "turbo",
    unit: str = "",
) -> Picture:
    """A legend to put beside a picture coloured with the same arguments; near is at the top.

    Args:
        low: value at one end of the colours.
        high: value at the other end.
        height: in pixels.
        quantity: as for `colourise`.
        colormap: as for `colourise`.
        unit: written after each number.

    Returns:
        uint8 (height, W', 3), RGB.
    """
    near, far = (low, high) if quantity == "depth" else (high, low)
    column = np.linspace(near, far, height)[:, None].repeat(16, axis=1)
    strip = colourise(column, np.ones(column.shape, np.bool_), low, high, quantity=quantity, colormap=colormap)
    font = ImageFont.load_default(12)
    count = max(2, min(6, height // 24))
    labels = [f"{value:.3g} {unit}".strip() for value in np.linspace(near, far, count)]
    width = 16 + 2 * _GAP + max(int(font.getlength(label)) + 1 for label in labels)
    canvas = Image.new("RGB", (width, height), (BACKGROUND,) * 3)
    canvas.paste(Image.fromarray(strip), (0, 0))
    draw = ImageDraw.Draw(canvas)
    for place, label in enumerate(labels):
        middle = place * (height - 1) / (count - 1)
        anchor = "lt" if place == 0 else "lb" if place == count - 1 else "lm"
        draw.text((16 + _GAP, middle), label, fill=(235, 235, 235), font=font, anchor=anchor)
    return np.array(canvas)


def birdseye(
    points: NDArray[np.floating],
    colours: NDArray[np.uint8],
    *,
    reach: float = 50.0,
    heights: tuple[float, float] = (-3.0, 4.0),
    size: int = 640,
) -> Picture:
    """A coloured point cloud around a vehicle from above: ahead is up, left is left.

    A pixel has the colour of the highest point in it. Rings show the distance from the body's origin, every 10 m, or
    every 20 m where the picture reaches farther than 60 m; a rectangle of a car's size shows the vehicle.

    Args:
        points: (N, 3) in metres, body axes: x forward, y left, z up, the ground at z = 0.
        colours: uint8 (N, 3), RGB.
        reach: from the vehicle to each side of the picture, in metres.
        heights: lowest and highest z in metres of what is drawn: roofs and trees would hide the road.
        size: of the picture in pixels, each way.

    Returns:
        uint8 (size, size, 3), RGB.
    """
    scale = size / (2 * reach)
    low, high = heights
    near = (np.abs(points[:, :2]) < reach).all(axis=1) & (points[:, 2] >= low) & (points[:, 2] <= high)
    points, colours = points[near], colours[near]
    # The pixel that contains the point; of float32 within a hair of the border, one beyond the last.
    pixels = np.minimum((reach - points[:, :2]) * scale, size - 1).astype(np.intp)
    upward = np.argsort(points[:, 2], kind="stable")  # of several on a pixel numpy keeps the last
    picture = np.full((size, size, 3), BACKGROUND, np.uint8)
    picture[pixels[upward, 0], pixels[upward, 1]] = colours[upward]

    canvas = Image.fromarray(picture)
    draw, font, middle = ImageDraw.Draw(canvas), ImageFont.load_default(12), size / 2
    step = 10 if reach <= 60 else 20
    for distance in range(step, int(reach) + 1, step):
        radius = distance * scale
        draw.ellipse([middle - radius, middle - radius, middle + radius, middle + radius], outline=(120,) * 3)
        draw.text((middle, middle - radius), f"{distance} m", fill=(235,) * 3, font=font, anchor="mt")
    rear, front, side = (length * scale for length in VEHICLE)
    draw.rectangle([middle - side, middle - front, middle + side, middle - rear], outline=(255, 255, 255))
    return np.array(canvas)


def _widened(low: float, high: float) -> tuple[float, float]:
    """A range that is not empty, also where all values are the same."""
    return (low, high) if high > low else (low, low + max(abs(low) * 1e-3, 1e-6))


@functools.cache
def _table(name: str) -> Picture:
    import matplotlib

    if name not in matplotlib.colormaps:
        raise ConfigError(f"no colour map is called '{name}'{suggest(name, matplotlib.colormaps)}")
    table: Picture = matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3]
    return table


def _resized(image: Picture, height: int) -> Picture:
    if image.shape[0] == height:
        return image
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def _captioned(image: Picture, text: str) -> Picture:
    height, width = image.shape[:2]
    size = int(np.clip(height // 16, 12, 28))
    strip = Image.new("RGB", (width, size + 2 * _GAP), (BACKGROUND,) * 3)
    font = ImageFont.load_default(size)
    ImageDraw.Draw(strip).text((_GAP, strip.height // 2), text, fill=(235, 235, 235), font=font, anchor="lm")
    return np.concatenate([np.array(strip), image], axis=0)
