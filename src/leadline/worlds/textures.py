"""Procedural colours of surfaces: plaster, wood, tiles, bricks, cloth, marble, leaves, pictures.

A texture is a callable (coords (N, 3), footprint (N,)) -> (N, 3) float32: the part of the light that is thrown back at
texture coordinates in metres, of which the first two lie in the surface and the third tells surfaces and things apart,
so that they are not alike. Details finer than the footprint, the width of a pixel on the surface in metres, fade to
their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from leadline.errors import ConfigError
from leadline.io.images import IMAGE_SUFFIXES, read_image
from leadline.worlds.noise import Noise
from leadline.worlds.shading import Texture

#: Things of one mesh differ by multiples of this in their third texture coordinate, in metres.
APART = 17.0
#: Darkest and brightest albedo of anything.
DARKEST, BRIGHTEST = 0.02, 0.95
#: Longest side of a picture, in pixels.
PICTURE = 256


def colour(
    rng: np.random.Generator, bright: tuple[float, float] = (0.25, 0.75), vivid: tuple[float, float] = (0.0, 0.6)
) -> np.ndarray:
    """A random colour.

    Args:
        rng: decides it.
        bright: range of its strongest channel.
        vivid: range of its saturation; 0 is grey.

    Returns:
        (3,) linear RGB.
    """
    hue, saturation, value = rng.uniform(), rng.uniform(*vivid), rng.uniform(*bright)
    wheel = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return value * (1 - saturation * (1 - wheel))


def like(rng: np.random.Generator, base: np.ndarray, far: float = 0.3) -> np.ndarray:
    """A colour (3,) related to ``base`` (3,): lighter or darker by up to the part ``far``, and a little shifted."""
    scaled = base * (1 + rng.uniform(-far, far)) * (1 + rng.uniform(-far, far, 3) / 3)
    return np.clip(scaled, DARKEST, BRIGHTEST)


@dataclass(frozen=True)
class Mottled:
    """Solid noise of several octaves between two colours: plaster, concrete, asphalt, carpet, leaves, grain.

    Args:
        noise: of one channel.
        low: (3,) darker colour.
        high: (3,) lighter colour.
        size: of the coarsest features across, in metres.
        octaves: how many.
        stretch: how much longer features are along (u, v, w) than ``size``.
        gain: height of each octave over that of the one before.
        sharp: contrast; from about 3 on, patches have edges.
    """

    noise: Noise
    low: np.ndarray
    high: np.ndarray
    size: float
    octaves: int = 4
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gain: float = 0.6
    sharp: float = 1.2

    def __call__(self, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) albedo at ``coords`` (N, 3) in metres, seen with pixels ``footprint`` (N,) wide."""
        places = coords if self.stretch == (1.0, 1.0, 1.0) else coords / np.array(self.stretch, np.float32)
        height = self.noise.fractal(places, self.size, self.octaves, footprint, self.gain)
        share = np.clip(height * np.float32(self.sharp), -1, 1) / 2 + np.float32(0.5)
        return _mixed(self.low, self.high, share)


@dataclass(frozen=True)
class Veined:
    """Thin lines where solid noise passes through zero: marble, cracked stone.

    Args:
        noise: of one channel.
        stone: between the veins.
        vein: (3,) colour of veins.
        size: of the pattern, in metres.
        width: of a vein, in parts of ``size``.
    """

    noise: Noise
    stone: Texture
    vein: np.ndarray
    size: float
    width: float = 0.05

    def __call__(self, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) albedo at ``coords`` (N, 3) in metres, seen with pixels ``footprint`` (N,) wide."""
        height = self.noise.fractal(coords, self.size, 4, footprint, 0.55)
        # A vein narrower than a pixel is as wide as a pixel, and that much paler.
        wide = np.sqrt(self.width**2 + (footprint / np.float32(self.size)) ** 2)[:, None]
        share = self.width / wide * np.exp(-((height / wide) ** 2))
        mean = np.float32(2 * self.width)
        share = mean + (share - mean) * _clarity(footprint, self.size)[:, None]
        return (self.stone(coords, footprint) * (1 - share) + self.vein.astype(np.float32) * share).astype(np.float32)


@dataclass(frozen=True)
class Striped:
    """Stripes of two textures.

    Args:
        one: of the stripes.
        other: between them.
        period: from stripe to stripe, in metres.
        part: of the period that the stripe takes.
        turn: direction of the stripes, in radians from v towards u.
    """

    one: Texture
    other: Texture
    period: float
    part: float = 0.5
    turn: float = 0.0

    def __call__(self, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) albedo at ``coords`` (N, 3) in metres, seen with pixels ``footprint`` (N,) wide."""
        across = coords[:, 0] * np.float32(np.cos(self.turn)) - coords[:, 1] * np.float32(np.sin(self.turn))
        share = _pulses(across / np.float32(self.period), self.part, footprint / np.float32(self.period))
        return _between(self.other, self.one, share, coords, footprint)


@dataclass(frozen=True)
class Checked:
    """A chessboard of two textures.

    Args:
        one: of half of the squares.
        other: of the other half.
        cell: side of a square, in metres.
    """

    one: Texture
    other: Texture
    cell: float

    def __call__(self, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) albedo at ``coords`` (N, 3) in metres, seen with pixels ``footprint`` (N,) wide."""
        period = np.float32(2 * self.cell)
        u, v = (2 * _pulses(coords[:, axis] / period, 0.5, footprint / period) - 1 for axis in (0, 1))
        return _between(self.other, self.one, (1 + u * v) / 2, coords, footprint)


@dataclass(frozen=True)
class Plaid:
    """Stripes both ways that shine through each other: woven cloth.

    Args:
        warp: stripes one way.
        weft: stripes the other way.
    """

    warp: Texture
    weft: Texture

    def __call__(self, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) albedo at ``coords`` (N, 3) in metres, seen with pixels ``footprint`` (N,) wide."""
        return (self.warp(coords, footprint) + self.weft(coords[:, [1, 0, 2]], footprint)) / 2


@dataclass(frozen=True)
class Dotted:
    """Dots in a staggered grid.

    Args:
        dot: of the dots.
        ground: between them.
        period: from dot to dot, in metres.
        radius: of a dot, in parts of the period, below a half.
    """

    dot: Texture
    ground: Texture
    period: float
    radius: float = 0.25

    def __call__(self, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) albedo at ``coords`` (N, 3) in metres, seen with pixels ``footprint`` (N,) wide."""
        u, v = coords[:, 0] / np.float32(self.period), coords[:, 1] / np.float32(self.period)
        u = u + np.floor(v) * np.float32(0.5)
        away = np.hypot(u - np.floor(u) - np.float32(0.5), v - np.floor(v) - np.float32(0.5))
        pixel = np.maximum(footprint / np.float32(self.period), np.float32(1e-3))
        share, mean = np.clip((self.radius - away) / pixel + np.float32(0.5), 0, 1), np.float32(np.pi * self.radius**2)
        share = mean + (share - mean) * np.clip(np.float32(1.5) - 2 * pixel, 0, 1)
        return _between(self.ground, self.dot, share, coords, footprint)


@dataclass(frozen=True)
class Tiled:
    """Cells with joints: tiles, bricks, planks, paving. Each cell looks at another place of its texture.

    Args:
        inner: of the cells.
        joint: (3,) colour between them.
        cell: sides along u and v, in metres.
        gap: width of the joints, in metres.
        stagger: part of a cell by which each row along u is shifted against the one below; negative: at random.
        varied: how much cells differ in brightness, as a part of it.
    """

    inner: Texture
    joint: np.ndarray
    cell: tuple[float, float]
    gap: float
    stagger: float = 0.0
    varied: float = 0.15

    def __call__(self, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) albedo at ``coords`` (N, 3) in metres, seen with pixels ``footprint`` (N,) wide."""
        wide, high = self.cell
        # Whole numbers come out of the blend of corners a little below or above themselves.
        thing = coords[:, 2] + np.float32(0.05)
        v = coords[:, 1] / np.float32(high)
        row = np.floor(v)
        shift = hashed(row, thing) if self.stagger < 0 else row * np.float32(self.stagger)
        u = coords[:, 0] / np.float32(wide) + shift
        column = np.floor(u)
        chance = hashed(row + np.float32(31) * column, thing)
        inside = np.ones(len(coords), np.float32)
        for at, side in ((u, wide), (v, high)):
            inside = inside * _pulses(at - np.float32(self.gap / 2 / side), 1 - self.gap / side, footprint / side)
        moved = coords + np.stack([0 * chance, 0 * chance, 5 * chance], axis=1)
        tone = 1 + np.float32(self.varied) * (2 * chance - 1) * _clarity(footprint, max(wide, high))
        body = np.minimum(self.inner(moved, footprint) * tone[:, None], np.float32(BRIGHTEST))
        share = inside[:, None]
        return (self.joint.astype(np.float32) * (1 - share) + body * share).astype(np.float32)


@dataclass(frozen=True)
class Assorted:
    """Another colour for each thing of a mesh, told apart by their third coordinate: books, boxes, leaves.

    Args:
        colours: (K, 3) to choose from.
        detail: multiplied with them.
        apart: by how much the third coordinate of two things differs, in metres.
    """

    colours: np.ndarray
    detail: Texture
    apart: float = APART

    def __call__(self, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) albedo at ``coords`` (N, 3) in metres, seen with pixels ``footprint`` (N,) wide."""
        which = hashed(np.floor(coords[:, 2] / np.float32(self.apart) + np.float32(1e-3)), np.float32(0))
        chosen = self.colours.astype(np.float32)[(which * len(self.colours)).astype(np.int64)]
        return np.clip(chosen * self.detail(coords, footprint), DARKEST, BRIGHTEST)


@dataclass(frozen=True)
class Muted:
    """Another texture, less colourful, with less contrast, darker.

    Args:
        inner: the other.
        middle: (3,) the other's mean, see :func:`mean`.
        vivid: part of its colour that is kept; 0 is grey.
        contrast: part of its differences from its own mean that is kept.
        bright: part of its light that is thrown back.
    """

    inner: Texture
    middle: np.ndarray
    vivid: float
    contrast: float
    bright: float

    def __call__(self, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) albedo at ``coords`` (N, 3) in metres, seen with pixels ``footprint`` (N,) wide."""
        middle = self.middle.astype(np.float32)
        colours = middle + (self.inner(coords, footprint) - middle) * np.float32(self.contrast)
        grey = colours.mean(axis=1, keepdims=True)
        colours = grey + (colours - grey) * np.float32(self.vivid)
        return np.clip(colours * np.float32(self.bright), DARKEST, BRIGHTEST)


@dataclass(frozen=True)
class Picture:
    """An image on a rectangle whose coordinates run from (0, 0) at its lower left to ``size``.

    Args:
        levels: (h, w, 3) linear RGB, each half as large as the one before.
        size: width and height on the surface, in metres.
    """

    levels: Sequence[np.ndarray]
    size: tuple[float, float]

    @staticmethod
    def of(image: np.ndarray, size: tuple[float, float]) -> Picture:
        """The picture of an ``image`` (h, w, 3) of linear RGB, its first row on top, ``size`` in metres."""
        levels = [np.ascontiguousarray(image, np.float32)]
        while min(levels[-1].shape[:2]) > 1:
            height, width = (n // 2 * 2 for n in levels[-1].shape[:2])
            levels.append(levels[-1][:height, :width].reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3)))
        levels[-1] = np.broadcast_to(levels[0].mean(axis=(0, 1)), (1, 1, 3)).astype(np.float32)
        return Picture(levels, size)

    def __call__(self, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """(N, 3) albedo at ``coords`` (N, 3) in metres, seen with pixels ``footprint`` (N,) wide."""
        pixel = self.size[0] / self.levels[0].shape[1]
        level = np.clip(np.log2(np.maximum(footprint, 1e-9) / pixel), 0, len(self.levels) - 1)
        s, t = coords[:, 0] / self.size[0], 1 - coords[:, 1] / self.size[1]
        total = np.zeros((len(coords), 3), np.float32)
        for number, image in enumerate(self.levels):
            weight = 1 - np.abs(level - number)
            on = np.flatnonzero(weight > 0)
            if len(on):
                total[on] += weight[on, None].astype(np.float32) * _bilinear(image, s[on], t[on])
        return total


def _bilinear(image: np.ndarray, s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """(N, 3) of an image (h, w, 3) at parts (N,) of its width and height."""
    height, width = image.shape[:2]
    x, y = np.clip(s * width - 0.5, 0, width - 1), np.clip(t * height - 0.5, 0, height - 1)
    left, top = np.minimum(x.astype(np.int64), max(width - 2, 0)), np.minimum(y.astype(np.int64), max(height - 2, 0))
    right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    a, b = (x - left)[:, None].astype(np.float32), (y - top)[:, None].astype(np.float32)
    upper = image[top, left] * (1 - a) + image[top, right] * a
    return upper * (1 - b) + (image[below, left] * (1 - a) + image[below, right] * a) * b


# Ready-made ones, with random colours.


def plain(rng: np.random.Generator, base: np.ndarray | None = None, rough: float = 0.08) -> Texture:
    """Paint of one colour ``base`` (3,), by default a random one, mottled by the part ``rough``."""
    base = colour(rng) if base is None else base
    return _around(rng, base, rough, rng.uniform(0.1, 0.4), octaves=3)


def plaster(rng: np.random.Generator, base: np.ndarray | None = None) -> Texture:
    """Rough light plaster."""
    base = colour(rng, (0.35, 0.75), (0, 0.3)) if base is None else base
    return _around(rng, base, rng.uniform(0.1, 0.3), rng.uniform(0.15, 0.5), octaves=5, gain=0.75)


def concrete(rng: np.random.Generator) -> Texture:
    """Grey, with blotches and pores."""
    return _around(rng, colour(rng, (0.3, 0.5), (0, 0.12)), 0.35, rng.uniform(0.3, 0.9), octaves=6, gain=0.7)


def asphalt(rng: np.random.Generator) -> Texture:
    """Dark, with coarse grain and worn patches."""
    return _around(rng, colour(rng, (0.09, 0.2), (0, 0.12)), 0.45, rng.uniform(0.5, 1.5), octaves=6, gain=0.85)


def carpet(rng: np.random.Generator) -> Texture:
    """Short, with flecks."""
    base = colour(rng, (0.15, 0.5), (0.1, 0.6))
    return _around(rng, base, rng.uniform(0.4, 0.7), rng.uniform(0.05, 0.15), octaves=3, gain=0.9, sharp=2.0)


def fabric(rng: np.random.Generator) -> Texture:
    """Cloth: flecked, striped, plaid, checked or dotted."""
    bases = [colour(rng, (0.2, 0.75), (0.1, 0.8)) for _ in range(3)]
    one, other, third = (_around(rng, base, 0.3, rng.uniform(0.02, 0.05), octaves=2, gain=0.9) for base in bases)
    kind, period = rng.integers(5), rng.uniform(0.04, 0.16)
    if kind == 0:
        return _around(rng, bases[0], 0.6, rng.uniform(0.03, 0.08), octaves=3, gain=0.8, sharp=2.5)
    if kind == 1:
        return Striped(one, other, period, rng.uniform(0.3, 0.7), rng.uniform(0, np.pi))
    if kind == 2:
        part = rng.uniform(0.2, 0.6)
        return Plaid(Striped(one, other, period, part), Striped(third, other, period * rng.uniform(1, 2), part))
    if kind == 3:
        return Checked(one, other, period / 2)
    return Dotted(one, other, period, rng.uniform(0.15, 0.35))


def wood(rng: np.random.Generator, base: np.ndarray | None = None) -> Texture:
    """Grain along u."""
    if base is None:
        base = np.array([0.55, 0.34, 0.18]) * rng.uniform(0.25, 1.3) * (1 + rng.uniform(-0.15, 0.15, 3))
    stretch = (rng.uniform(8, 20), 1.0, 1.0)
    return _around(rng, base, rng.uniform(0.2, 0.45), rng.uniform(0.03, 0.09), 3, gain=0.8, sharp=1.0, stretch=stretch)


def planks(rng: np.random.Generator) -> Texture:
    """A wooden floor or front: boards along u."""
    board = wood(rng)
    cell = rng.uniform(0.6, 2.0), rng.uniform(0.07, 0.2)
    return Tiled(board, mean(board) * 0.3, cell, rng.uniform(0.002, 0.005), -1.0, rng.uniform(0.15, 0.4))


def tiles(rng: np.random.Generator) -> Texture:
    """Stone or glazed tiles, plain or as a chessboard."""
    side, base = rng.choice([0.1, 0.15, 0.3, 0.4, 0.6]), colour(rng, (0.25, 0.8), (0, 0.5))
    inner = marble(rng, base) if rng.uniform() < 0.4 else plain(rng, base, 0.25)
    if rng.uniform() < 0.4:
        inner = Checked(inner, plain(rng, colour(rng, (0.08, 0.7), (0, 0.4)), 0.25), side)
    return Tiled(inner, colour(rng, (0.1, 0.6), (0, 0.1)), (side, side), rng.uniform(0.004, 0.01), 0, 0.15)


def bricks(rng: np.random.Generator) -> Texture:
    """A brick wall: red, yellow, grey or whitewashed."""
    base = np.array([[0.42, 0.16, 0.1], [0.55, 0.42, 0.25], [0.3, 0.28, 0.27], [0.7, 0.68, 0.64]])[rng.integers(4)]
    inner = _around(rng, like(rng, base), 0.4, 0.08, octaves=4, gain=0.8)
    joint = colour(rng, (0.25, 0.6), (0, 0.15))
    return Tiled(inner, joint, (0.24, 0.077), rng.uniform(0.008, 0.014), 0.5, rng.uniform(0.2, 0.45))


def paving(rng: np.random.Generator) -> Texture:
    """Slabs or cobbles of stone."""
    side = rng.choice([0.12, 0.2, 0.4, 0.6])
    inner = _around(rng, colour(rng, (0.25, 0.5), (0, 0.2)), 0.35, 0.3, octaves=5, gain=0.75)
    return Tiled(inner, np.full(3, 0.12), (side * rng.choice([1.0, 1.5, 2.0]), side), 0.012, 0.5, 0.3)


def marble(rng: np.random.Generator, base: np.ndarray | None = None) -> Texture:
    """Stone with veins."""
    base = colour(rng, (0.15, 0.8), (0, 0.3)) if base is None else base
    stone = _around(rng, base, 0.25, rng.uniform(0.2, 0.6), octaves=4)
    vein = np.clip(base * (0.25 if base.max() > 0.4 else 2.5), DARKEST, BRIGHTEST)
    return Veined(Noise(rng), stone, vein, rng.uniform(0.25, 0.8), rng.uniform(0.03, 0.08))


def foliage(rng: np.random.Generator, size: float = 0.12) -> Texture:
    """Leaves, light and dark, in clumps of ``size`` metres."""
    base = np.array([0.16, 0.3, 0.07]) * rng.uniform(0.6, 1.4) * (1 + rng.uniform(-0.3, 0.3, 3))
    return _around(rng, base, 0.8, size, octaves=4, gain=0.85, sharp=2.0)


def wallpaper(rng: np.random.Generator) -> Texture:
    """Stripes, dots or blotches on a light ground."""
    base = colour(rng, (0.3, 0.7), (0.05, 0.45))
    ground, ink = plain(rng, base, 0.1), plain(rng, like(rng, base, 0.5), 0.15)
    kind = rng.integers(3)
    if kind == 0:
        return Striped(ink, ground, rng.uniform(0.06, 0.3), rng.uniform(0.2, 0.6))
    if kind == 1:
        return Dotted(ink, ground, rng.uniform(0.08, 0.25), rng.uniform(0.15, 0.35))
    low, high = like(rng, base, 0.4), base
    return Mottled(Noise(rng), low, high, rng.uniform(0.1, 0.3), 3, (1, rng.uniform(1, 2), 1), 0.7, 4.0)


def poster(rng: np.random.Generator, size: tuple[float, float]) -> Picture:
    """An abstract picture of ``size`` (width, height) in metres: shapes, hills under a sky, or lines of writing."""
    scale = PICTURE / max(size) * 0.75
    width, height = (max(8, round(side * scale)) for side in size)
    y, x = np.mgrid[:height, :width].astype(np.float32) / np.float32(max(height, width))
    places = np.stack([x.ravel(), y.ravel(), np.full(x.size, rng.uniform(0, 9), np.float32)], axis=1)
    rough = Noise(rng, 2).fractal(places, rng.uniform(0.1, 0.4), 5, gain=0.6).reshape(height, width, 2)
    image = np.empty((height, width, 3), np.float32)
    image[:] = colour(rng, (0.1, 0.9), (0, 0.7))
    kind = rng.choice(["shapes", "hills", "writing"], p=[0.5, 0.35, 0.15])
    edge = np.float32(max(height, width))
    if kind == "shapes":
        image += 0.3 * rough[..., :1] * colour(rng, vivid=(0.5, 1))
        for _ in range(rng.integers(6, 25)):
            _paint(rng, image, x, y, edge)
    elif kind == "hills":
        image[:] = colour(rng, (0.6, 0.95), (0.1, 0.5)) * (0.7 + 0.5 * y[..., None]) + 0.15 * rough[..., 1:]
        for depth in np.sort(rng.uniform(0.2, 0.9, rng.integers(2, 6))) * y.max():
            line = depth + 0.25 * rough[:, :, 0] * rng.uniform(0.2, 1)
            cover = np.clip((y - line) * edge, 0, 1)[..., None]
            image += cover * (colour(rng, (0.1, 0.5), (0.2, 0.7)) * (1 + 0.5 * rough[..., 1:]) - image)
    else:
        image[:] = colour(rng, (0.6, 0.9), (0, 0.2))
        pitch, ink = rng.uniform(0.03, 0.07), colour(rng, (0.02, 0.2))
        words = hashed(np.floor(x * 40), np.floor(y / pitch)) < 0.75
        inside = (np.minimum(x, x.max() - x) > 0.06) & (np.minimum(y, y.max() - y) > 0.06)
        image[(y % pitch < pitch / 2) & words & inside] = ink
        for _ in range(rng.integers(1, 4)):
            _paint(rng, image, x, y, edge)
    return Picture.of(np.clip(image, DARKEST, BRIGHTEST), size)


def photograph(path: str | Path, size: tuple[float, float]) -> Picture:
    """A user's image on a rectangle of ``size`` (width, height) in metres, cut to its shape.

    Raises:
        InputError: it cannot be read as an image.
    """
    picture = Image.fromarray(read_image(path))
    shape = size[0] / size[1]
    width = min(picture.width, picture.height * shape)
    height = width / shape
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    shrink = min(1.0, 2 * PICTURE / max(width, height))
    wanted = max(1, round(width * shrink)), max(1, round(height * shrink))
    cut = picture.resize(wanted, Image.Resampling.BOX, (left, top, left + width, top + height))
    code = np.asarray(cut, np.float32) / 255
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return Picture.of(np.clip(linear, DARKEST, BRIGHTEST), size)


def photographs(folder: str | Path) -> list[Path]:
    """The images of a folder, sorted by name.

    Raises:
        ConfigError: there is no such folder, it cannot be read, or there is no image in it.
    """
    place = Path(folder)
    try:
        found = sorted(p for p in place.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    except OSError as error:
        raise ConfigError(f"photographs: {folder} cannot be read as a folder ({error.strerror})") from None
    if not found:
        raise ConfigError(f"photographs: there are no images in the folder {folder}")
    return found


def mean(texture: Texture) -> np.ndarray:
    """(3,) colour of a texture seen from far away."""
    return texture(np.zeros((1, 3), np.float32), np.full(1, 1e4, np.float32))[0].astype(np.float64)


def hashed(one: np.ndarray, other: np.ndarray | np.float32) -> np.ndarray:
    """(N,) random numbers in [0, 1), the same for the same whole number ``one`` (N,) and any number ``other`` (N,)."""
    first = one.astype(np.int64).astype(np.uint32)
    second = np.asarray(np.floor(other)).astype(np.int64).astype(np.uint32)
    mixed = first * np.uint32(0x9E3779B1) ^ (second + np.array([0x7F4A7C15], np.uint32)) * np.uint32(0x85EBCA77)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    mixed ^= mixed >> np.uint32(16)
    return (mixed >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)


def _around(
    rng: np.random.Generator,
    base: np.ndarray,
    spread: float,
    size: float,
    octaves: int,
    gain: float = 0.6,
    sharp: float = 1.2,
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Mottled:
    """Noise about a colour (3,), by the part ``spread`` lighter and darker, slightly tinted."""
    tint = 1 + rng.uniform(-0.15, 0.15, 3) * spread
    low, high = base * (1 - spread) / tint, base * (1 + spread) * tint
    return Mottled(
        Noise(rng), np.maximum(low, DARKEST), np.minimum(high, BRIGHTEST), size, octaves, stretch, gain, sharp
    )


def _paint(rng: np.random.Generator, image: np.ndarray, x: np.ndarray, y: np.ndarray, edge: np.float32) -> None:
    """Lay a random disc, ring, bar or half plane over an image, its edge one pixel (1 / ``edge``) wide."""
    u, v = x - rng.uniform(0, x.max()), y - rng.uniform(0, y.max())
    turn = rng.uniform(0, np.pi)
    u, v = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    size, kind = rng.uniform(0.03, 0.25), rng.integers(4)
    if kind == 0:
        away = np.hypot(u, v) - size
    elif kind == 1:
        away = np.abs(np.hypot(u, v) - size) - size * rng.uniform(0.1, 0.4)
    elif kind == 2:
        away = np.maximum(np.abs(u) - size, np.abs(v) - size * rng.uniform(0.1, 1))
    else:
        away = np.abs(v) - size * rng.uniform(0.03, 0.3)
    cover = np.clip(0.5 - away * edge, 0, 1)[..., None] * rng.uniform(0.6, 1)
    image += cover * (colour(rng, (0.05, 0.95), (0, 0.9)) - image)


def _pulses(at: np.ndarray, part: float, width: np.ndarray) -> np.ndarray:
    """(N,) mean, over a window of ``width`` periods, of what is 1 in the first ``part`` of every period, else 0."""
    width = np.maximum(width, np.float32(1e-3))
    inside = at - np.floor(at)
    low, high = inside - width / 2, inside + width / 2
    low_whole, high_whole = np.floor(low), np.floor(high)
    on = np.float32(part)
    covered = (high_whole - low_whole) * on + np.minimum(high - high_whole, on) - np.minimum(low - low_whole, on)
    # What is left of the rhythm in wide windows would shimmer.
    return on + (covered / width - on) * np.clip((5 - width) / 3, 0, 1)


def _clarity(footprint: np.ndarray, size: float) -> np.ndarray:
    """(N,) how much is left of features of a size that are seen with pixels of a footprint (N,), as in Noise."""
    return np.clip(np.float32(1.5) - footprint * np.float32(1.5 / size), 0, 1)


def _mixed(low: np.ndarray, high: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(N, 3) colours between two (3,)."""
    return low.astype(np.float32) + (high - low).astype(np.float32) * share


def _between(zero: Texture, one: Texture, share: np.ndarray, coords: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """(N, 3) two textures mixed, each looked at only where it shows."""
    total = np.zeros((len(coords), 3), np.float32)
    for texture, weight in ((zero, 1 - share), (one, share)):
        on = np.flatnonzero(weight > 0)
        if len(on):
            total[on] += weight[on, None] * texture(coords[on], footprint[on])
    return total
