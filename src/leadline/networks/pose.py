"""How the camera moved between two frames, and what camera it is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.camera import Pinhole
from leadline.geometry.poses import axis_angle_to_matrix, compose, invert
from leadline.networks.encoders import pair_encoder

WIDTH = 256


class Motion(NamedTuple):
    """A camera's motion from the first of two frames to the second, in float32 also in mixed precision.

    Attributes:
        axis_angle: (B, 3) axis times angle in radians.
        translation: (B, 3) in the unit of the depth it is trained with.
        matrix: (B, 4, 4) of both: moves points from the first camera's axes to the second's.
        intrinsics: (B, 4) fx, fy, cx, cy in pixels of the images, or None where they are not learned.
    """

    axis_angle: Tensor
    translation: Tensor
    matrix: Tensor
    intrinsics: Tensor | None = None

    def inverse(self) -> Motion:
        """The motion from the second frame to the first."""
        with torch.autocast(self.matrix.device.type, enabled=False):
            matrix = invert(self.matrix)
        return Motion(-self.axis_angle, matrix[:, :3, 3], matrix, self.intrinsics)


class PoseNetwork(nn.Module):
    """Camera motion of a pair of frames, after monodepth2 (Godard et al., ICCV 2019).

    The coarsest features are squeezed to 256 channels, mixed by two 3x3 convolutions and averaged over the image.
    Intrinsics come from the same average, in the form of EndoDAC (Cui et al., MICCAI 2024, after Gordon et al., ICCV
    2019): (fx, fy) = (softplus(a) + 0.5) * (W, H), (cx, cy) = (b + 0.5) * (W, H), with a and b near zero at the start,
    so a field of view of about 45 degrees.

    Args:
        encoder: see :func:`leadline.networks.encoders.pair_encoder`.
        scale: factor of axis-angle and translation; it keeps the motion near none at the start.
        pretrained: start the encoder from weights learned before.
        intrinsics: learn them too.
        weights: which weights, for ``resnet18`` only.

    Raises:
        ConfigError: no such encoder, or its weights are not installed or not named.
        InputError: the weights cannot be read, or are another network's.
    """

    def __init__(
        self,
        encoder: str = "efficientnet-lite0",
        scale: float = 0.01,
        pretrained: bool = True,
        intrinsics: bool = False,
        weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.encoder = pair_encoder(encoder, 2, pretrained, weights)
        self.mix = nn.Sequential(
            nn.Conv2d(self.encoder.channels[-1], WIDTH, 1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.ReLU(),
        )
        # monodepth2 has a 1x1 convolution and averages its output: the same function, as both are linear.
        self.motion = nn.Linear(WIDTH, 6)
        self.lens = nn.Linear(WIDTH, 4) if intrinsics else None

    def forward(self, first: Tensor, second: Tensor) -> Motion:
        """The motion from ``first`` to ``second``, both (B, 3, H, W) RGB in [0, 1].

        The network learns one direction of time: give it the earlier frame first, or call :meth:`between`.
        """
        mixed = self.mix(self.encoder(first, second)[-1])
        # A motion rounded to bfloat16 would move far points by pixels.
        with torch.autocast(first.device.type, enabled=False):
            pooled = mixed.to(self.motion.weight.dtype).mean((2, 3))
            axis_angle, translation = (self.scale * self.motion(pooled)).split(3, dim=1)
            matrix = compose(axis_angle_to_matrix(axis_angle), translation)
            intrinsics = None
            if self.lens is not None:
                height, width = first.shape[-2:]
                focal, centre = self.lens(pooled).split(2, dim=1)
                shares = torch.cat((F.softplus(focal), centre), dim=1) + 0.5
                intrinsics = shares * shares.new_tensor([width, height, width, height])
        return Motion(axis_angle, translation, matrix, intrinsics)

    def between(self, middle: Tensor, source: Tensor, earlier: bool) -> Motion:
        """The motion from ``middle`` to ``source``; the network sees the earlier frame first in either case.

        Args:
            middle: (B, 3, H, W) RGB in [0, 1].
            source: (B, 3, H, W) RGB in [0, 1].
            earlier: the source was taken before the middle frame.
        """
        motion: Motion = self(source, middle).inverse() if earlier else self(middle, source)
        return motion


def camera_of(intrinsics: Tensor, height: int, width: int) -> Pinhole:
    """The camera of a batch: its parameters are tensors (B, 1, 1) through which gradients flow.

    Args:
        intrinsics: (B, 4) fx, fy, cx, cy in pixels of an image of this size.
        height: of the image.
        width: of the image.
    """
    return Pinhole(width, height, *intrinsics[..., None, None].unbind(1))
