"""Supervised fine-tuning on measured depth: a sensor's, a scanner's, a simulator's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from leadline.data.images import Images
from leadline.data.samples import Frames
from leadline.depth import ARBITRARY, Kind
from leadline.errors import ConfigError, InputError
from leadline.losses.gradient import gradient_matching
from leadline.losses.normalise import normalised_pair
from leadline.losses.silog import silog
from leadline.losses.ssi import ssi_robust
from leadline.methods.base import Method, StudentOptions, as_depth, resized
from leadline.methods.optimiser import Optimiser

UP_TO_SCALE = Kind("depth", "scale")


class Supervised(Method):
    """SILog for metric depth and depth up to scale, the scale-and-shift-invariant loss for affine kinds, plus
    gradients.

    Args:
        student: which network.
        kind: ``scale-invariant-depth`` learns metric depth only up to its scale, for images of many cameras, which do
            not tell their scale; by default what the depth files hold.
        gradient: weight of the gradient matching over four scales.
        coarse: how much less each coarser output of the student weighs.
        optimiser: how the student is optimised.
    """

    def __init__(
        self,
        student: StudentOptions = StudentOptions(),
        kind: str | None = None,
        gradient: float = 0.1,
        coarse: float = 0.5,
        optimiser: Optimiser = Optimiser(),
    ) -> None:
        super().__init__(student, optimiser)
        if kind not in (None, str(UP_TO_SCALE)):
            raise ConfigError(f"kind: '{kind}' cannot be asked for; leave it out, or say {UP_TO_SCALE}")
        self.up_to_scale = kind is not None
        self.gradient = gradient
        self.coarse = coarse

    def prepare(
        self, frames: Images, used: Sequence[int], size: tuple[int, int], folder: Path
    ) -> tuple[Frames, dict[int, str]]:
        """Learn from the first frame what the depth files hold.

        Raises:
            InputError: the frames have no depth.
        """
        truth = frames[used[0]].depth
        if truth is None:
            raise InputError(f"{frames.paths[used[0]]}: supervised training needs depth, and this image has none")
        self.kind, self.unit, self.data_licence = truth.kind, truth.unit, frames.licence
        if self.up_to_scale and truth.kind.up_to == "affine":
            raise InputError(f"{frames.paths[used[0]]}: an {truth.kind} map cannot be learned as {UP_TO_SCALE}")
        return frames, {}

    def student_kind(self) -> tuple[Kind, str]:
        """That of the depth files, or less; disparity that is not affine is learned as depth."""
        if self.up_to_scale:
            return UP_TO_SCALE, ARBITRARY
        if self.kind.up_to == "affine":
            return self.kind, self.unit
        return Kind("depth", self.kind.up_to), self.unit.removeprefix("1/")

    def targets(self, batch: dict[str, Any]) -> Tensor:
        """The measured depth."""
        return as_depth(batch["target"], self.kind)

    def parts(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """See :meth:`losses`."""
        target = self.targets(batch)
        mask = batch["mask"] & torch.isfinite(target)
        # Convolutions on the CPU, and mixed precision on a GPU, are faster with channels last.
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        outputs = [output.float() for output in self.student(image)]
        return self.losses(outputs, torch.where(mask, target, 1.0), mask, batch["image"])

    def losses(self, outputs: list[Tensor], target: Tensor, mask: Tensor, image: Tensor) -> dict[str, Tensor]:
        """Data term at every output, gradients (of log depth, or of the affine map) at the finest."""
        kind = self.student.kind
        data = outputs[0].new_zeros(())
        for level, output in enumerate(outputs):
            truth, known = resized(target, output.shape[-2:]), resized(mask, output.shape[-2:])
            if kind.up_to == "affine":
                term = ssi_robust(output, truth, known)
            else:
                # Focus 1 leaves the scale free. The root keeps the gradient alive as the error shrinks (Lee et al.,
                # "From Big to Small", arXiv 1907.10326, eq. 6, whose focus is 0.85 too).
                focus = 0.85 if kind.up_to == "nothing" else 1.0
                term = torch.sqrt(silog(output, truth, known, focus) + 1e-8)
            data = data + self.coarse**level * term
        parts = {"data": data}
        if self.gradient:
            if kind.up_to == "affine":
                # As the data term has them: by median and deviation, which, other than least squares, never turn a
                # map over.
                shape = gradient_matching(*normalised_pair(outputs[0], target, mask, kind), mask)
            else:
                shape = gradient_matching(torch.log(outputs[0]), torch.log(target), mask)
            parts["gradient"] = self.gradient * shape
        return parts
