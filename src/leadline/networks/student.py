"""A student: a network whose output has a meaning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, overload

import torch
from torch import Tensor, nn

from leadline.checkpoint import Card
from leadline.depth import ARBITRARY, Kind, check_unit
from leadline.errors import ConfigError, InputError
from leadline.networks import create
from leadline.networks.base import DepthNetwork, VideoNetwork
from leadline.networks.binned import Binned


class Student(nn.Module):
    """Turns a network's sigmoid disparity in (0, 1) into the quantity its card promises.

    Affine kinds keep the sigmoid (for affine depth its complement, so that larger is farther). All other kinds span
    a depth
    range: ``1/depth = 1/max + (1/min - 1/max) * sigmoid`` (Godard et al., ICCV 2019, sec. 3).

    Args:
        network: gives sigmoid disparity.
        kind: of the output.
        unit: of the output, ``arbitrary`` unless metric.
        depth_range: (min, max) depth spanned, in the unit of depth; needed for all but affine kinds.

    Raises:
        ConfigError: the depth range is missing or not 0 < min < max.
        KindError: unit and kind do not fit.
    """

    def __init__(
        self,
        network: DepthNetwork,
        kind: Kind | str,
        unit: str = ARBITRARY,
        depth_range: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.kind = Kind.parse(kind)
        self.unit = check_unit(self.kind, unit)
        if self.kind.up_to == "affine":
            depth_range = None
        elif depth_range is None or not 0 < depth_range[0] < depth_range[1] < math.inf:
            raise ConfigError(f"depth_range: a {self.kind} student needs 0 < min < max, not {depth_range}")
        self.depth_range = depth_range

    @overload
    def forward(self, image: Tensor) -> Tensor: ...
    @overload
    def forward(self, image: Tensor) -> list[Tensor]: ...  # type: ignore[overload-cannot-match]
    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Estimate.

        Args:
            image: (B, 3, H, W) RGB in [0, 1].

        Returns:
            (B, 1, H, W) in the student's kind and unit; in training a list of them, finest first.
        """
        output = self.network(image)
        if isinstance(output, list):
            return [self._express(scale) for scale in output]
        return self._express(output)

    def decode(self, features: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """The same of what the network's encoder gave: a list of maps, in eval mode of the finest alone.

        Args:
            features: of ``network.encode``.
            size: (height, width) of the image.
        """
        outputs = self.network.decode(features, size)
        return [self._express(output) for output in (outputs if isinstance(outputs, list) else [outputs])]

    def clip(self, images: Tensor) -> list[Tensor]:
        """Of clips (B, T, 3, H, W), whose frames a video network sees together: a list of maps (B T, 1, h, w), finest
        first, in eval mode of the finest alone."""
        if not isinstance(self.network, VideoNetwork):
            raise ConfigError(f"{self.network.architecture}: sees single images, no clips")
        features = self.network.encode(images.flatten(0, 1))
        outputs = self.network.decode(features, (images.shape[-2], images.shape[-1]), images.shape[1])
        return [self._express(output) for output in (outputs if isinstance(outputs, list) else [outputs])]

    def surrounding(self, images: Tensor, pairs: Tensor) -> Tensor:
        """Of all views (N, 3, H, W) of rigs, whose network looks from one at its neighbours: (N, 1, H, W).

        Args:
            images: of all views.
            pairs: (P, 2), who neighbours whom.
        """
        if not isinstance(self.network, Binned):
            raise ConfigError(f"{self.network.architecture}: sees single images, no rigs")
        output = self.network.decode(self.network.encode(images), (images.shape[-2], images.shape[-1]), pairs)
        return self._express(output[0] if isinstance(output, list) else output)

    def following(self, image: Tensor, memory: Any = None) -> tuple[Tensor, Any]:
        """Of the next frame (B, 3, H, W) of a live video, see :meth:`VideoNetwork.following`."""
        if not isinstance(self.network, VideoNetwork):
            raise ConfigError(f"{self.network.architecture}: sees single images, no video")
        output, memory = self.network.following(image, memory)
        return self._express(output), memory

    def _express(self, sigmoid: Tensor) -> Tensor:
        if self.depth_range is None:
            return sigmoid if self.kind.quantity == "disparity" else 1 - sigmoid
        nearest, farthest = self.depth_range
        disparity = 1 / farthest + (1 / nearest - 1 / farthest) * sigmoid
        return disparity if self.kind.quantity == "disparity" else 1 / disparity

    @classmethod
    def from_card(cls, card: Card, weights: dict[str, Tensor] | None = None, where: str = "checkpoint") -> Student:
        """The student a card describes, with ``weights`` loaded strictly where given.

        Raises:
            InputError: the weights do not belong to the architecture; the message names ``where``.
        """
        network = create(card.architecture, **({"pretrained": False} | card.options if weights else card.options))
        student = cls(network, card.kind, card.unit, card.depth_range)
        if weights is not None:
            try:
                network.load_state_dict(weights)
            except RuntimeError as error:
                reason = str(error).splitlines()[1:2] or [str(error)]
                raise InputError(
                    f"{where}: its weights are not those of {card.architecture} ({reason[0].strip()[:200]})"
                ) from None
        return student.eval()

    @torch.no_grad()
    def start_at(self, depth: float) -> None:
        """Set the output biases so that an untrained student answers about ``depth``, the labels' median.

        Without it the first hundreds of steps only move a constant.

        Raises:
            ConfigError: ``depth`` lies outside the depth range.
        """
        if self.depth_range is None:
            return
        nearest, farthest = self.depth_range
        if not nearest < depth < farthest:
            raise ConfigError(f"depth_range: the labels' median {depth:.4g} lies outside {self.depth_range}")
        self.network.start_at((1 / depth - 1 / farthest) / (1 / nearest - 1 / farthest))
