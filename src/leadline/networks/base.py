"""What every depth network promises."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.errors import ConfigError, suggest


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, H, W) to ``size`` by antialiased bilinear interpolation; pixel centres correspond."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", antialias=True, align_corners=False)


def precisely(head: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    """What a head gives, in float32 under any autocast: with 16 bits a whole depth range has a few hundred values."""
    if not torch.is_autocast_enabled(features.device.type):
        return head(features)
    with torch.autocast(features.device.type, enabled=False):
        return head(features.float())


def cut(x: Tensor, size: tuple[int, int], scale: int) -> Tensor:
    """The part of a map at 1/scale of the extended image that lies in the image of ``size``."""
    rows, columns = ((length + scale - 1) // scale for length in size)
    # Negative padding, as slicing would make torch.export ask whether the result is contiguous: it then takes only
    # sizes that are multiples of 32, or only sizes that are not.
    return F.pad(x, (0, columns - x.shape[-1], 0, rows - x.shape[-2]))


class DepthNetwork(nn.Module, ABC):
    """A network from an image to a sigmoid disparity map.

    The forward pass takes (B, 3, H, W) RGB in [0, 1], of any height and width from 32 on, and normalises it itself.
    In eval mode it gives (B, 1, H, W) in (0, 1), where larger is nearer; in training mode a list of such maps, finest
    first: the first has the image's size, map ``s`` of scale 1/2^s has ceil(H / 2^s) x ceil(W / 2^s).

    A subclass adds an architecture by one file: it names its ``variants`` and implements ``encode`` and ``decode``.

    Attributes:
        variants: full architecture name -> keyword arguments of the constructor.
        stride: how much smaller than the image the coarsest feature map is.
        widths: channels of the maps that ``encode`` gives, finest first.
        architecture: name of the variant this network was built as.
        options: what was set beside it, without ``pretrained``: both together build the function of a state dict.
    """

    variants: ClassVar[dict[str, dict[str, Any]]] = {}
    stride: int
    widths: tuple[int, ...]
    architecture: str = ""
    options: dict[str, Any]

    @classmethod
    def build(cls, variant: str, **overrides: Any) -> Self:
        """Make the network called ``variant``, with single constructor arguments replaced.

        Raises:
            ConfigError: the constructor has no such argument, or refuses its value.
        """
        known = list(inspect.signature(cls).parameters)
        options = {key: value for key, value in overrides.items() if key != "pretrained"}
        if "pretrained" not in known and not overrides.get("pretrained"):
            overrides = options  # pretrained=False asks for nothing, so every network takes it
        for key in overrides:
            if key not in known:
                raise ConfigError(f"{variant}: no option '{key}', it takes {', '.join(known)}{suggest(key, known)}")
        network = cls(**{**cls.variants[variant], **overrides})
        network.architecture = variant
        network.options = options
        return network

    def sees(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) at which an image of that size is looked at."""
        return height, width

    def level(self, stride: int) -> int:
        """Index, from the end, of the feature maps that are so much smaller than the image: each has half the size of
        the one before.

        Raises:
            ConfigError: there is none.
        """
        level = -1 - round(math.log2(self.stride / stride))
        if not -len(self.widths) <= level <= -1:
            raise ConfigError(f"student: {self.architecture} has no features at 1/{stride}")
        return level

    @abstractmethod
    def encode(self, image: Tensor) -> list[Tensor]:
        """Feature maps (B, widths[i], h_i, w_i) of the image (B, 3, H, W) in [0, 1], finest first."""

    @abstractmethod
    def decode(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor | list[Tensor]:
        """Disparity of ``size`` (H, W) from what ``encode`` gave: a map in eval mode, a list of maps in training."""

    @abstractmethod
    def heads(self) -> list[nn.Conv2d]:
        """The convolutions, with bias, whose outputs go into the sigmoids; finest first."""

    def start_at(self, output: float) -> None:
        """Set the output biases so that an untrained network answers about this, in (0, 1)."""
        for head in self.heads():
            if head.bias is not None:
                nn.init.constant_(head.bias, math.log(output / (1 - output)))

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Disparity of the image, see the class."""
        return self.decode(self.encode(image), (image.shape[-2], image.shape[-1]))


class VideoNetwork(DepthNetwork):
    """A depth network that sees frames of a video together; a batch of images is one of clips of a single frame."""

    #: Most frames it sees together when it looks ahead; 1 if it never does, and only remembers.
    longest: int

    @abstractmethod
    def decode(self, features: Sequence[Tensor], size: tuple[int, int], frames: int = 1) -> Tensor | list[Tensor]:
        """As in :class:`DepthNetwork`, of images that are clips of so many frames, one after the other."""

    @abstractmethod
    def following(self, image: Tensor, memory: Any = None) -> tuple[Tensor, Any]:
        """The next frame of a live video, by what is remembered of those before; no later frame is seen.

        Args:
            image: (B, 3, H, W) in [0, 1].
            memory: what this gave with the frame before, None at the start; it does not grow for ever.

        Returns:
            The map (B, 1, H, W), and the memory.

        Raises:
            InputError: the frame has another size than those before.
        """
