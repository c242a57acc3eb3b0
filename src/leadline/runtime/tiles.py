"""Other ways to show a model an image: in overlapping tiles, for images much larger than what it sees; with its aspect
kept, for a model of a fixed size.

Both are models again: ``Predictor(Tiled(model, 518))``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from leadline.camera import Camera, Pinhole
from leadline.errors import ConfigError
from leadline.foundation.base import DepthModel, digest

#: Part of a tile that its neighbours show, too.
OVERLAP = 0.25
#: Sides of the coarse maps that a tile is aligned by: what a tile knows beyond the whole image must not count.
COARSE = 24
#: Tiles seen together.
TOGETHER = 4
#: A tile whose scale differs more from the whole image's says nothing of it.
MOST = 4.0


class Shown(DepthModel):
    """A model that is shown images in another way.

    Args:
        model: one that sees single images.
        how: for its digest.

    Raises:
        ConfigError: it sees video or rigs.
    """

    def __init__(self, model: DepthModel, how: str) -> None:
        if model.remembers or model.looks_around:
            what = "video" if model.remembers else "rigs"
            raise ConfigError(f"{model.name}: sees {what}; only a model that sees single images is shown them in tiles")
        self.model = model
        self.name, self.kind, self.unit, self.licence = model.name, model.kind, model.unit, model.licence
        self.digest, self.parallel, self.focal = digest([], model.digest, how), model.parallel, model.focal

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """See :meth:`DepthModel.input_size`."""
        return self.model.input_size(height, width)

    def infer(self, images: Tensor) -> Tensor:
        """See :meth:`DepthModel.infer`."""
        return self.model.infer(images)


class Letterboxed(Shown):
    """A model of a fixed size that is shown images with their aspect, between grey bars, instead of stretched.

    Args:
        model: any; one that takes images of every aspect needs no bars and gets none.
    """

    def __init__(self, model: DepthModel) -> None:
        super().__init__(model, "letterboxed")

    def at_focal(self, camera: Camera) -> float:
        """See :meth:`DepthModel.at_focal`: of the image with its bars."""
        height, width = _boxed(camera.height, camera.width, self.model)
        return self.model.at_focal(Pinhole(width, height, camera.fx, camera.fy, camera.cx, camera.cy))

    def _at_its_size(self, images: Tensor, infer: Callable[[Tensor], Tensor]) -> Tensor:
        height, width = images.shape[-2:]
        boxed_height, boxed_width = _boxed(height, width, self.model)
        top, left = (boxed_height - height) // 2, (boxed_width - width) // 2
        bars = (left, boxed_width - width - left, top, boxed_height - height - top)
        depth = self.model._at_its_size(F.pad(images, bars, value=0.5), infer)
        return depth[:, top : top + height, left : left + width]


class Tiled(Shown):
    """A model that is shown a large image in overlapping tiles, each brought into the units of the whole image's map.

    Every tile's map is aligned to the map of the whole image, coarsely (a scale; scale and shift, where the kind leaves
    both open; robust), and tiles fade into one another. An image no larger than a tile is shown as it is. A model whose
    answer at a pixel depends on that pixel alone says the same as without tiles.

    Args:
        model: one that sees single images.
        side: of a tile, in pixels of the image; about the size the model sees.

    Raises:
        ConfigError: a tile is smaller than 32 pixels, or the model sees video or rigs.
    """

    def __init__(self, model: DepthModel, side: int) -> None:
        if side < 32:
            raise ConfigError(f"tile: {side} pixels are too few to see depth in; at least 32")
        super().__init__(model, f"tiles of {side}")
        self.side = side

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """See :meth:`DepthModel.__call__`."""
        height, width = images.shape[-2:]
        whole = self.model(images)
        if max(height, width) <= self.side:
            return whole
        return torch.stack([self._in_tiles(image, depth) for image, depth in zip(images, whole, strict=True)])

    def _in_tiles(self, image: Tensor, whole: Tensor) -> Tensor:
        size = tuple(min(self.side, length) for length in whole.shape)
        places = list(product(*(_starts(length, side) for length, side in zip(whole.shape, size, strict=True))))
        total, weights = torch.zeros_like(whole), torch.zeros_like(whole)
        fade = torch.outer(*(_fade(side) for side in size)).to(whole)
        for start in range(0, len(places), TOGETHER):
            parts = [tuple(slice(a, a + n) for a, n in zip(at, size, strict=True)) for at in places[start:][:TOGETHER]]
            maps = self.model(torch.stack([image[:, rows, columns] for rows, columns in parts]))
            for part, depth in zip(parts, maps, strict=True):
                aligned = _aligned(depth, whole[part], self.kind.up_to == "affine")
                known = torch.isfinite(aligned)
                total[part] += fade * torch.where(known, aligned, 0)
                weights[part] += fade * known
        return torch.where(weights > 0, total / weights, whole)


def _boxed(height: int, width: int, model: DepthModel) -> tuple[int, int]:
    """The image with its bars."""
    rows, columns = model.input_size(height, width)
    if abs(height * columns / (rows * width) - 1) < 0.1:  # a model of any aspect rounds to what it can see
        return height, width
    return max(height, round(width * rows / columns)), max(width, round(height * columns / rows))


def _starts(length: int, side: int) -> Iterator[int]:
    """Where tiles begin, so that they cover the length evenly."""
    count = 1 if side >= length else 1 + -(-(length - side) // max(1, round(side * (1 - OVERLAP))))
    return (round(index * (length - side) / max(1, count - 1)) for index in range(count))


def _fade(side: int) -> Tensor:
    """A tile's weight along one of its sides: (side,) in (0, 1], full in the middle."""
    ramp = (torch.arange(side) + 0.5) / (OVERLAP * side)
    return torch.minimum(ramp, ramp.flip(0)).clamp(max=1)


def _aligned(depth: Tensor, whole: Tensor, affine: bool) -> Tensor:
    """A tile's map in the units of the whole image's."""
    known = torch.isfinite(depth) & torch.isfinite(whole)
    if not affine:
        known &= (depth > 0) & (whole > 0)
    share = _coarse(known.float())
    there = share > 0.5
    if not there.any():
        return whole
    own, wanted = (_coarse(torch.where(known, values, 0))[there] / share[there] for values in (depth, whole))
    if torch.equal(own, wanted):
        return depth
    if not affine:
        scale = float((wanted / own).median())
        return depth * scale if 1 / MOST < scale < MOST else whole
    weight = torch.ones_like(own)
    scale, shift = 1.0, 0.0
    for _ in range(5):
        mean, other = (weight * own).sum() / weight.sum(), (weight * wanted).sum() / weight.sum()
        spread = (weight * (own - mean) ** 2).sum()
        flat = float(spread / weight.sum()) <= 1e-8 * float(mean**2 + 1e-12)
        scale = 1.0 if flat else float((weight * (own - mean) * (wanted - other)).sum() / spread)
        shift = float(other - scale * mean)
        off = (scale * own + shift - wanted).abs()
        weight = 1 / (1 + (off / (2 * off.median() + 1e-9)) ** 2)
    return depth * scale + shift if 1 / MOST < scale < MOST else whole


def _coarse(values: Tensor) -> Tensor:
    height, width = (min(COARSE, length) for length in values.shape)
    return F.adaptive_avg_pool2d(values[None, None], (height, width))[0, 0]
