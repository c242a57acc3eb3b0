"""Bridging gates: a frozen depth foundation model that is told by a frozen semantic one what is where.

After "Bridging Geometric and Semantic Foundation Models for Generalized Monocular Depth Estimation" (BriGeS, arXiv
2505.23400) and its public code. Only the gates are trained, and only they are in a checkpoint. Zero initialisation, and
the linear layer where the two models differ in width, are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.errors import ConfigError, InputError
from leadline.networks.base import DepthNetwork, resize

#: Of the depth model's blocks, as many as its head joins.
TAPS = 4


class DepthSource(Protocol):
    """What tells how far things are; :class:`leadline.foundation.transformers_depth.DepthAnything` is one."""

    digest: str

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """The size it sees an image of that size at."""
        ...

    def resize(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Images at such a size, by the filter it was trained with."""
        ...

    def encode(self, images: Tensor) -> list[Tensor]:
        """(B, C, h, w) tokens of the blocks that its head joins, of images (B, 3, H, W) in [0, 1]."""
        ...

    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """(B, H, W) disparity of such tokens."""
        ...


class SemanticSource(Protocol):
    """What tells what is where; :class:`leadline.foundation.semantics.SemanticEncoder` is one."""

    digest: str

    def tokens(self, images: Tensor) -> Tensor:
        """(B, C, h, w), which cover just the images (B, 3, H, W)."""
        ...


class Attention(nn.Module):
    """``softmax(Q K^T / (tau sqrt(d))) V`` of several heads, d channels each; tau above 1 flattens the attention.

    Args:
        width: of the tokens.
        heads: they share the width.
        temperature: tau > 0.
        learned: train tau, as the softplus of a parameter, from there.

    Raises:
        ConfigError: the heads cannot share the width, or tau is not positive.
    """

    def __init__(self, width: int, heads: int, temperature: float = 1.0, learned: bool = False) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ConfigError(f"heads: {heads} heads cannot share {width} channels")
        if not 0 < temperature < math.inf:
            raise ConfigError(f"temperature: must be above 0, not {temperature:g}")
        self.heads = heads
        self.query, self.key, self.value, self.project = (nn.Linear(width, width) for _ in range(4))
        self.fixed = temperature
        self.raw = nn.Parameter(torch.tensor(temperature).expm1().log()) if learned else None

    @property
    def temperature(self) -> float:
        """Tau as it is now."""
        return self.fixed if self.raw is None else float(F.softplus(self.raw.detach()))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """What (B, N, width) find in (B, M, width): (B, N, width)."""
        query, key, value = (
            layer(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, tokens in ((self.query, x), (self.key, context), (self.value, context))
        )
        scale = 1 / math.sqrt(query.shape[-1])
        if self.raw is None:
            scale /= self.fixed
        else:
            query = query / F.softplus(self.raw)
        found = F.scaled_dot_product_attention(query, key, value, scale=scale)
        projected: Tensor = self.project(found.transpose(1, 2).flatten(2))
        return projected


class BridgingGate(nn.Module):
    """Lets semantics y into the tokens x of one block (BriGeS)::

        x += Cross(LN(x), LN(y));  x += MLP(LN(x));  x += Self(LN(x));  x += MLP(LN(x))

    Every layer norm, attention and perceptron has weights of its own: 24 width^2 + 28 width parameters, 14,177,280 of
    ViT-B and 25,194,496 of ViT-L.

    Args:
        width: of either's tokens.
        heads: of either attention.
        temperature: of cross- and of self-attention.
        learned: train both, see :class:`Attention`.
        zero: start with zeros in the last layer of all four, so that at first x stays what it is, bit for bit.

    Raises:
        ConfigError: see :class:`Attention`.
    """

    def __init__(
        self,
        width: int,
        heads: int = 16,
        temperature: tuple[float, float] = (1.0, 1.0),
        learned: bool = False,
        zero: bool = True,
    ) -> None:
        super().__init__()
        cross, own = temperature
        self.norm_depth, self.norm_semantic = _norm(width), _norm(width)
        self.cross_attention = Attention(width, heads, cross, learned)
        self.norm_told, self.told = _norm(width), _perceptron(width)
        self.norm_self = _norm(width)
        self.self_attention = Attention(width, heads, own, learned)
        self.norm_out, self.out = _norm(width), _perceptron(width)
        if zero:
            for last in (self.cross_attention.project, self.told[-1], self.self_attention.project, self.out[-1]):
                assert isinstance(last, nn.Linear)
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Tokens (B, N, width) of the depth model, told by semantic ones (B, M, width)."""
        x = x + self.cross_attention(self.norm_depth(x), self.norm_semantic(y))
        x = x + self.told(self.norm_told(x))
        own = self.norm_self(x)
        x = x + self.self_attention(own, own)
        return x + self.out(self.norm_out(x))


class Bridged(DepthNetwork):
    """A frozen Depth Anything whose tapped tokens go through bridging gates before its frozen head.

    Its state dict holds the gates alone; :meth:`attach` gives it the two models before an image is asked about. The
    output is the depth model's disparity, known up to scale and shift: at least 0 but, other than
    :class:`DepthNetwork` says, not bounded by 1. Images whose sides are no multiples of the patch are seen at the
    nearest size that is one.

    Args:
        depth: name of the depth model, as ``leadline.foundation.load`` takes it.
        semantics: name of the semantic encoder, as ``leadline.foundation.semantics.open_encoder`` takes it.
        width: of the depth model's tokens.
        channels: of the semantic ones; where they differ from the width a linear layer, which the gates share, is
            trained.
        patch: pixels that one token of the depth model stands for, along each side.
        heads: of the gates.
        temperature: of the gates' cross- and self-attention.
        learned: train it.
        zero: start as the depth model alone.
        depth_digest: of the depth model, where it is known; another is then refused.
        semantics_digest: likewise of the encoder.

    Raises:
        ConfigError: see :class:`BridgingGate`.
    """

    variants: ClassVar[dict[str, dict[str, Any]]] = {"briges": {}}

    def __init__(
        self,
        depth: str = "depth-anything/Depth-Anything-V2-Small-hf",
        semantics: str = "facebook/dinov2-small",
        width: int = 384,
        channels: int = 384,
        patch: int = 14,
        heads: int = 16,
        temperature: tuple[float, float] = (1.0, 1.0),
        learned: bool = False,
        zero: bool = True,
        depth_digest: str = "",
        semantics_digest: str = "",
    ) -> None:
        super().__init__()
        self.depth_name, self.semantics_name = depth, semantics
        self.digests = depth_digest, semantics_digest
        self.stride, self.widths = patch, (width,) * TAPS
        self.bring = nn.Identity() if channels == width else nn.Linear(channels, width)
        self.gates = nn.ModuleList(BridgingGate(width, heads, temperature, learned, zero) for _ in range(TAPS))
        self._depth: DepthSource | None = None
        self._semantics: SemanticSource | None = None

    def attach(self, depth: DepthSource, semantics: SemanticSource) -> None:
        """Give it the two models.

        Raises:
            InputError: the weights of one are not those the gates were trained with.
        """
        names = self.depth_name, self.semantics_name
        for name, known, digest in zip(names, self.digests, (depth.digest, semantics.digest), strict=True):
            if known and digest != known:
                raise InputError(f"{name}: these are not the weights these gates were trained with")
        self._depth, self._semantics = depth, semantics

    @property
    def depth_source(self) -> DepthSource:
        """The depth model.

        Raises:
            ConfigError: it has not been attached.
        """
        return self._attached()[0]

    @property
    def temperature(self) -> tuple[float, float]:
        """Of cross- and self-attention, of learned ones the means over the gates."""
        pairs = [(gate.cross_attention.temperature, gate.self_attention.temperature) for gate in self._each()]
        cross, own = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
        return cross, own

    def set_temperature(self, cross: float, own: float) -> None:
        """Attend with other temperatures from now on; the options say so too.

        Raises:
            ConfigError: one is not above 0, or they are learned.
        """
        if not all(0 < value < math.inf for value in (cross, own)):
            raise ConfigError(f"temperature: must be above 0, not {cross:g} and {own:g}")
        for gate in self._each():
            if gate.cross_attention.raw is not None:
                raise ConfigError("temperature: these gates have learned theirs; it is not chosen afterwards")
            gate.cross_attention.fixed, gate.self_attention.fixed = cross, own
        self.options = self.options | {"temperature": [cross, own]}

    def sees(self, height: int, width: int) -> tuple[int, int]:
        """The nearest multiples of the patch."""
        return nearest_multiple(height, self.stride), nearest_multiple(width, self.stride)

    def encode(self, image: Tensor) -> list[Tensor]:
        """(B, width, h, w) tokens of the depth model's four tapped blocks, through the gates.

        Raises:
            ConfigError: the models have not been attached.
        """
        depth, semantics = self._attached()
        image = resize(image, self.sees(image.shape[-2], image.shape[-1]))
        # Nothing of either model asks for a gradient, so none is kept for them.
        maps = depth.encode(image)
        grid = (maps[0].shape[-2], maps[0].shape[-1])
        told = self.bring(_sequence(on_grid(semantics.tokens(image), grid)))
        return [
            gate(_sequence(tokens), told).transpose(1, 2).unflatten(2, grid)
            for gate, tokens in zip(self.gates, maps, strict=True)
        ]

    def decode(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor | list[Tensor]:
        """Disparity (B, 1, H, W) >= 0 by the depth model's head; in training a list of it alone."""
        full = resize(self._attached()[0].decode(features)[:, None], size)
        return [full] if self.training else full

    def heads(self) -> list[nn.Conv2d]:
        """None of its own."""
        return []

    def _attached(self) -> tuple[DepthSource, SemanticSource]:
        if self._depth is None or self._semantics is None:
            raise ConfigError(
                f"{self.architecture}: the depth model {self.depth_name} and the semantic encoder "
                f"{self.semantics_name} have not been attached"
            )
        return self._depth, self._semantics

    def _each(self) -> list[BridgingGate]:
        return [gate for gate in self.gates if isinstance(gate, BridgingGate)]


def on_grid(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Semantic features (B, C, h', w') on the grid (h, w) of depth tokens, which cover the same image: bilinear to
    twice the grid, then the larger of 2x2 (BriGeS)."""
    rows, columns = grid
    return F.max_pool2d(F.interpolate(maps, (2 * rows, 2 * columns), mode="bilinear"), 2)


def nearest_multiple(side: int, of: int) -> int:
    """The multiple nearest to a side, but at least one.

    Example:
        >>> nearest_multiple(256, 14), nearest_multiple(320, 14), nearest_multiple(3, 14)
        (252, 322, 14)
    """
    return max(1, round(side / of)) * of


def _norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=1e-6)


def _perceptron(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


def _sequence(maps: Tensor) -> Tensor:
    """(B, C, h, w) to (B, h w, C)."""
    return maps.flatten(2).transpose(1, 2)
