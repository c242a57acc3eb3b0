"""Depth known up to scale and shift, learned from true depth of one data set or of several at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from leadline.checkpoint import Card
from leadline.data.images import Images
from leadline.data.mixed import Mixed
from leadline.data.samples import Frames
from leadline.depth import ARBITRARY, Kind
from leadline.errors import ConfigError, InputError, suggest
from leadline.foundation.licences import joined
from leadline.foundation.semantics import open_encoder
from leadline.losses.gradient import gradient_matching
from leadline.losses.gradient_field import gradient_field
from leadline.losses.reduce import image_mean
from leadline.losses.ssi import least_squares_aligned
from leadline.methods.base import Method, StudentOptions
from leadline.methods.optimiser import Optimiser
from leadline.networks.depth_anything import DepthAnythingNetwork

AFFINE = Kind("disparity", "affine")


@dataclass(frozen=True)
class Terms:
    """Weights of the losses; 0 switches one off. See :data:`V1` and :data:`V2`.

    Args:
        absolute: mean absolute error.
        matching: gradients of the residual over four scales.
        field: squared magnitude and angle of gradients.
        aligned: bring the answer to the truth by least squares first. Without it, ours, the answer itself has to go
            from 0 to 1: for networks that start from nothing, see
            :func:`leadline.losses.ssi.least_squares_aligned`.
    """

    absolute: float = 1.0
    matching: float = 2.0
    field: float = 0.0
    aligned: bool = True


V1, V2 = Terms(0.85, 0.0, 0.001), Terms()
"""Those of BriGeS's two versions (arXiv 2505.23400, public code); that the second's first term is the absolute error,
like the first's, is ours."""


class AffineInvariant(Method):
    """A network whose disparity is right up to scale and shift, by true depth of any kind.

    The targets are disparity, brought to [0, 1] image by image. Of :class:`Mixed` data each set may have terms of its
    own, as where the truth of one is too coarse for gradients; each image weighs the same. A network that is a Depth
    Anything may start from what a ViT has learned before, as the published one does, and is also saved as a folder of
    transformers: OUT without its suffix.

    Args:
        student: which network.
        terms: weights of the losses.
        sets: other weights for single sets of mixed data, by their names.
        optimiser: how the network is optimised.
        vit: a DINOv2 of the same sizes, as ``leadline.foundation.semantics.open_encoder`` takes it, whose weights the
            ViT of a Depth Anything starts from.
    """

    def __init__(
        self,
        student: StudentOptions = StudentOptions("depth-anything-tiny"),
        terms: Terms = V2,
        sets: Mapping[str, Terms] | None = None,
        optimiser: Optimiser = Optimiser(),
        vit: str | None = None,
    ) -> None:
        super().__init__(student, optimiser)
        self.terms, self.sets = terms, dict(sets or {})
        self.vit = open_encoder(vit) if vit else None

    def prepare(
        self, frames: Images, used: Sequence[int], size: tuple[int, int], folder: Path
    ) -> tuple[Frames, dict[int, str]]:
        """Learn from the first frame of each set what its depth is.

        Raises:
            InputError: frames without depth, or with depth known up to scale and shift only.
            ConfigError: terms for a set that is not there.
        """
        named = frames.sets if isinstance(frames, Mixed) else {"": frames}
        if unknown := sorted(set(self.sets) - set(named)):
            raise ConfigError(f"sets: there is no set '{unknown[0]}'{suggest(unknown[0], named)}")
        inverted = []
        for name, each in named.items():
            truth = each[0].depth
            if truth is None or truth.kind == Kind("depth", "affine"):
                found = "none" if truth is None else f"{truth.kind}, which has no disparity"
                raise InputError(f"{each.paths[0]}: {name or 'training'} needs depth, and this image has {found}")
            inverted.append(truth.kind.quantity == "depth")
        self.names, self.inverted = list(named), torch.tensor(inverted)
        self.ends = torch.tensor(frames.ends if isinstance(frames, Mixed) else [len(frames)])
        self.data_licence = frames.licence
        return frames, {}

    def student_kind(self) -> tuple[Kind, str]:
        """Affine-invariant disparity."""
        return AFFINE, ARBITRARY

    def licence(self) -> str:
        """See :meth:`Method.licence`; the ViT's is among them."""
        return joined(super().licence(), *([self.vit.licence] if self.vit else []))

    def learned_from(self) -> str:
        """See :meth:`Method.learned_from`."""
        return self.vit.digest if self.vit else ""

    def make_student(self, targets: Tensor) -> None:
        """The student, its ViT as it was learned before.

        Raises:
            ConfigError: it has no ViT.
            InputError: it has one of other sizes.
        """
        super().make_student(targets)
        if self.vit:
            network = self.student.network
            if not isinstance(network, DepthAnythingNetwork):
                raise ConfigError(f"vit: {network.architecture} has none; a Depth Anything has")
            network.start_from(self.vit.network, self.vit.name)

    def targets(self, batch: dict[str, Any]) -> Tensor:
        """(B, 1, H, W) true disparity, each image's from 0 to 1, NaN where unknown."""
        target = batch["target"]
        inverted = self.inverted[self._numbers(batch).cpu()].to(target.device)[:, None, None, None]
        disparity = torch.where(inverted, torch.where(target > 0, 1 / target, torch.nan), target)
        known = batch["mask"] & torch.isfinite(disparity)
        dims = (1, 2, 3)
        low = torch.where(known, disparity, torch.inf).amin(dims, keepdim=True)
        high = torch.where(known, disparity, -torch.inf).amax(dims, keepdim=True)
        return torch.where(known, (disparity - low) / (high - low).clamp(min=1e-12), torch.nan)

    def parts(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """The terms, of mixed data by set."""
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        output = self.student(image)[0].float()
        target = self.targets(batch)
        known = torch.isfinite(target)
        target = torch.where(known, target, 0.0)
        numbers = self._numbers(batch)
        parts: dict[str, Tensor] = {}
        for number in numbers.unique().tolist():
            own, name = numbers == number, self.names[number]
            losses = self.losses(output[own], target[own], known[own], self.sets.get(name, self.terms))
            share = own.sum() / len(own)
            parts |= {f"{name}/{term}" if name else term: share * loss for term, loss in losses.items()}
        return parts

    def losses(self, output: Tensor, target: Tensor, mask: Tensor, terms: Terms) -> dict[str, Tensor]:
        """The weighted terms of images of one set, (B, 1, H, W) each."""
        if terms.aligned:
            output = least_squares_aligned(output, target, mask)
        losses = {}
        if terms.absolute:
            losses["absolute"] = terms.absolute * image_mean((output - target).abs(), mask)
        if terms.matching:
            losses["matching"] = terms.matching * gradient_matching(output, target, mask)
        if terms.field:
            losses["field"] = terms.field * gradient_field(output, target, mask)
        return losses

    def save(self, out: Path, card: Card) -> None:
        """See :meth:`Method.save`; a Depth Anything also as the folder that foundation models come in."""
        super().save(out, card)
        if isinstance(self.student.network, DepthAnythingNetwork):
            self.student.network.save_folder(out.with_suffix(""), card.input_size, card.licence)

    def _numbers(self, batch: dict[str, Any]) -> Tensor:
        """(B,) which set each image is of."""
        return torch.bucketize(batch["index"], self.ends.to(batch["index"].device), right=True)
