"""Binned: depth as the mean of bin centres under a probability per pixel, on any encoder.

Hybrid regression (Bhat et al., "AdaBins", CVPR 2021; Li et al., "BinsFormer", TIP 2024): where in the range a pixel
lies is a distribution over bins, which knows no unit; how far away the bins are is told by their centres. What two
branches have to agree on to speak of the same bins is one module, so that a teacher's features may pass through it too
("Scale-invariant and View-relational Representation Learning for Full Surround Monocular Depth", Hwang et al., RA-L
11(1), 2026, arXiv 2512.08700; its equations are not public, the form is ours).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.errors import ConfigError
from leadline.networks import create, has_pretrained
from leadline.networks.aggregation import by_head
from leadline.networks.base import DepthNetwork, cut, precisely
from leadline.networks.swift import ConvBN, Level

#: Where bins are predicted: at this part of the image's size.
STRIDE = 4
#: Channels of the decoder at 1/4, 1/8, 1/16 and 1/32.
WIDTHS = (48, 64, 96, 128)
#: Added to every bin's width before they are made to sum to 1, so that none vanishes.
LEAST = 0.1


class Bins(NamedTuple):
    """What is said of images.

    Args:
        logits: (B, N, h, w), whose softmax is the probability of each bin.
        centres: (B, N), ascending, in units of the nearest depth: in (1, ratio).
    """

    logits: Tensor
    centres: Tensor

    def mean(self) -> Tensor:
        """(B, 1, h, w) ``sum p_k c_k``, in units of the nearest depth."""
        return expected(self.logits, self.centres)


def expected(logits: Tensor, centres: Tensor) -> Tensor:
    """(B, 1, h, w) mean of the centres (B, N) under the softmax of logits (B, N, h, w)."""
    return precisely(lambda values: torch.einsum("bnhw,bn->bhw", values.softmax(dim=1), centres), logits)[:, None]


class Binning(nn.Module):
    """From features to bins: a distribution for each pixel, centres for each image.

    Bins divide the range in the logarithm of depth: their widths, after ReLU and 0.1 more, are made to sum to 1, and an
    edge at the part t of the sum lies at ``ratio ** t`` times the nearest depth. Equal widths are where it starts.

    Args:
        width: channels of the features.
        bins: how many.
        ratio: of the farthest depth to the nearest.
    """

    def __init__(self, width: int, bins: int, ratio: float) -> None:
        super().__init__()
        self.ratio = ratio
        self.logits = nn.Conv2d(width, bins, 1)
        self.widths = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, bins))
        last = self.widths[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.ones_(last.bias)

    def forward(self, features: Tensor) -> Bins:
        """Bins of features (B, width, h, w)."""
        logits = precisely(self.logits, features)
        widths = precisely(self.widths, features.mean(dim=(2, 3)))
        shares = F.relu(widths) + LEAST
        edges = F.pad((shares / shares.sum(dim=1, keepdim=True)).cumsum(dim=1), (1, 0))
        depth = torch.exp(math.log(self.ratio) * edges)
        return Bins(logits, (depth[:, 1:] + depth[:, :-1]) / 2)


class NeighbourAttention(nn.Module):
    """Views look at their neighbours on the ring::

        x_a + P(mean over neighbours b of softmax(Q(x_a) K(x_b)^T / sqrt(d)) V(x_b))

    with P zero at the start (our choice; the paper's students see each camera alone).

    Args:
        width: channels of the features; a multiple of :data:`leadline.networks.aggregation.HEADS`.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, width, 1)
        self.key_value = nn.Conv2d(width, 2 * width, 1)
        self.project = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, pairs: Tensor) -> Tensor:
        """Features (N, C, h, w) of all views, each with what its neighbours know.

        Args:
            features: of all views.
            pairs: (P, 2), who looks at whom; a view that looks at none stays what it is.
        """
        looking, seen = pairs.unbind(1)
        key, value = self.key_value(features).chunk(2, dim=1)
        query, key, value = (by_head(x) for x in (self.query(features), key, value))
        found = F.scaled_dot_product_attention(query[looking], key[seen], value[seen])
        found = found.transpose(2, 3).flatten(1, 2).unflatten(2, features.shape[-2:])
        known = torch.zeros_like(features).index_add(0, looking, found.to(features.dtype))
        count = features.new_zeros(features.shape[0]).index_add(
            0, looking, torch.ones_like(looking, dtype=features.dtype)
        )
        count = count[:, None, None, None]
        gathered: Tensor = self.project(known / count.clamp(min=1))
        return features + torch.where(count > 0, gathered, 0.0)


class Binned(DepthNetwork):
    """An encoder of another network, a light decoder up to a quarter of the image's size, and bins.

    What it gives is the disparity of the mean depth on the range whose ends are in the ratio ``ratio``, as every
    network's; the student's depth range must have that ratio.

    Args:
        backbone: the network whose encoder it has.
        pretrained: start the encoder from ImageNet features, where the backbone has them.
        bins: how many.
        width: channels of the features that are binned.
        ratio: of the farthest depth to the nearest.
        neighbours: views of a rig look at their neighbours, at the coarsest features; one that is shown alone does not.

    Raises:
        ConfigError: there are fewer than two bins, the ratio is not above 1, or there is no such backbone.
    """

    variants: ClassVar[dict[str, dict[str, Any]]] = {
        "swift-bins": {"backbone": "swift"},
        "litenet-bins": {"backbone": "litenet"},
    }

    def __init__(
        self,
        backbone: str = "swift",
        pretrained: bool = False,
        bins: int = 64,
        width: int = 128,
        ratio: float = 400.0,
        neighbours: bool = False,
    ) -> None:
        super().__init__()
        if bins < 2 or ratio <= 1:
            raise ConfigError(f"bins: at least 2 of them in a range whose ratio is above 1, not {bins} and {ratio:g}")
        features = {"pretrained": True} if pretrained and has_pretrained(backbone) else {}
        network = create(backbone, **features)
        self.ratio = float(ratio)
        self.encoder: Any = network.encoder
        self.widths, self.stride = network.widths, network.stride
        first = len(network.widths) + network.level(STRIDE)
        used = network.widths[first:]
        own = WIDTHS[: len(used)]
        self._first = first
        self.context = ConvBN(used[-1], own[-1], 1, relu=True)
        levels = zip(own[1:], used[:-1], own[:-1], strict=True)
        self.levels = nn.ModuleList(Level(below, skip, out) for below, skip, out in levels)
        self.attention = NeighbourAttention(own[-1]) if neighbours else None
        self.adapter = nn.Conv2d(own[0], width, 1)
        self.binning = Binning(width, bins, ratio)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Features (B, widths[i], h, w) of the image, extended at the right and at the bottom to a multiple of the
        stride: inside, every size halves exactly."""
        height, width = image.shape[-2:]
        features: list[Tensor] = self.encoder(
            F.pad(image, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        )
        return features

    def adapted(self, features: Sequence[Tensor], pairs: Tensor | None = None) -> Tensor:
        """(B, width, H / 4, W / 4) what is binned, of what ``encode`` gave; of views of rigs with ``pairs`` (P, 2), who
        neighbours whom among them."""
        *skips, x = features[self._first :]
        x = self.context(x)
        if self.attention is not None and pairs is not None:
            x = self.attention(x, pairs)
        for level, skip in zip(reversed(self.levels), reversed(skips), strict=True):
            x = level(x, skip)
        adapted: Tensor = self.adapter(x)
        return adapted

    def full(self, mean: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, 1, H, W) a map (B, 1, h, w) of the extended image, at the size of the image."""
        # The factor, not the size: torch.export would ask whether sizes are multiples of the stride.
        return cut(F.interpolate(mean, scale_factor=float(STRIDE), mode="bilinear"), size, 1)

    def decode(
        self, features: Sequence[Tensor], size: tuple[int, int], pairs: Tensor | None = None
    ) -> Tensor | list[Tensor]:
        """Disparity (B, 1, H, W) in (0, 1); in training a list of this one map. ``pairs`` as for :meth:`adapted`."""
        disparity = self.disparity(self.full(self.binning(self.adapted(features, pairs)).mean(), size))
        return [disparity] if self.training else disparity

    def disparity(self, depth: Tensor) -> Tensor:
        """Depth in units of the nearest one, as the share of the range of disparity."""
        return (1 / depth - 1 / self.ratio) / (1 - 1 / self.ratio)

    def heads(self) -> list[nn.Conv2d]:
        """None: bins start where they are."""
        return []
