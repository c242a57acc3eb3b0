"""Video Depth Anything as a network that leadline trains: clips of images of any size, disparity that a student gives a
meaning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.errors import InputError
from leadline.networks.base import VideoNetwork
from leadline.networks.video_depth_anything import FRAMES, PATCH, VARIANTS, StreamState, VideoDepthAnything, alone

#: Of the maps in training beside the full one, each half the size of the one before.
SCALES = 4


class VideoDepth(VideoNetwork):
    """:class:`VideoDepthAnything`, its disparity at the image's size.

    Images whose sides are no multiples of 14 are seen at 14/16 of their size, as EndoDAV (Zhou et al., MICCAI 2025) has
    it for 256x320. The output ends in a ReLU, so it is at least 0 but, other than :class:`DepthNetwork` says, not
    bounded by 1. In training the map comes at four scales, the coarser ones made of it (EndoDAV).

    Args:
        size: a name of :data:`leadline.networks.video_depth_anything.VARIANTS`.
        checkpointing: compute activations again in the backward pass, instead of keeping them.

    Raises:
        ConfigError: there is no such variant.
    """

    variants: ClassVar[dict[str, dict[str, Any]]] = {f"vda-{size}": {"size": size} for size in VARIANTS}
    stride = PATCH
    longest = FRAMES

    def __init__(self, size: str = "tiny", checkpointing: bool = False) -> None:
        super().__init__()
        self.network = VideoDepthAnything.build(size, checkpointing)
        self.widths = (self.network.sizes.width,) * 4

    @classmethod
    def load_public(cls, path: str | Path) -> Self:
        """Load a public checkpoint; which size it is, its shapes tell.

        Raises:
            InputError: the file is missing, is no state dict, or holds another network.
        """
        network = VideoDepthAnything.load_public(path)
        made = cls.build(f"vda-{network.architecture}")
        made.network = network
        return made

    def sees(self, height: int, width: int) -> tuple[int, int]:
        """See :func:`seen_at`."""
        return seen_at(height, width)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Maps (B, width, h, w) of the four tapped blocks, all at one size."""
        size = self.sees(image.shape[-2], image.shape[-1])
        if image.shape[-2:] != size:
            image = F.interpolate(image, size, mode="bilinear", align_corners=True)
        maps: list[Tensor] = self.network.pretrained(self.network.normalised(image))
        return maps

    def decode(self, features: Sequence[Tensor], size: tuple[int, int], frames: int = 1) -> Tensor | list[Tensor]:
        """Disparity (B, 1, H, W) >= 0; in training also at 1/2, 1/4 and 1/8 of the size.

        Raises:
            InputError: clips of more than ``longest`` frames.
        """
        if frames > self.longest:
            raise InputError(f"clip: {frames} frames, expected 1 to {self.longest}")
        return self._sized(self.network.head(list(features), frames, alone), size)

    def heads(self) -> list[nn.Conv2d]:
        """The last convolution."""
        last = self.network.head.scratch.output_conv2[2]
        assert isinstance(last, nn.Conv2d)
        return [last]

    @torch.no_grad()
    def start_at(self, output: float) -> None:
        """Answer about ``output`` at the start, and nowhere so much less that the ReLU is 0 and stays so."""
        for head in self.heads():
            head.weight.mul_(output)
            nn.init.constant_(head.bias, output)  # type: ignore[arg-type]

    def following(self, image: Tensor, memory: StreamState | None = None) -> tuple[Tensor, StreamState]:
        """See :meth:`VideoNetwork.following`."""
        size = (image.shape[-2], image.shape[-1])
        seen = F.interpolate(image, seen_at(*size), mode="bilinear", align_corners=True)
        disparity, memory = self.network.stream(seen, memory)
        maps = self._sized(disparity, size)
        return maps[0] if isinstance(maps, list) else maps, memory

    def _sized(self, disparity: Tensor, size: tuple[int, int]) -> Tensor | list[Tensor]:
        full = F.interpolate(disparity[:, None], size, mode="bilinear", align_corners=True)
        if not self.training:
            return full
        rows = [[-(-side // 2**scale) for side in size] for scale in range(1, SCALES)]
        return [full, *(F.interpolate(full, shape, mode="bilinear") for shape in rows)]


def seen_at(height: int, width: int) -> tuple[int, int]:
    """(height, width) at which the network sees an image: its own where both are multiples of 14, else 14/16 of it.

    Example:
        >>> seen_at(256, 320), seen_at(224, 280), seen_at(250, 300)
        ((224, 280), (224, 280), (224, 266))
    """
    if height % PATCH == width % PATCH == 0:
        return height, width
    rows, columns = (max(1, (side + 8) // 16) * PATCH for side in (height, width))
    return rows, columns


def frame_size(height: int, width: int, lower: int = 518, largest_aspect: float = 1.78) -> tuple[int, int]:
    """Height and width at which Video Depth Anything sees a frame.

    The shorter side becomes ``lower``, then both are rounded to multiples of 14, up where they would fall below
    ``lower``. Where the longer side is more than ``largest_aspect`` times the shorter, ``lower`` is first reduced to
    ``lower * 1.777 / aspect`` (rounded to a multiple of 14), so that the picture needs no more memory than one of 16:9.

    Args:
        height, width: of the frame in pixels, > 0.
        lower: what the shorter side is brought to.
        largest_aspect: from here on pictures are made smaller.

    Example:
        >>> frame_size(1024, 1280)
        (518, 644)
        >>> frame_size(1080, 1920)
        (518, 924)
        >>> frame_size(800, 1920)
        (378, 910)
    """
    aspect = max(height, width) / min(height, width)
    if aspect > largest_aspect:
        lower = max(1, round(int(lower * 1.777 / aspect) / PATCH)) * PATCH  # one patch at least: ours
    scale = lower / min(height, width)
    return _multiple(scale * height, lower), _multiple(scale * width, lower)


def _multiple(side: float, least: int) -> int:
    nearest = round(side / PATCH) * PATCH
    return nearest if nearest >= least else math.ceil(side / PATCH) * PATCH
