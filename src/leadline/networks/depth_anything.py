"""Depth Anything (Yang et al., CVPR and NeurIPS 2024) of the transformers library, small enough to be trained here: it
stands in where no foundation model can be had."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.networks.base import DepthNetwork, precisely, resize
from leadline.networks.bridging import TAPS, nearest_multiple
from leadline.networks.dinov2 import MEAN, STD, config, save_folder, start
from leadline.networks.public import load_weights

#: Disparity of an untrained network, about the mean of what goes from 0 to 1.
MIDDLE = 0.3
#: Slope of the last activation below 0, in training.
LEAK = 0.2


def tapped(network: Any, normalised: Tensor) -> list[Tensor]:
    """Tokens of the blocks that the head of transformers' Depth Anything joins, without the class token.

    Args:
        network: a ``DepthAnythingForDepthEstimation``.
        normalised: (B, 3, H, W), sides multiples of the patch.

    Returns:
        (B, C, h, w) each.
    """
    side = network.config.patch_size
    grid = [length // side for length in normalised.shape[-2:]]
    maps = network.backbone(pixel_values=normalised).feature_maps
    return [tokens[:, 1:].transpose(1, 2).unflatten(2, grid) for tokens in maps]


def joined(network: Any, maps: Sequence[Tensor]) -> Tensor:
    """(B, H, W) float32, what the network's neck and head make of :func:`tapped` tokens."""
    rows, columns = maps[0].shape[-2:]
    # The neck drops the first token, which is the backbone's class token.
    tokens = [F.pad(each.flatten(2).transpose(1, 2), (0, 0, 1, 0)) for each in maps]
    fused = network.neck(tokens, rows, columns)[network.head.head_in_index]
    return precisely(lambda finest: network.head([finest] * TAPS, rows, columns), fused).float()


class Open(nn.ReLU):
    """A ReLU; in training it leaks, as what is 0 everywhere would stay so."""

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape."""
        return F.leaky_relu(x, LEAK) if self.training else F.relu(x)


class DepthAnythingNetwork(DepthNetwork):
    """A Depth Anything of any size, from scratch. Its disparity is at least 0 but, other than :class:`DepthNetwork`
    says, not bounded by 1; images whose sides are no multiples of the patch are seen at the nearest size that is one.

    Args:
        width: of the tokens.
        blocks: of the ViT; the last four are joined by the head.
        attention_heads: of the ViT.
        patch: side of a patch in pixels.
        grid: patches along a side of the square whose positions are stored.
        channels: of the four maps made of the tokens, finest first.
        fused: channels of the fused maps.
    """

    variants: ClassVar[dict[str, dict[str, Any]]] = {"depth-anything-tiny": {}}

    def __init__(
        self,
        width: int = 96,
        blocks: int = 6,
        attention_heads: int = 3,
        patch: int = 8,
        grid: int = 16,
        channels: Sequence[int] = (24, 48, 96, 96),
        fused: int = 32,
    ) -> None:
        super().__init__()
        from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

        taps = list(range(blocks - TAPS + 1, blocks + 1))
        backbone = config(
            width, blocks, attention_heads, patch, grid, out_indices=taps, reshape_hidden_states=False
        )  # fmt: skip
        self.network = DepthAnythingForDepthEstimation(
            DepthAnythingConfig(
                backbone_config=backbone, patch_size=patch, reassemble_hidden_size=width,
                neck_hidden_sizes=list(channels), fusion_hidden_size=fused, head_hidden_size=max(8, fused // 2),
            )
        )  # fmt: skip
        self.stride, self.widths = patch, (width,) * TAPS
        start(self.network.backbone)
        for part in (*self.network.neck.modules(), *self.network.head.modules()):
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
        for name, part in self.network.neck.named_modules():
            if name.endswith("convolution2"):  # the end of a residual branch, which begins by adding nothing
                nn.init.zeros_(part.weight)
        with torch.no_grad():
            self.network.head.conv3.weight.mul_(0.01)  # what comes there is large, and the answer begins near MIDDLE
        self.start_at(MIDDLE)
        self.network.head.activation2 = Open()
        # The first fusion has no second input.
        self.network.neck.fusion_stage.layers[0].residual_layer1.requires_grad_(False)

    def sees(self, height: int, width: int) -> tuple[int, int]:
        """The nearest multiples of the patch."""
        return nearest_multiple(height, self.stride), nearest_multiple(width, self.stride)

    def encode(self, image: Tensor) -> list[Tensor]:
        """(B, width, h, w) tokens of the last four blocks."""
        image = resize(image, self.sees(image.shape[-2], image.shape[-1]))
        mean, std = (image.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        return tapped(self.network, (image - mean) / std)

    def decode(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor | list[Tensor]:
        """Disparity (B, 1, H, W) >= 0; in training a list of it alone."""
        full = resize(joined(self.network, features)[:, None], size)
        return [full] if self.training else full

    def heads(self) -> list[nn.Conv2d]:
        """The last convolution."""
        last = self.network.head.conv3
        assert isinstance(last, nn.Conv2d)
        return [last]

    @torch.no_grad()
    def start_at(self, output: float) -> None:
        """Answer about ``output`` at the start."""
        nn.init.constant_(self.network.head.conv3.bias, output)

    def start_from(self, vit: nn.Module, name: str) -> None:
        """Take over the weights of a DINOv2 of transformers, which has this name.

        Raises:
            InputError: it is of other sizes.
        """
        load_weights(self.network.backbone, vit.state_dict(), name, f"the ViT of {self.architecture}")

    def save_folder(self, folder: Path, size: tuple[int, int], licence: str) -> None:
        """Write it as transformers has it, for images seen at about ``size`` (height, width).

        Raises:
            InputError: a file cannot be written.
        """
        steps = {
            "do_resize": True, "size": {"height": size[0], "width": size[1]}, "keep_aspect_ratio": True,
            "ensure_multiple_of": self.stride, "resample": 2,
        }  # fmt: skip
        save_folder(self.network, folder, steps, licence)
