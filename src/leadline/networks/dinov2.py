"""DINOv2 (Oquab et al., TMLR 2024) of the transformers library, small enough to be trained here: it stands in where no
foundation model can be had."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import yaml
from safetensors.torch import save_file
from torch import Tensor, nn

from leadline.io.atomic import write_json, write_text, writing

#: Colours of ImageNet, with which its images are normalised.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def config(width: int, blocks: int, heads: int, patch: int, grid: int, **further: Any) -> Any:
    """Transformers' configuration of a DINOv2, without the token of masked patches, which is for its own training.

    Args:
        width: of the tokens.
        blocks: how many.
        heads: of each attention.
        patch: its side in pixels.
        grid: patches along a side of the square whose positions are stored; those of other sizes are interpolated.
        further: settings of the configuration.
    """
    from transformers import Dinov2Config

    return Dinov2Config(
        hidden_size=width, num_hidden_layers=blocks, num_attention_heads=heads, patch_size=patch,
        image_size=patch * grid, use_mask_token=False, **further,
    )  # fmt: skip


@torch.no_grad()
def start(part: nn.Module) -> None:
    """Initial values for a small ViT: weights of deviation ``inputs ** -0.5``, positions told apart by sines and
    cosines. The library's (0.02 everywhere) are those of one ten times as wide with a hundred million images to learn
    from; with them a small one has learned in hundreds of steps where things lie in most images, and no more."""
    for layer in part.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
        elif (stored := getattr(layer, "position_embeddings", None)) is not None:
            # (1, 1 + places, width), first the class token's
            stored[:, 1:] = positions(math.isqrt(stored.shape[1] - 1), stored.shape[2])


def positions(side: int, width: int) -> Tensor:
    """(side ** 2, width), what tells the places of a square apart: sines and cosines of row and column, from one wave
    in two squares to one in four places.

    Args:
        side: of the square, in places.
        width: of the tokens; what is left over a multiple of 4 is 0.
    """
    waves = torch.pi / side * torch.logspace(0, 1, width // 4, base=max(side / 2, 1))
    phases = (torch.arange(side) + 0.5)[:, None] * waves
    along = torch.cat((phases.sin(), phases.cos()), dim=1)
    both = along[:, None].expand(-1, side, -1), along[None].expand(side, -1, -1)
    return F.pad(torch.cat(both, dim=2).flatten(0, 1), (0, width % 4))


class DINOv2(nn.Module):
    """The encoder, from scratch, see :func:`start`.

    Args:
        width: see :func:`config`, as all below.
        blocks: see there.
        heads: see there.
        patch: see there.
        grid: see there.
    """

    architecture = "dinov2"

    def __init__(self, width: int = 96, blocks: int = 6, heads: int = 3, patch: int = 8, grid: int = 16) -> None:
        super().__init__()
        from transformers import Dinov2Model

        self.options = {"width": width, "blocks": blocks, "heads": heads, "patch": patch, "grid": grid}
        self.network = Dinov2Model(config(width, blocks, heads, patch, grid))
        start(self.network)
        self.width, self.patch = width, patch

    def forward(self, image: Tensor) -> Tensor:
        """(B, width, H / patch, W / patch) of an image (B, 3, H, W) in [0, 1], sides multiples of the patch."""
        mean, std = (image.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        grid = [side // self.patch for side in image.shape[-2:]]
        tokens: Tensor = self.network(pixel_values=(image - mean) / std).last_hidden_state[:, 1:]
        return tokens.transpose(1, 2).unflatten(2, grid)

    def save_folder(self, folder: Path, licence: str) -> None:
        """Write it as transformers has it.

        Raises:
            InputError: a file cannot be written.
        """
        save_folder(self.network, folder, {"do_resize": False}, licence)


def save_folder(network: Any, folder: Path, steps: dict[str, Any], licence: str) -> None:
    """Write a network as a folder of transformers: configuration, preprocessing, licence, and, last, the weights.

    Args:
        network: of the library.
        folder: made where it is missing; files of these names are replaced.
        steps: of the preprocessing, beside ImageNet's colours.
        licence: of the weights.

    Raises:
        InputError: a file cannot be written.
    """
    known = {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "do_pad": False}
    settings = json.loads(network.config.to_json_string())
    write_json(folder / "config.json", settings, indent=2)
    colours = {"image_mean": list(MEAN), "image_std": list(STD)}
    write_json(folder / "preprocessor_config.json", known | colours | steps, indent=2)
    write_text(folder / "README.md", f"---\n{yaml.safe_dump({'license': licence})}---\n")
    with writing(folder / "model.safetensors") as temporary:
        weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
        save_file(weights, temporary, {"format": "pt"})
