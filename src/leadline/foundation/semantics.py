"""Semantic encoders: DINOv2, DINOv3, Swin and SAM of the transformers library, and EfficientNet-Lite, which comes with
leadline's own students.

They are frozen and only tell what is seen where; nothing of them is trained or saved. Weights come from a folder or
from the Hugging Face hub, as safetensors only, and no code from there is ever run.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.errors import ConfigError, InputError, suggest
from leadline.foundation.base import digest
from leadline.foundation.licences import licence_of
from leadline.foundation.transformers_files import HUB_NAME, fetch, load_network, read_config
from leadline.networks.base import resize
from leadline.networks.encoders import LITE
from leadline.networks.swift import EfficientNetLite, imagenet_file

IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}


def open_encoder(spec: str) -> SemanticEncoder:
    """The semantic encoder that ``spec`` names.

    Args:
        spec: ``efficientnet-lite0``, ``-lite1`` or ``-lite2``, which need no download; a folder with ``config.json``,
            ``preprocessor_config.json`` and safetensors of a DINOv2, DINOv3, Swin or SAM of transformers; or such a
            model's name on the hub (``owner/name``), fetched once, then cached.

    Raises:
        InputError: nothing there, files missing or unreadable, weights of another network, or a network that is no
            semantic encoder.
        ConfigError: the ImageNet weights of EfficientNet-Lite are not installed.
    """
    if spec in LITE:
        return EfficientNetEncoder(LITE[spec])
    folder = Path(spec)
    local = folder.is_dir()
    if not local:
        if not HUB_NAME.fullmatch(spec):
            raise InputError(
                f"{spec}: no semantic encoder of this name{suggest(spec, LITE)} (there are {', '.join(LITE)}, folders "
                "with a transformers config.json, and hub names such as facebook/dinov2-small)"
            )
        folder = fetch(spec)
    model_type = str(read_config(folder / "config.json").get("model_type"))
    families = {name: family for family in (DINO, Swin, SAM) for name in family.model_types}
    if model_type not in families:
        raise InputError(
            f"{spec}: model type {model_type!r} is no semantic encoder{suggest(model_type, families)} (there are "
            f"{', '.join(families)})"
        )
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise InputError(f"{spec}: no model.safetensors in it; weights in other formats are not loaded")
    steps = IMAGENET | read_config(folder / "preprocessor_config.json")
    mean, std = (_colours(steps[key], key, spec) for key in IMAGENET)
    family = families[model_type]
    from transformers import AutoModel

    whole = load_network(AutoModel, folder, spec, lambda key: not key.startswith(family.part))
    network = whole.get_submodule(family.part)
    weights = digest(files, family.__name__, str(mean), str(std))
    return family(network, mean, std, folder.name if local else spec, licence_of(folder, spec), weights)


class SemanticEncoder(ABC):
    """Images in, semantic features out.

    Frozen and always in eval mode: no gradient reaches its weights, but the features can be differentiated with
    respect to the images. It goes to the device its images are on. It is no ``nn.Module``, so that the state dict of
    whoever holds it does not contain it. Features are float32, under autocast too.

    Images of any size are resized (bilinear, antialiased) to one the network takes; tokens always cover the whole
    image and nothing else, token (0, 0) its upper left corner.

    Args:
        network: the loaded network.
        mean: of the colours, subtracted from RGB [0, 1].
        std: divided by after that.
        name: for messages and cards.
        licence: of the weights, ``unknown`` where nothing is stated.
        digest: identifies weights and preprocessing.

    Attributes:
        channels: C of the tokens and of the pooled vector.
        stride: pixels of the network's input that one token stands for, along each side.
    """

    channels: int
    stride: int

    def __init__(
        self, network: nn.Module, mean: Sequence[float], std: Sequence[float], name: str, licence: str, digest: str
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.mean, self.std = tuple(mean), tuple(std)
        self.name = name
        self.licence = licence
        self.digest = digest
        self._device = torch.device("cpu")

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Itself: it never changes, so the averaged copy of whoever holds it shares it."""
        return self

    def tokens(self, images: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        """Features of the last layer.

        Args:
            images: (B, 3, H, W) RGB in [0, 1].
            grid: (h, w) wanted, whatever the image's size: DINO sees the image at the size that gives just these
                patches, the others' tokens are resized. By default about (H, W) / ``stride``.

        Returns:
            (B, C, h, w) float32.
        """
        maps = self.features(self.prepared(images, self.input_size(images.shape[-2], images.shape[-1], grid))).float()
        return maps if grid is None else resize(maps, grid)

    def blocks(self, images: Tensor, indices: Sequence[int], grid: tuple[int, int] | None = None) -> list[Tensor]:
        """Features after single blocks, (B, C, h, w) each; see :meth:`tokens`.

        Raises:
            ConfigError: this encoder gives those of its last layer only, or has no such block.
        """
        raise ConfigError(f"{self.name}: gives features of its last layer only; those of single blocks DINO gives")

    def under(self, images: Tensor, grid: tuple[int, int], stride: int, blocks: Sequence[int] = ()) -> Tensor:
        """One token for each feature of another network, whose grid may reach beyond the image at the right and bottom:
        there the image's border is repeated.

        Args:
            images: (B, 3, H, W) RGB in [0, 1].
            grid: (h, w) of the features.
            stride: pixels of the image that one of them stands for, along each side.
            blocks: indices of blocks whose features are laid side by side; by default the tokens.

        Returns:
            (B, C, h, w) float32, C = ``channels`` times the number of blocks.

        Raises:
            ConfigError: see :meth:`blocks`.
        """
        rows, columns = (stride * cells - side for cells, side in zip(grid, images.shape[-2:], strict=True))
        images = F.pad(images, (0, columns, 0, rows), mode="replicate")
        return torch.cat(self.blocks(images, blocks, grid), dim=1) if blocks else self.tokens(images, grid)

    def pooled(self, images: Tensor) -> Tensor:
        """One vector for each image, (B, C) float32: the mean of the tokens, of DINO the class token."""
        return self.tokens(images).mean(dim=(-2, -1))

    @abstractmethod
    def features(self, prepared: Tensor) -> Tensor:
        """(B, C, h, w) of images (B, 3, h', w') as :meth:`prepared` gives them."""

    def input_size(self, height: int, width: int, grid: tuple[int, int] | None = None) -> tuple[int, int]:
        """(height, width) at which the network sees an image of that size: the nearest multiples of ``stride``."""
        return _multiple(height, self.stride), _multiple(width, self.stride)

    def prepared(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Images as the network was trained on, of ``size``; the network follows them to their device."""
        if images.device != self._device:
            self.network.to(images.device)
            self._device = images.device
        images = resize(images.float(), size)
        mean, std = (images.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (images - mean) / std


class EfficientNetEncoder(SemanticEncoder):
    """ImageNet features of EfficientNet-Lite at 1/32, the last before its classifier.

    Those at 1/16 are finer, but less semantic, and are what leadline's fast student itself starts from: aligned with
    them it would learn to stay where it is.

    Args:
        lite: which EfficientNet-Lite: 0, 1 or 2.

    Raises:
        ConfigError: its ImageNet weights are not installed.
    """

    stride = 32

    def __init__(self, lite: int) -> None:
        network = EfficientNetLite(lite)
        network.load_imagenet()
        name = f"efficientnet-lite{lite}"
        # The network normalises its input itself.
        super().__init__(
            network, (0.0,) * 3, (1.0,) * 3, name, "apache-2.0", digest([imagenet_file(lite)], type(self).__name__)
        )
        self.channels = network.widths[-1]

    def features(self, prepared: Tensor) -> Tensor:
        """See :meth:`SemanticEncoder.features`."""
        coarsest: Tensor = self.network(prepared)[-1]
        return coarsest


class TransformersEncoder(SemanticEncoder):
    """A family of transformers, told by ``model_type`` in config.json."""

    model_types: ClassVar[tuple[str, ...]]
    #: The module that is used, where it is not the whole network.
    part: ClassVar[str] = ""

    network: Any


class DINO(TransformersEncoder):
    """DINOv2 (Oquab et al., TMLR 2024), with registers or without, and DINOv3 (Siméoni et al., 2025): patch tokens.

    The pooled vector is the class token.
    """

    model_types = ("dinov2", "dinov2_with_registers", "dinov3_vit")

    def __init__(self, network: Any, *args: Any) -> None:
        super().__init__(network, *args)
        self.channels, self.stride = network.config.hidden_size, network.config.patch_size

    def input_size(self, height: int, width: int, grid: tuple[int, int] | None = None) -> tuple[int, int]:
        """See :meth:`SemanticEncoder.input_size`; with a grid, the size that has just these patches."""
        if grid is None:
            return super().input_size(height, width)
        return grid[0] * self.stride, grid[1] * self.stride

    def features(self, prepared: Tensor) -> Tensor:
        """See :meth:`SemanticEncoder.features`."""
        return self._patches(self.network(pixel_values=prepared).last_hidden_state, prepared)

    def pooled(self, images: Tensor) -> Tensor:
        """See :meth:`SemanticEncoder.pooled`."""
        prepared = self.prepared(images, self.input_size(images.shape[-2], images.shape[-1]))
        token: Tensor = self.network(pixel_values=prepared).last_hidden_state[:, 0]
        return token.float()

    def blocks(self, images: Tensor, indices: Sequence[int], grid: tuple[int, int] | None = None) -> list[Tensor]:
        """See :meth:`SemanticEncoder.blocks`; each is put through the network's final norm, as Depth Anything does.

        Args:
            images: (B, 3, H, W) RGB in [0, 1].
            indices: of the blocks, from 0; the last one's features are the tokens.
            grid: (h, w) wanted.
        """
        count = self.network.config.num_hidden_layers
        if wrong := [index for index in indices if not 0 <= index < count]:
            raise ConfigError(f"blocks: {self.name} has blocks 0 to {count - 1}, none {wrong[0]}")
        prepared = self.prepared(images, self.input_size(images.shape[-2], images.shape[-1], grid))
        # The first of the hidden states is what goes into block 0.
        states = self.network(pixel_values=prepared, output_hidden_states=True).hidden_states[1:]
        norm = self.network.norm if hasattr(self.network, "norm") else self.network.layernorm
        return [self._patches(norm(states[index]), prepared).float() for index in indices]

    def _patches(self, sequence: Tensor, prepared: Tensor) -> Tensor:
        """(B, C, h, w) of (B, N, C), where class token and registers come before the patches."""
        rows, columns = (side // self.stride for side in prepared.shape[-2:])
        return sequence[:, -rows * columns :].transpose(1, 2).unflatten(2, (rows, columns))


class Swin(TransformersEncoder):
    """Swin Transformer (Liu et al., ICCV 2021): features of the last stage, normalised, at 1/32.

    Small images are enlarged until a window fits into the last stage, 224 pixels for the published sizes.
    """

    model_types = ("swin",)

    def __init__(self, network: Any, *args: Any) -> None:
        super().__init__(network, *args)
        config = network.config
        self.channels, self.stride = network.num_features, config.patch_size * 2 ** (len(config.depths) - 1)
        self._smallest = config.window_size * self.stride
        blocks = [block for stage in network.encoder.layers for block in stage.blocks]
        self._windows = [(block, block.window_size, block.shift_size) for block in blocks]

    def input_size(self, height: int, width: int, grid: tuple[int, int] | None = None) -> tuple[int, int]:
        """See :meth:`SemanticEncoder.input_size`."""
        larger = max(1.0, self._smallest / min(height, width))
        return _multiple(larger * height, self.stride), _multiple(larger * width, self.stride)

    def features(self, prepared: Tensor) -> Tensor:
        """See :meth:`SemanticEncoder.features`."""
        # A stage of one window's size makes transformers switch shifting off for good; the answer to an image must
        # not depend on the images before it.
        for block, window, shift in self._windows:
            block.window_size, block.shift_size = window, shift
        sequence: Tensor = self.network(pixel_values=prepared, interpolate_pos_encoding=True).last_hidden_state
        return sequence.transpose(1, 2).unflatten(2, [side // self.stride for side in prepared.shape[-2:]])


class SAM(TransformersEncoder):
    """Image encoder of Segment Anything (Kirillov et al., ICCV 2023): output of the last block, without the neck.

    So its width is the transformer's (768 for ViT-B), as BriGeS (arXiv 2505.23400) needs it. The image's longer side
    takes the full input size (1024), the shorter one the nearest number of whole patches, and the rest is padded with
    zeros; tokens of the padding are cut off.
    """

    model_types = ("sam",)
    part = "vision_encoder"

    def __init__(self, network: Any, *args: Any) -> None:
        super().__init__(network, *args)
        self.channels, self.stride = network.config.hidden_size, network.config.patch_size
        self._side = network.config.image_size
        network.neck = nn.Identity().eval()

    def input_size(self, height: int, width: int, grid: tuple[int, int] | None = None) -> tuple[int, int]:
        """(height, width) of the image within the padded square."""
        scale = self._side / max(height, width)
        return _multiple(scale * height, self.stride), _multiple(scale * width, self.stride)

    def features(self, prepared: Tensor) -> Tensor:
        """See :meth:`SemanticEncoder.features`."""
        height, width = prepared.shape[-2:]
        square = F.pad(prepared, (0, self._side - width, 0, self._side - height))
        maps: Tensor = self.network(pixel_values=square).last_hidden_state.permute(0, 3, 1, 2)
        return maps[..., : height // self.stride, : width // self.stride]


def _multiple(side: float, of: int) -> int:
    """The multiple of ``of`` nearest to a side, but at least one."""
    return max(1, math.floor(side / of + 0.5)) * of


def _colours(values: Any, key: str, spec: str) -> tuple[float, ...]:
    """Three numbers of ``preprocessor_config.json``."""
    if isinstance(values, list | tuple) and len(values) == 3 and all(isinstance(v, int | float) for v in values):
        return tuple(map(float, values))
    raise InputError(f"{spec}: {key} in preprocessor_config.json should be three numbers, not {values!r}")
