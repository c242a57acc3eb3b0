"""Swift with a memory: a light network for live video, which never looks ahead. Ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from leadline.errors import InputError
from leadline.networks.base import VideoNetwork
from leadline.networks.swift import Swift

#: Of the features that are remembered, and channels of what is.
STRIDE, WIDTH = 16, 48


class Memory(NamedTuple):
    """What is remembered of the frames before.

    Attributes:
        size: (B, H, W) of the frames.
        state: (B, WIDTH, h, w).
    """

    size: tuple[int, int, int]
    state: Tensor


class SwiftVideo(VideoNetwork):
    """:class:`Swift` whose features at 1/16 pass a convolutional GRU (Ballas et al., ICLR 2016) on a residual path.

    At the start the path adds zeros: the network is Swift, bit for bit, and weights of a trained Swift can be started
    from. The state is all that is kept of a video: its size does not depend on the video's length.

    Args:
        lite: which EfficientNet-Lite: 0, 1 or 2.
        pretrained: start the encoder from ImageNet weights.

    Raises:
        ConfigError: see :class:`Swift`.
    """

    variants: ClassVar[dict[str, dict[str, Any]]] = {"swift-video": {"lite": 0}}
    stride = 32
    longest = 1

    def __init__(self, lite: int = 0, pretrained: bool = False) -> None:
        super().__init__()
        self.image = Swift(lite, pretrained)
        self.widths = self.image.widths
        self.place = self.image.level(STRIDE)
        self.memory = Recurrent(self.widths[self.place])

    def encode(self, image: Tensor) -> list[Tensor]:
        """Those of :class:`Swift`: what is seen in each image alone."""
        return self.image.encode(image)

    def decode(self, features: Sequence[Tensor], size: tuple[int, int], frames: int = 1) -> Tensor | list[Tensor]:
        """Disparity (B, 1, H, W) in (0, 1) of clips of so many frames, each remembering those before; in training also
        at 1/4 and 1/8 of the size."""
        state, remembered = None, []
        for seen in features[self.place].unflatten(0, (-1, frames)).unbind(1):
            seen, state = self.memory(seen, state)
            remembered.append(seen)
        return self._decoded(features, torch.stack(remembered, dim=1).flatten(0, 1), size)

    def heads(self) -> list[nn.Conv2d]:
        """Those of :class:`Swift`."""
        return self.image.heads()

    def following(self, image: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """See :meth:`VideoNetwork.following`."""
        size = (image.shape[0], image.shape[-2], image.shape[-1])
        if memory is not None and memory.size != size:
            raise InputError(f"image: (B, H, W) {size} in a video of {memory.size}; start anew without a memory")
        features = self.encode(image)
        seen, state = self.memory(features[self.place], None if memory is None else memory.state)
        maps = self._decoded(features, seen, size[1:])
        return maps[0] if isinstance(maps, list) else maps, Memory(size, state)

    def _decoded(self, features: Sequence[Tensor], remembered: Tensor, size: tuple[int, int]) -> Tensor | list[Tensor]:
        replaced = list(features)
        replaced[self.place] = remembered
        return self.image.decode(replaced, size)


class Recurrent(nn.Module):
    """With x the features and h the state, both convolutions 3x3::

        z, r = sigmoid(conv[x', h]),   h = (1 - z) h + z tanh(conv[x', r h]),   x + P(h)

    x' being x projected to the state's channels, and P zero at the start.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.read = nn.Conv2d(channels, WIDTH, 1)
        self.gates = nn.Conv2d(2 * WIDTH, 2 * WIDTH, 3, padding=1)
        self.candidate = nn.Conv2d(2 * WIDTH, WIDTH, 3, padding=1)
        self.project = nn.Conv2d(WIDTH, channels, 1)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, channels, h, w) to the same, and the state (B, WIDTH, h, w)."""
        seen = self.read(x)
        state = torch.zeros_like(seen) if state is None else state
        update, reset = self.gates(torch.cat((seen, state), dim=1)).sigmoid().chunk(2, dim=1)
        candidate = self.candidate(torch.cat((seen, reset * state), dim=1)).tanh()
        state = (1 - update) * state + update * candidate
        return x + self.project(state), state
