"""LiteNet: a geometric foundation model distilled in three dimensions, spatial, spectral and gradient.

Zhu et al., "Beyond Foundation Models: Distilling Geometric Priors for Lightweight Monocular Depth Estimation in
Endoscopy", IEEE TMI 2026. The paper's losses are not public: each loss says what is known of it and what is our choice.
This is the distil-only part: images and a teacher, no video and no poses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from leadline.data.images import Images
from leadline.data.samples import Frames
from leadline.depth import Kind
from leadline.foundation import load
from leadline.foundation.base import DepthModel
from leadline.foundation.labelled import Labelled
from leadline.foundation.licences import student_licence
from leadline.losses.gradient import gradient_matching
from leadline.losses.normalise import normalised_pair
from leadline.losses.spatial import ranking, trimmed
from leadline.losses.spectral import fourier, haar
from leadline.methods.base import Method, StudentOptions, as_depth, resized
from leadline.methods.optimiser import Optimiser


@dataclass(frozen=True)
class Trinity:
    """Weights of the distillation losses; 0 switches one off.

    Args:
        spatial: trimmed mean of |student - teacher|.
        ranking: order of sampled pairs of pixels.
        spectral: difference of amplitude and phase, or of wavelet coefficients.
        gradient: difference of gradients over four scales.
        wavelet: use the Haar form of the spectral loss instead of the Fourier form.
        coarse: how much less the spatial loss weighs at each coarser output of the student.
    """

    spatial: float = 0.1
    ranking: float = 0.01
    spectral: float = 0.05
    gradient: float = 0.05
    wavelet: bool = False
    coarse: float = 0.5


class LiteNet(Method):
    """Trinity distillation.

    The student's kind is what the teacher knows: affine disparity of an affine teacher, depth up to scale or metric of
    the others.

    Args:
        teacher: the model to learn from, or what ``leadline.foundation.load`` opens; it is never trained or saved.
        student: which network.
        trinity: weights of the losses.
        optimiser: how the student is optimised.
        cache: label every image once, whole, and keep the labels on disk; otherwise the teacher sees at every step
            the very crop the student sees, which costs its time but no disk.
        teacher_card: card of a network file, where none lies beside it.
    """

    def __init__(
        self,
        teacher: str | DepthModel,
        student: StudentOptions = StudentOptions(),
        trinity: Trinity = Trinity(),
        optimiser: Optimiser = Optimiser(),
        cache: bool = True,
        teacher_card: str | None = None,
    ) -> None:
        super().__init__(student, optimiser)
        self.cache = cache
        self.teacher = load(teacher, card=teacher_card) if isinstance(teacher, str) else teacher
        self.trinity = trinity

    def prepare(
        self, frames: Images, used: Sequence[int], size: tuple[int, int], folder: Path
    ) -> tuple[Frames, dict[int, str]]:
        """Label every frame once and keep the labels, unless the teacher is to answer at every step."""
        if not self.cache:
            return frames, {}
        labelled = Labelled(frames, self.teacher, size, folder / "labels")
        return labelled, labelled.fill(used)

    def student_kind(self) -> tuple[Kind, str]:
        """What the teacher knows: affine kinds stay, all others become depth."""
        kind = self.teacher.kind
        if kind.up_to == "affine":
            return kind, self.teacher.unit
        return Kind("depth", kind.up_to), self.teacher.unit.removeprefix("1/")

    def licence(self) -> str:
        """The teacher's terms travel with what it taught."""
        return student_licence(self.teacher.licence)

    def teacher_card(self) -> dict[str, str]:
        """See :meth:`Method.teacher_card`."""
        return {"name": self.teacher.name, "licence": self.teacher.licence, "kind": str(self.teacher.kind)}

    @torch.no_grad()
    def targets(self, batch: dict[str, Any]) -> Tensor:
        """Labels kept on disk, or the teacher's answer to the image without colour changes."""
        labels = batch["target"] if self.cache else self.teacher(batch["clean"])[:, None].to(batch["clean"])
        return as_depth(labels, self.teacher.kind)

    def losses(self, outputs: list[Tensor], target: Tensor, mask: Tensor, image: Tensor) -> dict[str, Tensor]:
        """The trinity at full size, the spatial loss alone at the coarser outputs (our choice: nothing is
        published)."""
        weights = self.trinity
        student, teacher = normalised_pair(outputs[0], target, mask, self.student.kind)
        parts: dict[str, Tensor] = {}
        if weights.spatial:
            spatial = trimmed(student, teacher, mask)
            for level, output in enumerate(outputs[1:], start=1):
                coarse_target, coarse_mask = resized(target, output.shape[-2:]), resized(mask, output.shape[-2:])
                pair = normalised_pair(output, coarse_target, coarse_mask, self.student.kind)
                spatial = spatial + weights.coarse**level * trimmed(*pair, coarse_mask)
            parts["spatial"] = weights.spatial * spatial
        if weights.ranking:
            parts["ranking"] = weights.ranking * ranking(student, teacher, mask)
        if weights.spectral:
            spectral = haar if weights.wavelet else fourier
            parts["spectral"] = weights.spectral * spectral(student, teacher, mask)
        if weights.gradient:
            parts["gradient"] = weights.gradient * gradient_matching(student, teacher, mask)
        return parts
