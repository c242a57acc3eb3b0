"""A depth network that also takes images apart: I = L R, a diffuse image and a residual.

Choi et al., "Intrinsic Image Decomposition for Robust Self-supervised Monocular Depth Estimation on Reflective
Surfaces", AAAI 2025, arXiv 2503.22209: encoder shared, a second decoder for L and log R. The paper copies the depth
decoder; ours is one that fits every encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from leadline.errors import ConfigError
from leadline.networks.aggregation import Aggregated
from leadline.networks.base import DepthNetwork, VideoNetwork, precisely
from leadline.networks.binned import Binned
from leadline.networks.swift import ConvBN, Level

#: log R lies between these, both ways.
LIMIT = 4.0
#: Brightness below which, and below white by which, an image is taken to lie when L starts from it: a grey level.
EDGE = 1 / 255
#: Channels of the decoder at a stride, as a multiple of it; that of monodepth2's decoder.
WIDTH = 8


class Decomposed(DepthNetwork):
    """A plain depth network with a second decoder beside its own, for L and R.

    Asked for depth it is the plain network: the second decoder takes no part, and an exported graph does not hold it.
    Both lie in one state dict, as what was trained together belongs together: the mask of reflections needs the depth
    that goes with the decomposition.

    Args:
        backbone: architecture of the plain network.
        pretrained: start it from features learned before, where it has them.
        backbone_options: further arguments of the backbone.

    Raises:
        ConfigError: the backbone is not known, or not a plain network of single images.
    """

    variants: ClassVar[dict[str, dict[str, Any]]] = {"intrinsic": {}}

    def __init__(
        self,
        backbone: str = "swift",
        pretrained: bool = False,
        backbone_options: dict[str, Any] = {},  # noqa: B006 - never changed
    ) -> None:
        super().__init__()
        from leadline.networks import create, has_pretrained

        if backbone in self.variants:
            raise ConfigError(f"backbone: {backbone} takes images apart already")
        features = {"pretrained": pretrained} if has_pretrained(backbone) else {}
        self.backbone = create(backbone, **features, **backbone_options)
        if isinstance(self.backbone, Aggregated | Binned | VideoNetwork):
            raise ConfigError(f"backbone: {backbone} is no plain network of single images")
        self.stride, self.widths = self.backbone.stride, self.backbone.widths
        self.decomposition = Decoder(self.widths, self.stride)

    def encode(self, image: Tensor) -> list[Tensor]:
        """The backbone's."""
        return self.backbone.encode(image)

    def decode(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor | list[Tensor]:
        """The backbone's."""
        return self.backbone.decode(features, size)

    def heads(self) -> list[nn.Conv2d]:
        """The backbone's."""
        return self.backbone.heads()

    def decompose(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Take images apart.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            L (B, 3, H, W) in (0, 1), and log R (B, 3, H, W) in [-4, 4].
        """
        height, width = image.shape[-2:]
        whole = F.pad(image, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        diffuse, log_residual = self.decomposition(self.backbone.encode(whole), whole)
        return diffuse[..., :height, :width], log_residual[..., :height, :width]


class Decoder(nn.Module):
    """From features of an image to its L and log R.

    Levels as :class:`leadline.networks.swift.Decoder` has them; the last predicts all pixels of a place (sub-pixel
    convolution): ``L = sigmoid(logit I + a)``, ``log R = log I - log L + b``, so that what is taken from L goes to R
    and the two need not find each other (ours). It starts at a = b = 0, the decomposition of an image without
    reflections: L = I, R = 1.

    Args:
        widths: channels of the features, finest first, each half as large as the one before.
        stride: of the coarsest.
    """

    def __init__(self, widths: Sequence[int], stride: int) -> None:
        super().__init__()
        finest = stride // 2 ** (len(widths) - 1)
        *own, coarsest = (min(width, WIDTH * finest * 2**level) for level, width in enumerate(widths))
        self.context = ConvBN(widths[-1], coarsest, 1, relu=True)
        levels = zip([*own[1:], coarsest], widths[:-1], own, strict=True)
        self.levels = nn.ModuleList(Level(below, skip, width) for below, skip, width in levels)
        self.head = nn.Conv2d(own[0], 6 * finest**2, 1)
        self.finest = finest
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, features: Sequence[Tensor], image: Tensor) -> tuple[Tensor, Tensor]:
        """L in (0, 1) and log R in [-4, 4], each (B, 3, H, W), of an image (B, 3, H, W) whose sides are multiples of
        the stride, and its features."""
        x = self.context(features[-1])
        for level, skip in zip(reversed(self.levels), reversed(features[:-1]), strict=True):
            x = level(x, skip)
        changes = F.pixel_shuffle(precisely(self.head, x), self.finest)
        changes = changes[..., : image.shape[-2], : image.shape[-1]]  # encoders may extend small images
        change, beside = changes.chunk(2, dim=1)
        logits = image.to(change.dtype).clamp(EDGE, 1 - EDGE).logit()
        log_residual = F.logsigmoid(logits) - F.logsigmoid(logits + change) + beside
        return (logits + change).sigmoid(), log_residual.clamp(-LIMIT, LIMIT)
