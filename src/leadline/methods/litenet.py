"""LiteNet: a geometric foundation model distilled in three dimensions, spatial, spectral and gradient.

Zhu et al., "Beyond Foundation Models: Distilling Geometric Priors for Lightweight Monocular Depth Estimation in
Endoscopy", IEEE TMI 2026. The paper's losses are not public: each loss says what is known of it and what is our choice.
Three parts that go together or alone: distillation from a teacher, self-supervision on video (AF-SfMLearner's or
monodepth2's), and semantic distribution alignment.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from leadline.data.images import Images
from leadline.data.samples import Frames
from leadline.depth import Kind
from leadline.errors import ConfigError
from leadline.foundation import load
from leadline.foundation.base import DepthModel
from leadline.foundation.labelled import Labelled
from leadline.foundation.licences import student_licence
from leadline.methods.base import StudentOptions, as_depth, comparable, ratio_of_units
from leadline.methods.optimiser import Optimiser
from leadline.methods.self_supervision import SelfSupervisionOptions
from leadline.methods.semantic_alignment import Alignment, SemanticAlignment
from leadline.methods.trinity import Trinity, trinity_losses
from leadline.methods.video import VideoMethod


class LiteNet(VideoMethod):
    """Trinity distillation, self-supervision on video, semantic alignment: each where it is asked for.

    Distilled only, the student's kind is what the teacher knows: affine disparity of an affine teacher, depth up to
    scale or metric of the others. On video it is depth, see :class:`VideoMethod`; what an affine teacher says is then
    compared with its inverse.

    Args:
        teacher: the model to learn from, or what ``leadline.foundation.load`` opens; it is never trained or saved.
        student: which network. On video its ``depth_range`` is needed.
        trinity: weights of the distillation losses.
        optimiser: how the student is optimised.
        cache: label every image once, whole, and keep the labels on disk; otherwise the teacher sees at every step
            the very crop the student sees, which costs its time but no disk.
        teacher_card: card of a network file, where none lies beside it.
        base: how depth is learned from video beside that, or, without a teacher, alone. The frames are then a data set
            that knows neighbours.
        base_lr: learning rate of the networks of pose, flow and appearance.
        alignment: semantic distribution alignment.
        fov: horizontal field of view in degrees, for video that comes without a camera.
        unit: of depth, where poses are known and the frames have no depth that says it; ``arbitrary`` for poses of a
            reconstruction from images.

    Raises:
        ConfigError: there is nothing to learn from, or what is asked for does not go together.
    """

    #: What keeps the labels.
    labels: type[Labelled] = Labelled

    def __init__(
        self,
        teacher: str | DepthModel | None = None,
        student: StudentOptions = StudentOptions(),
        trinity: Trinity = Trinity(),
        optimiser: Optimiser = Optimiser(),
        cache: bool = True,
        teacher_card: str | None = None,
        base: SelfSupervisionOptions | None = None,
        base_lr: float = 1e-4,
        alignment: Alignment | None = None,
        fov: float | None = None,
        unit: str = "m",
    ) -> None:
        super().__init__(student, optimiser, base, base_lr, fov, unit)
        if teacher is None and base is None:
            raise ConfigError("teacher: without a teacher a base is needed, which learns from video")
        if teacher is None and alignment is not None and alignment.kind == "global":
            raise ConfigError("alignment.kind: global compares with a teacher's depth; there is none")
        self.cache = cache and teacher is not None
        self.teacher = load(teacher, card=teacher_card) if isinstance(teacher, str) else teacher
        if self.teacher is not None and self.teacher.focal is not None:
            raise ConfigError(
                f"teacher: the {self.teacher.unit} of {self.teacher.name} depend on each camera's focal length, which "
                "a student does not learn from images"
            )
        self.trinity = trinity
        self.alignment_options = alignment
        self.alignment: SemanticAlignment | None = None

    def prepare(
        self, frames: Images, used: Sequence[int], size: tuple[int, int], folder: Path
    ) -> tuple[Frames, dict[int, str]]:
        """Label every frame once and keep the labels, unless the teacher is to answer at every step."""
        ready, failures = super().prepare(frames, used, size, folder)
        if not self.cache or self.teacher is None:
            return ready, failures
        labelled = self.labels(frames, self.teacher, size, folder / "labels")
        return labelled, labelled.fill(used)

    def student_kind(self) -> tuple[Kind, str]:
        """On video depth. Else what the teacher knows: affine kinds stay, all others become depth."""
        if self.base is not None:
            return super().student_kind()
        assert self.teacher is not None
        kind = self.teacher.kind
        if kind.up_to == "affine":
            return kind, self.teacher.unit
        return Kind("depth", kind.up_to), self.teacher.unit.removeprefix("1/")

    def licence(self) -> str:
        """The teacher's terms travel with what it taught, else those of the data."""
        return student_licence(self.teacher.licence) if self.teacher else super().licence()

    def learned_from(self) -> str:
        """See :meth:`Method.learned_from`."""
        return self.teacher.digest if self.teacher else ""

    def teacher_card(self) -> dict[str, str]:
        """See :meth:`Method.teacher_card`."""
        return self.teacher.described() if self.teacher else super().teacher_card()

    def make_student(self, targets: Tensor) -> None:
        """See :meth:`VideoMethod.make_student`."""
        super().make_student(targets)
        if self.alignment_options is not None:
            self.alignment = SemanticAlignment(self.student.network, self.alignment_options)

    @property
    def target_kind(self) -> Kind:
        """The teacher's where it is affine, else depth: up to scale, unless teacher and student both are metric. Of
        frames without a teacher the student's."""
        return comparable(self.teacher.kind, self.student.kind) if self.teacher else self.student.kind

    @torch.no_grad()
    def targets(self, batch: dict[str, Any]) -> Tensor:
        """Labels kept on disk, or the teacher's answer to the image without colour changes; without a teacher true
        depth, to judge by."""
        if self.teacher is None:
            return batch["target"]
        labels = batch["target"] if self.cache else self.teacher(batch["clean"])[:, None].to(batch["clean"])
        return as_depth(labels, self.teacher.kind) * self._units

    @property
    def _units(self) -> float:
        """The student's unit in the teacher's, where both are metric."""
        return ratio_of_units(self.teacher, self.student_kind()) if self.teacher else 1.0

    def answer(self, image: Tensor) -> Tensor:
        """In the teacher's quantity."""
        return self._compared(super().answer(image))

    def _compared(self, output: Tensor) -> Tensor:
        """The student's output in the quantity of the targets."""
        return output if self.target_kind.quantity == self.student.kind.quantity else 1 / output

    def parts(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """The losses that are asked for, by name."""
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        features = self.student.network.encode(image)
        outputs = [output.float() for output in self.student.decode(features, (image.shape[-2], image.shape[-1]))]
        compared = [self._compared(output) for output in outputs]
        target = mask = batch["mask"]
        parts: dict[str, Tensor] = {}
        if self.teacher is not None:
            target = self.targets(batch)
            mask = batch["mask"] & torch.isfinite(target)
            target = torch.where(mask, target, 1.0)
            parts |= self.losses(compared, target, mask, batch["image"])
        if self.base is not None:
            parts |= self.base.losses(outputs, batch) | self.base.flow_losses(batch)
        if self.alignment is not None:
            parts |= self.alignment.losses(features, compared[0], target, batch["clean"], mask)
        return parts

    def losses(self, outputs: list[Tensor], target: Tensor, mask: Tensor, image: Tensor) -> dict[str, Tensor]:
        """See :func:`leadline.methods.trinity.trinity_losses`."""
        del image
        return trinity_losses(self.trinity, outputs, target, mask, self.target_kind)
