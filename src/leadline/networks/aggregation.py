"""Geometric-semantic aggregation encoding (GSAE): a depth network that is told what is where.

After "VFM-Depth: Leveraging Vision Foundation Model for Self-Supervised Monocular Depth Estimation" (Yu et al., IEEE
TCSVT 2025, doi 10.1109/TCSVT.2024.3523702), of which only the abstract is open: semantic features of a foundation model
and geometric features of the depth network are each encoded and then fused. How, is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.errors import ConfigError, InputError
from leadline.networks.base import DepthNetwork

HEADS = 4
#: Of the feature maps that are fused, coarsest first.
STRIDES = (16, 8)
#: Of the semantic features; at 1/8 every one of them is seen, which is what pooling finer ones 2x2 would give.
TOKENS = 16
#: Channels of either stream where they meet.
WIDTH = 64


class SemanticSource(Protocol):
    """What tells what is where; :class:`leadline.foundation.semantics.SemanticEncoder` is one."""

    digest: str

    def under(self, images: Tensor, grid: tuple[int, int], stride: int, blocks: Sequence[int]) -> Tensor:
        """(B, C, h, w) semantic features, one for each place of a grid."""
        ...


class Aggregated(DepthNetwork):
    """A depth network whose features at 1/16 and 1/8 are fused with those of a frozen semantic encoder.

    At the start the fusion adds zeros: the network is the plain one, bit for bit. The encoder is no part of the state
    dict; :meth:`attach` gives it to the network before an image is asked about.

    Args:
        backbone: architecture of the plain network.
        semantics: name of the encoder, as ``leadline.foundation.semantics.open_encoder`` takes it.
        channels: of its features, those of ``blocks`` side by side.
        blocks: of the encoder whose features are used; none takes its last layer's.
        fusion: ``attention`` or ``concatenation``.
        digest: of the encoder's weights, where they are known; others are then refused.
        pretrained: start the backbone from features learned before, where it has them.
        backbone_options: further arguments of the backbone.

    Raises:
        ConfigError: the backbone is not known or is none that can be fused with, or there is no such fusion.
    """

    variants: ClassVar[dict[str, dict[str, Any]]] = {"gsae": {}}

    def __init__(
        self,
        backbone: str = "litenet-8m",
        semantics: str = "efficientnet-lite0",
        channels: int = 320,
        blocks: Sequence[int] = (),
        fusion: Literal["attention", "concatenation"] = "attention",
        digest: str = "",
        pretrained: bool = False,
        backbone_options: dict[str, Any] = {},  # noqa: B006 - never changed
    ) -> None:
        super().__init__()
        from leadline.networks import create, has_pretrained

        if fusion not in FUSIONS:
            raise ConfigError(f"fusion: '{fusion}' is not one of {', '.join(FUSIONS)}")
        if backbone in self.variants:
            raise ConfigError(f"backbone: {backbone} is fused already")
        features = {"pretrained": pretrained} if has_pretrained(backbone) else {}
        self.backbone = create(backbone, **features, **backbone_options)
        self.stride, self.widths = self.backbone.stride, self.backbone.widths
        self.name, self.channels, self.blocks, self.digest = semantics, channels, tuple(blocks), digest
        self.levels = [self.backbone.level(stride) for stride in STRIDES]
        self.fusions = nn.ModuleList(FUSIONS[fusion](self.widths[level], channels) for level in self.levels)
        self._semantics: SemanticSource | None = None

    def attach(self, semantics: SemanticSource) -> None:
        """Give it the encoder.

        Raises:
            InputError: the weights are not those it was trained with.
        """
        if self.digest and semantics.digest != self.digest:
            raise InputError(f"{self.name}: these are not the weights this network was trained with")
        self._semantics = semantics

    def tokens(self, image: Tensor, like: Sequence[Tensor]) -> Tensor:
        """Semantic features (B, channels, h, w) of an image (B, 3, H, W), one for each place of the backbone's features
        at 1/16.

        Raises:
            ConfigError: no encoder was attached.
        """
        if self._semantics is None:
            raise ConfigError(f"{self.architecture}: the semantic encoder {self.name} has not been attached")
        rows, columns = like[self.levels[0]].shape[-2:]
        with torch.no_grad():
            return self._semantics.under(image, (rows, columns), TOKENS, self.blocks)

    def encode(self, image: Tensor) -> list[Tensor]:
        """The backbone's features of the image, fused."""
        features = self.backbone.encode(image)
        return self.fuse(features, self.tokens(image, features))

    def fuse(self, features: Sequence[Tensor], tokens: Tensor) -> list[Tensor]:
        """The backbone's features with semantic ones (B, channels, h, w) fused in."""
        fused = list(features)
        for level, fusion in zip(self.levels, self.fusions, strict=True):
            fused[level] = fusion(features[level], tokens)
        return fused

    def decode(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor | list[Tensor]:
        """The backbone's."""
        return self.backbone.decode(features, size)

    def heads(self) -> list[nn.Conv2d]:
        """The backbone's."""
        return self.backbone.heads()


class Stream(nn.Sequential):
    """One of the two streams, encoded: 1x1 convolution, norm, GELU, 3x3 depthwise convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, WIDTH, 1),
            nn.GroupNorm(1, WIDTH),
            nn.GELU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH),
        )


class CrossAttention(nn.Module):
    """Every geometric feature looks for semantic ones, of the whole image::

        A = softmax(Q(G) K(S)^T / sqrt(d)) V(S),   g = sigmoid(W [G; A]),   F = G + g P(A)

    with G and S encoded where they are compared, four heads, a gate g for every channel and place, and P zero at the
    start.

    Args:
        width: channels of the geometric features.
        channels: of the semantic ones.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.geometric, self.semantic = Stream(width), Stream(channels)
        self.query = nn.Conv2d(WIDTH, WIDTH, 1)
        self.key_value = nn.Conv2d(WIDTH, 2 * WIDTH, 1)
        self.gate = nn.Conv2d(2 * WIDTH, width, 1)
        self.project = _nothing(WIDTH, width)

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """(B, width, H, W) and (B, channels, h, w) to (B, width, H, W)."""
        geometric = self.geometric(features)
        key, value = self.key_value(self.semantic(tokens)).chunk(2, dim=1)
        found = F.scaled_dot_product_attention(by_head(self.query(geometric)), by_head(key), by_head(value))
        aggregated = found.transpose(2, 3).flatten(1, 2).unflatten(2, features.shape[-2:])
        gate = self.gate(torch.cat((geometric, aggregated), dim=1)).sigmoid()
        fused: Tensor = features + gate * self.project(aggregated)
        return fused


class Concatenation(nn.Module):
    """The plain way, to compare with: ``F = G + P([G; S])``, the semantic features brought to the grid of the geometric
    ones; arguments as those of :class:`CrossAttention`."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.geometric, self.semantic = Stream(width), Stream(channels)
        self.project = _nothing(2 * WIDTH, width)

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """(B, width, H, W) and (B, channels, h, w) to (B, width, H, W)."""
        semantic = F.interpolate(self.semantic(tokens), features.shape[-2:], mode="bilinear")
        fused: Tensor = features + self.project(torch.cat((self.geometric(features), semantic), dim=1))
        return fused


FUSIONS: dict[str, type[nn.Module]] = {"attention": CrossAttention, "concatenation": Concatenation}
"""The ways to fuse, by name."""


def _nothing(channels: int, width: int) -> nn.Conv2d:
    """A 1x1 convolution that gives zeros until it has learned."""
    convolution = nn.Conv2d(channels, width, 1)
    nn.init.zeros_(convolution.weight)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return convolution


def by_head(x: Tensor) -> Tensor:
    """(B, C, h, w) to (B, HEADS, h w, C / HEADS)."""
    return x.flatten(2).unflatten(1, (HEADS, -1)).transpose(2, 3)
