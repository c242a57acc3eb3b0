"""What the self-supervision of AF-SfMLearner knows besides depth and motion: optical flow, and change of brightness.

Shao et al., "Self-Supervised Monocular Depth and Ego-Motion Estimation in Endoscopy: Appearance Flow to the Rescue",
Medical Image Analysis 2022. Under a light that moves with the camera a surface changes its brightness from frame to
frame; the appearance flow explains the change, so that depth and motion need not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.errors import ConfigError
from leadline.networks.encoders import pair_encoder
from leadline.networks.litenet import ConvELU, ReflectConv

WIDTHS = (16, 32, 64, 128, 256)  # of the decoder at 1, 1/2, ... 1/16


class PairNetwork(nn.Module):
    """An encoder of two images and a decoder of maps.

    Args:
        encoder: see :func:`leadline.networks.encoders.pair_encoder`.
        scales: how many maps, at 1, 1/2, 1/4, ... of the size; 1 to 5.
        pretrained: start the encoder from weights learned before.
        weights: which weights, for ``resnet18`` only.

    Raises:
        ConfigError: no such encoder or number of scales, or its weights are not installed or not named.
        InputError: the weights cannot be read, or are another network's.
    """

    #: Channels of the maps.
    out: ClassVar[int]

    def __init__(
        self,
        encoder: str = "efficientnet-lite0",
        scales: int = 4,
        pretrained: bool = True,
        weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.encoder = pair_encoder(encoder, 2, pretrained, weights)
        self.decoder = Decoder(self.encoder.channels, self.out, scales)

    def maps(self, first: Tensor, second: Tensor) -> list[Tensor]:
        """What the decoder makes of two images (B, 3, H, W), finest first."""
        return self.decoder(self.encoder(first, second), (first.shape[-2], first.shape[-1]))


class FlowNetwork(PairNetwork):
    """Optical flow from one image to another, near zero before training; see :class:`PairNetwork` for its parts."""

    out = 2

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        """Where the pixels of ``first`` are seen in ``second``.

        ``geometry.warp.follow(second, flow)`` looks like ``first``, where ``second`` sees it.

        Args:
            first: (B, 3, H, W) RGB in [0, 1].
            second: (B, 3, H, W) RGB in [0, 1].

        Returns:
            (B, 2, h, w) (right, down) in pixels of the full size at every scale, finest first; h and w are
            H / 2^s and W / 2^s, rounded up.
        """
        return self.maps(first, second)


class AppearanceNetwork(PairNetwork):
    """Change of brightness from one image to another that shows the same things at the same places, near none before
    training; see :class:`PairNetwork` for its parts."""

    out = 3

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        """What is to be added to ``second`` so that it has the brightness of ``first``.

        The target of the photometric loss is then ``clamp(second + change * visible, 0, 1)``, with ``visible`` 0 where
        the source does not see the middle frame's pixel, 1 elsewhere.

        Args:
            first: (B, 3, H, W) RGB in [0, 1], the source frame warped to the middle one by the optical flow.
            second: (B, 3, H, W) RGB in [0, 1], the middle frame.

        Returns:
            (B, 3, h, w) in (-1, 1), finest first; h and w are H / 2^s and W / 2^s, rounded up.
        """
        return [change.tanh() for change in self.maps(first, second)]


class Decoder(nn.Module):
    """monodepth2's decoder (Godard et al., ICCV 2019): five levels of reflection-padded convolutions, nearest
    upsampling and skips; one linear head a scale, whose maps are near zero before training.

    Args:
        channels: of the encoder's features, finest first.
        out: channels of the maps.
        scales: how many maps.

    Raises:
        ConfigError: ``scales`` is not 1 to 5.
    """

    def __init__(self, channels: Sequence[int], out: int, scales: int) -> None:
        super().__init__()
        if not 1 <= scales <= len(WIDTHS):
            raise ConfigError(f"scales: {scales} is not 1 to {len(WIDTHS)}")
        below, skips = (*WIDTHS[1:], channels[-1]), (0, *channels[:-1])
        self.reduce = nn.ModuleList(ConvELU(before, width) for before, width in zip(below, WIDTHS, strict=True))
        self.merge = nn.ModuleList(ConvELU(width + skip, width) for width, skip in zip(WIDTHS, skips, strict=True))
        self.heads = nn.ModuleList(ReflectConv(width, out) for width in WIDTHS[:scales])
        # AF-SfMLearner does so for flow alone. Features of EfficientNet-Lite are not bounded: by other weights the
        # brightness would change by half at the start.
        for parameter in self.heads.parameters():
            nn.init.normal_(parameter, std=1e-5)

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """Maps (B, out, h, w), in float32 also in mixed precision, finest first.

        Args:
            features: at 1/2 to 1/32 of a size that contains ``size``.
            size: (H, W) of the part that is wanted, at the top left.
        """
        maps: list[Tensor] = []
        x = features[-1]
        for level in reversed(range(len(WIDTHS))):
            x = F.interpolate(self.reduce[level](x), scale_factor=2.0, mode="nearest")
            x = self.merge[level](torch.cat((x, features[level - 1]), dim=1) if level else x)
            if level < len(self.heads):
                # bfloat16 would round a flow of 20 pixels by a tenth of one.
                with torch.autocast(x.device.type, enabled=False):
                    whole = self.heads[level](x.to(next(self.heads.parameters()).dtype))
                rows, columns = (-(-length // 2**level) for length in size)
                maps.insert(0, whole[..., :rows, :columns])
        return maps
