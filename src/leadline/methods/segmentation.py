"""Semantic segmentation: how a semantic encoder is trained where no foundation model can be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from leadline.checkpoint import Card
from leadline.data.images import Images
from leadline.data.samples import Frames
from leadline.depth import ARBITRARY, Kind
from leadline.errors import ConfigError, InputError
from leadline.io.atomic import writing
from leadline.methods.base import Method, StudentOptions
from leadline.methods.optimiser import Optimiser
from leadline.networks.dinov2 import DINOv2


@dataclass(frozen=True)
class Encoder:
    """Sizes of a DINOv2, see :func:`leadline.networks.dinov2.config`.

    Args:
        width: of the tokens.
        blocks: how many.
        heads: of each attention.
        patch: its side in pixels.
        grid: patches along a side of the square whose positions are stored.
    """

    width: int = 96
    blocks: int = 6
    heads: int = 3
    patch: int = 8
    grid: int = 16


class Labeller(nn.Module):
    """A DINOv2 and a linear layer that tells the class of each of its tokens; classes of pixels lie between them.

    A run writes of any student what its output is; this one's is no depth, and no checkpoint says so: see
    :meth:`Segmentation.save`.

    Args:
        encoder: sizes of the DINOv2.
        classes: how many.
    """

    kind, unit, depth_range = Kind("disparity", "affine"), ARBITRARY, None

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.network = DINOv2(encoder.width, encoder.blocks, encoder.heads, encoder.patch, encoder.grid)
        self.classifier = nn.Conv2d(encoder.width, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, classes, H, W) logits of images (B, 3, H, W) in [0, 1]."""
        logits: Tensor = self.classifier(self.network(image))
        return F.interpolate(logits.float(), image.shape[-2:], mode="bilinear")


class Segmentation(Method):
    """A small DINOv2 that learns what each pixel shows, by cross-entropy, from frames that know it
    (``Frame.semantics``).

    What is saved is the network as a whole, OUT, and its encoder as a folder of transformers, OUT without its suffix,
    which ``leadline.foundation.semantics.open_encoder`` opens. There is no depth in it: frames kept apart are judged by
    the share of right pixels, in the log.

    Args:
        encoder: how large it is.
        classes: how many there are; labels are below that.
        optimiser: how it is optimised.
    """

    def __init__(
        self, encoder: Encoder = Encoder(), classes: int = 13, optimiser: Optimiser = Optimiser(weight_decay=0.05)
    ) -> None:
        super().__init__(StudentOptions(), optimiser)
        self.encoder, self.classes = encoder, classes

    def prepare(
        self, frames: Images, used: Sequence[int], size: tuple[int, int], folder: Path
    ) -> tuple[Frames, dict[int, str]]:
        """See that the frames know what they show.

        Raises:
            InputError: they do not.
            ConfigError: the images do not divide into patches.
        """
        if any(side % self.encoder.patch for side in size):
            raise ConfigError(f"size: {size[0]}x{size[1]} does not divide into patches of {self.encoder.patch}")
        if frames[used[0]].semantics is None:
            raise InputError(
                f"{frames.paths[used[0]]}: it is not known what this image shows; worlds know it, and folders with "
                "semantics/, read with --data.extras true"
            )
        self.data_licence = frames.licence
        return frames, {}

    def student_kind(self) -> tuple[Kind, str]:
        """See :class:`Labeller`."""
        return Labeller.kind, Labeller.unit

    def make_student(self, targets: Tensor) -> None:
        """The encoder and what tells classes."""
        del targets
        self.student = Labeller(self.encoder, self.classes)  # type: ignore[assignment]

    def targets(self, batch: dict[str, Any]) -> Tensor:
        """No depth."""
        return torch.full_like(batch["image"][:, :1], torch.nan)

    def answer(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) the number of each pixel's class, for pictures."""
        return self.student(image).argmax(dim=1, keepdim=True).float()

    def parts(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Cross-entropy over the pixels that may be used.

        Raises:
            InputError: a label is not below the number of classes.
        """
        labels, mask = batch["semantics"][:, 0], batch["mask"][:, 0]
        if (highest := int(torch.where(mask, labels, 0).amax())) >= self.classes:
            raise InputError(f"classes: there is a label {highest}, but {self.classes} classes from 0 on")
        logits = self.student(batch["image"])
        return {"cross_entropy": F.cross_entropy(logits, torch.where(mask, labels, -1), ignore_index=-1)}

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """The share of right pixels, on frames kept apart."""
        mask = batch["mask"]
        right = (self.answer(batch["image"]) == batch["semantics"]) & mask
        self.log("val/accuracy", right.sum() / mask.sum().clamp(min=1), batch_size=len(mask))

    def save(self, out: Path, card: Card) -> None:
        """The network, and the encoder's folder; the card speaks of depth and is left out.

        Raises:
            InputError: a file cannot be written.
        """
        with writing(out) as temporary:
            save_file({name: value.contiguous() for name, value in self.student.state_dict().items()}, temporary)
        self.student.network.save_folder(out.with_suffix(""), card.licence)  # type: ignore[operator]
