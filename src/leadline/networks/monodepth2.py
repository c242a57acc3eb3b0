"""Monodepth2's depth network (Godard et al., "Digging into Self-Supervised Monocular Depth Estimation", ICCV 2019,
arXiv 1806.01260): ResNet-18 and a decoder of reflection-padded convolutions. What most of the field compares with.

Names of modules follow the public checkpoints, which load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.networks.base import DepthNetwork, cut, precisely
from leadline.networks.litenet import ConvELU, ReflectConv
from leadline.networks.public import load_weights, read_weights, weight_files
from leadline.networks.resnet import ResNet18

#: Smaller images are extended: at 1/32 a 3x3 convolution has then something to reflect.
LEAST = 64


class Monodepth2(DepthNetwork):
    """ResNet-18 with monodepth2's decoder.

    The image is extended at the right and at the bottom to a multiple of 32, at least 64, by repeating its border, and
    the map is cut to the image's size. In training, maps of 1/2, 1/4 and 1/8 of the size come beside the full one.
    """

    variants: ClassVar[dict[str, dict[str, Any]]] = {"monodepth2-resnet18": {}}
    stride = 32

    def __init__(self) -> None:
        super().__init__()
        self.encoder = ResNet18()
        self.widths = self.encoder.widths
        self.decoder = Decoder(self.widths)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Features (B, widths[i], H / s, W / s) of the extended image for s = 2, 4, 8, 16, 32."""
        height, width = image.shape[-2:]
        right, bottom = (torch.sym_max(-length % self.stride, LEAST - length) for length in (width, height))
        features: list[Tensor] = self.encoder(F.pad(image, (0, right, 0, bottom), mode="replicate"))
        return features

    def decode(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor | list[Tensor]:
        """Disparity (B, 1, H, W) in (0, 1); in training also at 1/2, 1/4 and 1/8 of the size."""
        maps = [cut(logits.sigmoid(), size, 2**scale) for scale, logits in enumerate(self.decoder(features))]
        return maps if self.training else maps[0]

    def heads(self) -> list[nn.Conv2d]:
        """The disparity convolutions of scales 1, 1/2, 1/4 and 1/8."""
        return self.decoder.heads()

    @classmethod
    def load_public(cls, encoder: str | Path, depth: str | Path | None = None) -> Self:
        """Load a public checkpoint of monodepth2.

        Args:
            encoder: ``encoder.pth``, or the folder that holds it and ``depth.pth``.
            depth: ``depth.pth``; by default the one beside the encoder.

        Raises:
            InputError: a file is missing, is no state dict, or holds another network.
        """
        first, second = weight_files(encoder, depth)
        network = cls.build("monodepth2-resnet18")
        network.encoder.load(first)
        load_weights(network.decoder, read_weights(second), second, network.architecture)
        return network


class Decoder(nn.Module):
    """Five levels, each a convolution, nearest upsampling, the encoder's features beside it, and a convolution.

    Args:
        widths: channels of the encoder's features, finest first.
    """

    WIDTHS: ClassVar[tuple[int, ...]] = (16, 32, 64, 128, 256)
    SCALES = 4

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        before, layers = widths[-1], []
        for level in reversed(range(len(self.WIDTHS))):
            own, skip = self.WIDTHS[level], widths[level - 1] if level else 0
            layers += [ConvELU(before, own), ConvELU(own + skip, own)]
            before = own
        # In the order of the public state dicts: two convolutions for each level 4 to 0, then heads 0 to 3.
        self.decoder = nn.ModuleList([*layers, *(ReflectConv(width, 1) for width in self.WIDTHS[: self.SCALES])])

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Logits (B, 1, h, w) at 1 and, in training, 1/2, 1/4 and 1/8 of the extended image."""
        logits: list[Tensor] = []
        x, last = features[-1], len(self.WIDTHS) - 1
        for level in range(last, -1, -1):
            reduce, merge = self.decoder[2 * (last - level)], self.decoder[2 * (last - level) + 1]
            x = F.interpolate(reduce(x), scale_factor=2.0, mode="nearest")
            x = merge(torch.cat((x, features[level - 1]), dim=1) if level else x)
            if level == 0 or (self.training and level < self.SCALES):
                logits.insert(0, precisely(self.decoder[2 * (last + 1) + level], x))
        return logits

    def heads(self) -> list[nn.Conv2d]:
        """The disparity convolutions, finest first."""
        return [head.conv for head in self.decoder[-self.SCALES :] if isinstance(head, ReflectConv)]
