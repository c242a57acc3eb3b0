"""A network so small that it is exported in a moment."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leadline.checkpoint import Card
from leadline.foundation.leadline_model import LeadlineModel
from leadline.networks.base import DepthNetwork
from leadline.networks.student import Student


class Brightness(DepthNetwork):
    """Near is bright. Its features have ranges that differ by ``spread``, which the last layer undoes: in float that
    is the same function for every spread, in int8 the small features are lost."""

    stride, widths = 32, (6,)

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 1), nn.Conv2d(6, 1, 1)
        ranges = torch.tensor([1, 1, 1, spread, spread, spread])
        with torch.no_grad():
            self.first.weight.copy_(torch.eye(3).repeat(2, 1)[:, :, None, None])
            self.middle.weight.copy_(torch.diag(ranges)[:, :, None, None])
            self.last.weight.copy_((torch.tensor([6.0, 6, 6, 0.02, 0.02, 0.02]) / 6 / ranges)[None, :, None, None] * 2)
            for layer in (self.first, self.middle, self.last):
                nn.init.zeros_(layer.bias)
            nn.init.constant_(self.last.bias, -3)

    def encode(self, image: Tensor) -> list[Tensor]:
        return [self.middle(self.first(image).relu()).relu()]

    def decode(self, features, size):
        return self.last(features[0]).sigmoid()

    def heads(self):
        return [self.last]


def brightness(spread: float = 1.0, focal: float | None = None) -> LeadlineModel:
    """A model of it, for 64x96: of scale-invariant depth, or, for a focal length, of depth in metres."""
    kind, unit = ("metric-depth", "m") if focal else ("scale-invariant-depth", "arbitrary")
    card = Card("brightness", kind, unit, (64, 96), (0.5, 20.0), licence="mit", focal=focal)
    return LeadlineModel(Student(Brightness(spread), kind, unit, card.depth_range), card, "brightness")
