"""A video model distilled into a light network that remembers and never looks ahead. Ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from leadline.data.images import Images
from leadline.data.samples import Frames
from leadline.foundation import load
from leadline.foundation.base import DepthModel
from leadline.foundation.labelled import WatchedLabels
from leadline.foundation.licences import student_licence
from leadline.methods.base import StudentOptions
from leadline.methods.optimiser import Optimiser
from leadline.methods.supervised_video import SupervisedVideo
from leadline.methods.trinity import Trinity, trinity_losses


class DistilledVideo(SupervisedVideo):
    """Trinity distillation of every frame of a clip, what the teacher's kind leaves open being taken out of the clip as
    a whole, and temporal gradient matching.

    Labels are made before the first step: the teacher sees each video whole, its windows aligned, so the student learns
    to be steady without looking ahead. A student of a ``vda-`` architecture looks ahead too; one of single images has
    no memory of what it saw.

    Args:
        teacher: what ``leadline.foundation.load`` opens, normally a model that sees video.
        student: which network; one that sees clips.
        trinity: weights of the distillation losses.
        length: frames of a clip; one more at either end has to be there.
        temporal: weight of the temporal gradient matching.
        optimiser: how the student is optimised.

    Raises:
        ConfigError: the clips have fewer than two frames.
        InputError: the teacher cannot be opened.
    """

    def __init__(
        self,
        teacher: str | DepthModel,
        student: StudentOptions = StudentOptions("swift-video"),
        trinity: Trinity = Trinity(),
        length: int = 8,
        temporal: float = 0.1,
        optimiser: Optimiser = Optimiser(),
    ) -> None:
        super().__init__(student, length, temporal=temporal, optimiser=optimiser)
        self.teacher = load(teacher) if isinstance(teacher, str) else teacher
        self.trinity = trinity

    def prepare(
        self, frames: Images, used: Sequence[int], size: tuple[int, int], folder: Path
    ) -> tuple[Frames, dict[int, str]]:
        """Label every video once and keep the labels."""
        self.kind, self.unit = self.teacher.kind, self.teacher.unit
        self.data_licence = frames.licence
        labelled = WatchedLabels(frames, self.teacher, size, folder / "labels")
        return labelled, labelled.fill(used)

    def licence(self) -> str:
        """The teacher's terms travel with what it taught."""
        return student_licence(self.teacher.licence)

    def learned_from(self) -> str:
        """See :meth:`Method.learned_from`."""
        return self.teacher.digest

    def teacher_card(self) -> dict[str, str]:
        """See :meth:`Method.teacher_card`."""
        return self.teacher.described()

    def losses(self, outputs: list[Tensor], target: Tensor, mask: Tensor, image: Tensor) -> dict[str, Tensor]:
        """See :func:`leadline.methods.trinity.trinity_losses`."""
        del image
        return trinity_losses(self.trinity, outputs, target, mask, self.student.kind, self.length)
