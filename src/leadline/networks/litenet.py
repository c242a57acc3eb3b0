"""LiteNet, the student of "Beyond Foundation Models" (Zhu et al., IEEE TMI 2026, doi 10.1109/TMI.2026.3690379).

Its encoder is that of Lite-Mono (Zhang et al., "Lite-Mono: A Lightweight CNN and Transformer Architecture for
Self-Supervised Monocular Depth Estimation", CVPR 2023): stages of dilated depthwise convolutions that each end in one
local-global block with cross-covariance attention. Its decoder differs from Lite-Mono's in the upsampling alone.
Names of modules follow the public checkpoints of both, which load as they are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.errors import ConfigError, InputError, suggest
from leadline.networks.base import DepthNetwork, precisely
from leadline.networks.public import load_weights, read_weights, weight_files

EXPANSION = 6
HEADS = 8
LAYER_SCALE = 1e-6
DROP_PATH = 0.2


class LiteNet(DepthNetwork):
    """Lite-Mono's encoder and decoder, with LiteNet's or Lite-Mono's upsampling.

    Disparity at scales 1, 1/2 and 1/4 in training. The LayerNorm of the dilated blocks takes no part in the function;
    it is there because the public state dicts hold it, and is not trained.

    Args:
        widths: channels at 1/4, 1/8 and 1/16 of the image's size; multiples of 8.
        depths: blocks in these three stages, the local-global one included.
        decoder: "litenet" upsamples with aligned corners, "litemono" with half-pixel centres.
        dilations: the training size whose dilation rates are used. Public checkpoints trained at 1024x320 have other
            rates with the same state dict; at any other size "640x192" is right.

    Raises:
        ConfigError: ``decoder`` or ``dilations`` is none of these.
    """

    variants: ClassVar[dict[str, dict[str, Any]]] = {
        "litenet-tiny": {"widths": (32, 64, 128), "depths": (4, 4, 7)},
        "litenet-small": {"widths": (48, 80, 128), "depths": (4, 4, 7)},
        "litenet": {"widths": (48, 80, 128), "depths": (4, 4, 10)},
        "litenet-8m": {"widths": (64, 128, 224), "depths": (4, 4, 10)},
    }
    stride = 16

    def __init__(
        self,
        widths: tuple[int, int, int] = (48, 80, 128),
        depths: tuple[int, int, int] = (4, 4, 10),
        decoder: Literal["litenet", "litemono"] = "litenet",
        dilations: Literal["640x192", "1024x320"] = "640x192",
    ) -> None:
        super().__init__()
        _one_of("decoder", decoder, ("litenet", "litemono"))
        _one_of("dilations", dilations, ("640x192", "1024x320"))
        self.widths = tuple(widths)
        # The public 8M model has one set of rates for both sizes.
        farthest = 5 if dilations == "1024x320" and self.widths != (64, 128, 224) else 3
        self.encoder = Encoder(self.widths, tuple(depths), farthest)
        self.decoder = Decoder(self.widths, align_corners=decoder == "litenet")

    def encode(self, image: Tensor) -> list[Tensor]:
        """Features (B, widths[i], H / s, W / s) for s = 4, 8, 16, rounded up."""
        features: list[Tensor] = self.encoder(image)
        return features

    def decode(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor | list[Tensor]:
        """Disparity (B, 1, H, W) in (0, 1); in training also at 1/2 and 1/4 of the size."""
        maps: list[Tensor] = self.decoder(features, size)
        return maps if self.training else maps[0]

    def heads(self) -> list[nn.Conv2d]:
        """The disparity convolutions of scales 1, 1/2 and 1/4."""
        return self.decoder.heads()

    @classmethod
    def load_public(
        cls,
        encoder: str | Path,
        depth: str | Path | None = None,
        decoder: Literal["litenet", "litemono"] = "litenet",
    ) -> Self:
        """Load a public LiteNet or Lite-Mono checkpoint. Size and dilation rates are read from it.

        Args:
            encoder: ``encoder.pth``, or the folder that holds it and ``depth.pth``.
            depth: ``depth.pth``; by default the one beside the encoder.
            decoder: whose upsampling the weights were trained with; the files do not say.

        Raises:
            InputError: a file is missing, is no state dict, or holds another network.
        """
        first, second = weight_files(encoder, depth)
        stored = read_weights(first)
        variant = _variant_of(stored, first)
        # The trainer of these repositories notes its input size beside the weights.
        at_1024 = (stored.get("height"), stored.get("width")) == (320, 1024)
        network = cls.build(variant, decoder=decoder, dilations="1024x320" if at_1024 else "640x192")
        load_weights(network.encoder, stored, first, variant)
        load_weights(network.decoder, read_weights(second), second, variant)
        return network


class Encoder(nn.Module):
    """Features at 1/4, 1/8, 1/16. The input, pooled, is shown again to the convolution into every stage.

    Args:
        widths: channels of the three stages.
        depths: blocks of the three stages.
        farthest: dilation rate of the third convolution, 3 or 5.
    """

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...], farthest: int) -> None:
        super().__init__()
        first, image = widths[0], 3
        self.downsample_layers = nn.ModuleList(
            [nn.Sequential(Conv(image, first, 2, True), Conv(first, first, 1, True), Conv(first, first, 1, True))]
        )
        for before, after in itertools.pairwise(widths):
            self.downsample_layers.append(nn.Sequential(Conv(2 * before + image, after, 2, False)))
        self.stem2 = nn.Sequential(Conv(first + image, first, 2, False))
        self.pool = nn.AvgPool2d(3, stride=2, padding=1)

        near, far = [1, 2, farthest], [2, 4, 2 * farthest]
        rates = [near, near, (near * depths[2])[: depths[2] - 4] + far]
        drop = torch.linspace(0, DROP_PATH, sum(depths)).tolist()
        self.stages = nn.ModuleList()
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            drops = [drop.pop(0) for _ in range(depth)]
            dilated = [DilatedBlock(width, r, d) for r, d in zip(rates[stage], drops[:-1], strict=True)]
            self.stages.append(nn.Sequential(*dilated, LocalGlobalBlock(width, drops[-1], position=stage == 0)))
        self.apply(_initialise_encoder)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features, finest first."""
        pooled = x = (image - 0.45) / 0.225
        x = self.downsample_layers[0](x)
        features = []
        for stage, blocks in enumerate(self.stages):
            pooled = self.pool(pooled)
            if stage == 0:
                entry = self.stem2(torch.cat((x, pooled), dim=1))
            else:
                entry = self.downsample_layers[stage](torch.cat((entry, x, pooled), dim=1))
            x = blocks(entry)
            features.append(x)
        return features


class Decoder(nn.Module):
    """Three levels of reflection-padded convolutions, upsampling and skips; one disparity head a level.

    Args:
        widths: channels of the encoder's features.
        align_corners: of the bilinear upsampling.
    """

    def __init__(self, widths: tuple[int, ...], align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        half = [width // 2 for width in widths]
        before, layers = widths[-1], []
        for level in (2, 1, 0):
            skip = widths[level - 1] if level else 0
            layers += [ConvELU(before, half[level]), ConvELU(half[level] + skip, half[level])]
            before = half[level]
        # In the order of the public state dicts: two convolutions for each level 2, 1, 0, then heads 0, 1, 2.
        self.decoder = nn.ModuleList([*layers, *(ReflectConv(width, 1) for width in half)])
        self.apply(_initialise_decoder)

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """Disparity maps, finest first; in eval mode the finest only."""
        maps: list[Tensor] = []
        x = features[-1]
        for level in (2, 1, 0):
            reduce, merge, head = (self.decoder[i] for i in (4 - 2 * level, 5 - 2 * level, 6 + level))
            # Sizes are rounded up at each halving, as in the encoder; for multiples of 16 this doubles them.
            step = 2 ** (level + 1)
            x = self._resize(reduce(x), size, step)
            x = merge(torch.cat((x, features[level - 1]), dim=1) if level else x)
            if self.training or level == 0:
                logits = self._resize(precisely(head, x), size, step // 2)
                maps.insert(0, logits.sigmoid())
        return maps

    def heads(self) -> list[nn.Conv2d]:
        """The disparity convolutions, finest first."""
        return [head.conv for head in self.decoder[6:] if isinstance(head, ReflectConv)]

    def _resize(self, x: Tensor, size: tuple[int, int], step: int) -> Tensor:
        rows, columns = ((length + step - 1) // step for length in size)
        return F.interpolate(x, (rows, columns), mode="bilinear", align_corners=self.align_corners)


class DilatedBlock(nn.Module):
    """Dilated depthwise convolution, then a pointwise inverted bottleneck, on a residual path (Lite-Mono's CDC)."""

    def __init__(self, width: int, dilation: int, drop: float) -> None:
        super().__init__()
        self.ddwconv = nn.ModuleDict(
            {"conv": nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, groups=width, bias=False)}
        )
        self.bn1 = nn.BatchNorm2d(width)
        # Unused, as in the public code: only the state dicts hold it.
        self.norm = nn.LayerNorm(width, eps=1e-6).requires_grad_(False)
        self.pwconv1 = nn.Linear(width, EXPANSION * width)
        self.pwconv2 = nn.Linear(EXPANSION * width, width)
        self.gamma = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.drop_path = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        y = self.bn1(self.ddwconv["conv"](x)).permute(0, 2, 3, 1)
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))
        return x + self.drop_path(y.permute(0, 3, 1, 2))


class LocalGlobalBlock(nn.Module):
    """Cross-covariance attention, then a pointwise inverted bottleneck (Lite-Mono's LGFI)."""

    def __init__(self, width: int, drop: float, position: bool) -> None:
        super().__init__()
        self.pos_embd = FourierPosition(width) if position else None
        self.norm_xca = nn.LayerNorm(width, eps=1e-6)
        self.gamma_xca = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.xca = CrossCovarianceAttention(width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pwconv1 = nn.Linear(width, EXPANSION * width)
        self.pwconv2 = nn.Linear(EXPANSION * width, width)
        self.gamma = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.drop_path = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        height, width = x.shape[-2:]
        y = x if self.pos_embd is None else x + self.pos_embd(height, width)
        y = y.flatten(2).transpose(1, 2)
        y = y + self.gamma_xca * self.xca(self.norm_xca(y))
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(self.norm(y))))
        return x + self.drop_path(y.transpose(1, 2).unflatten(2, (height, width)))


class CrossCovarianceAttention(nn.Module):
    """Attention between channels (El-Nouby et al., "XCiT", NeurIPS 2021): its cost is linear in the pixels.

    With q, k, v of shape (channels of a head, pixels), rows of q and k of unit length:
    softmax(temperature q k^T) v.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(HEADS, 1, 1))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        q, k, v = self.qkv(x).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 4, 1).unbind(0)
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        attention = (q @ k.transpose(-2, -1) * self.temperature).softmax(dim=-1)
        y: Tensor = self.proj((attention @ v).flatten(1, 2).transpose(1, 2))
        return y


class FourierPosition(nn.Module):
    """Sines and cosines of row and column (Vaswani et al. 2017, in the two-dimensional form of DETR), projected."""

    period: Tensor

    def __init__(self, width: int, frequencies: int = 32) -> None:
        super().__init__()
        self.token_projection = nn.Conv2d(2 * frequencies, width, 1)
        steps = torch.arange(frequencies, dtype=torch.float32) // 2
        self.register_buffer("period", 10000 ** (2 * steps / frequencies), persistent=False)

    def forward(self, height: int, width: int) -> Tensor:
        """The code (1, C, height, width)."""
        rows = self._code(height)[:, :, None].expand(-1, -1, width)
        columns = self._code(width)[:, None, :].expand(-1, height, -1)
        code: Tensor = self.token_projection(torch.cat((rows, columns))[None].to(self.token_projection.weight.dtype))
        return code

    def _code(self, length: int) -> Tensor:
        place = torch.arange(1, length + 1, device=self.period.device, dtype=torch.float32)
        angle = (place / (length + 1e-6) * (2 * math.pi)) / self.period[:, None]
        return torch.stack((angle[0::2].sin(), angle[1::2].cos()), dim=1).flatten(0, 1)


class DropPath(nn.Module):
    """Drops the residual path of whole samples in training (Huang et al., "Stochastic depth", ECCV 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """The path, or zeros, enlarged so that its mean stays."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        return x * (x.new_empty(x.shape[0], 1, 1, 1).bernoulli_(keep) / keep)


class Conv(nn.Module):
    """3x3 convolution, with batch normalisation and GELU where ``activate``."""

    def __init__(self, channels: int, out: int, stride: int, activate: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.bn_gelu = nn.ModuleDict({"bn": nn.BatchNorm2d(out)}) if activate else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out, H / stride, W / stride), rounded up."""
        x = self.conv(x)
        return x if self.bn_gelu is None else F.gelu(self.bn_gelu["bn"](x))


class ReflectConv(nn.Module):
    """Reflection-padded 3x3 convolution."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out, H, W)."""
        y: Tensor = self.conv(x)
        return y


class ConvELU(nn.Module):
    """Reflection-padded 3x3 convolution and ELU."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = ReflectConv(channels, out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out, H, W)."""
        return F.elu(self.conv(x))


def _initialise_encoder(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _initialise_decoder(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _one_of(key: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{key}: '{value}' is none of {', '.join(choices)}{suggest(value, choices)}")


def _variant_of(stored: dict[str, Any], path: Path) -> str:
    keys = [
        "downsample_layers.0.0.conv.weight",
        "downsample_layers.1.0.conv.weight",
        "downsample_layers.2.0.conv.weight",
    ]
    missing = [key for key in keys if not isinstance(stored.get(key), Tensor)]
    if missing:
        raise InputError(f"{path}: no tensor '{missing[0]}', so it is no LiteNet or Lite-Mono encoder")
    widths = tuple(stored[key].shape[0] for key in keys)
    depths = tuple(
        len({key.split(".")[2] for key in stored if key.startswith(f"stages.{stage}.")}) for stage in range(3)
    )
    for name, variant in LiteNet.variants.items():
        if (variant["widths"], variant["depths"]) == (widths, depths):
            return name
    raise InputError(f"{path}: widths {widths} with depths {depths} are no LiteNet size")
