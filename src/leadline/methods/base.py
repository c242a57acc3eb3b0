"""What every method that trains one student has in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor

from leadline import checkpoint
from leadline.checkpoint import Card
from leadline.data.augmentation import Augmentation
from leadline.data.dataset import DataSet
from leadline.data.images import Images
from leadline.data.lists import FrameId
from leadline.data.samples import Frames, Samples, to_device
from leadline.depth import Kind, unit_ratio
from leadline.errors import ConfigError, InputError
from leadline.foundation.base import DepthModel
from leadline.foundation.licences import joined
from leadline.methods.optimiser import Optimiser
from leadline.metrics.depth import depth_errors
from leadline.metrics.robust import robust_error
from leadline.networks import create, family, has_pretrained
from leadline.networks.pose import PoseNetwork
from leadline.networks.student import Student


@dataclass(frozen=True)
class StudentOptions:
    """Which student is trained.

    Args:
        architecture: a name of ``leadline.networks.names()``, such as ``swift`` or ``litenet-tiny``.
        start: a leadline checkpoint to go on from; its architecture and, where the kind is the same, its depth range
            are kept.
        pretrained: start from ImageNet features where the architecture has them.
        depth_range: (min, max) depth spanned; by default twice the range of the labels. Not for affine kinds.
        options: further constructor arguments of the architecture.

    Raises:
        ConfigError: there is no such architecture.
        InputError: there is no such checkpoint.
    """

    architecture: str = "swift"
    start: str | None = None
    pretrained: bool = True
    depth_range: tuple[float, float] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        family(self.architecture)  # told now, not when data are ready
        if self.start:
            checkpoint.read_card(self.start)


class Method(lightning.LightningModule, ABC):
    """A student, and the losses it is trained with.

    A batch is what :class:`leadline.data.samples.Samples` makes. A run calls :meth:`prepare` with the data, then
    :meth:`make_student` with a look at the targets; only then does ``student`` exist.

    Args:
        student: which network.
        optimiser: how it is optimised.
    """

    #: Whether in some steps some of what is trained gets no gradient.
    rests = False
    #: See :class:`leadline.checkpoint.Card`.
    focal: float | None = None

    student: Student
    origin: Card | None = None
    data_licence: str = Images.licence

    def __init__(self, student: StudentOptions, optimiser: Optimiser) -> None:
        super().__init__()
        self.student_options = student
        self.optimiser = optimiser

    @abstractmethod
    def prepare(
        self, frames: Images, used: Sequence[int], size: tuple[int, int], folder: Path
    ) -> tuple[Frames, dict[int, str]]:
        """Look at the data before the first step, and make of it what training reads.

        Args:
            frames: all frames.
            used: indices that training will ask for, then those that judging will.
            size: (height, width) trained at.
            folder: of the run, for what is worth keeping.

        Returns:
            What training reads, by the same indices; and what was wrong with the frames it cannot use.

        Raises:
            LeadlineError: this method cannot learn from these frames.
        """

    @property
    def pose_network(self) -> PoseNetwork | None:
        """The network of pose that is trained beside the student, where there is one."""
        return None

    @property
    def offsets(self) -> tuple[int, ...]:
        """Of the further frames that are learned from with each frame, in frames of the video."""
        return ()

    @property
    def pose_stride(self) -> int:
        """Frames of the video between those the network of pose is trained on."""
        return 1

    def learned_with(self, frames: DataSet, index: int) -> Iterable[FrameId | None]:
        """The further frames that are learned from together with a frame, by default those at ``offsets``; none of them
        is kept apart to judge by."""
        return (frames.neighbour(frames.ids[index], offset) for offset in self.offsets)

    def pictures(self) -> dict[str, Tensor]:
        """What the latest step of training saw, for looking at, by name: (B, S, 3, H, W) in [0, 1] or (B, S, H, W)
        bool; by default nothing."""
        return {}

    def usable(self, frames: Images) -> Sequence[int]:
        """Indices of the frames that can be learned from; by default all."""
        return range(len(frames))

    def samples(
        self, frames: Frames, size: tuple[int, int], augmentation: Augmentation | None = None, seed: int = 0
    ) -> Samples:
        """What training reads, of the frames that :meth:`prepare` made."""
        return Samples(frames, size, augmentation, seed)

    @abstractmethod
    def student_kind(self) -> tuple[Kind, str]:
        """Kind and unit the student's output will have."""

    def licence(self) -> str:
        """What the trained weights may be used for: the terms of the data, and those of what they started from."""
        return joined(self.origin.licence, self.data_licence) if self.origin else self.data_licence

    def learned_from(self) -> str:
        """Identifies the weights that teach or are started from, whatever the names of their files; empty where there
        are none."""
        return ""

    def teacher_card(self) -> dict[str, str]:
        """Name, licence and kind of the teacher, for the card; empty where there is none."""
        return self.origin.teacher if self.origin else {}

    def make_student(self, targets: Tensor) -> None:
        """Build the student.

        Args:
            targets: some values as they will come, from which range and starting point are taken.
        """
        kind, unit = self.student_kind()
        options = self.student_options
        if not len(targets):
            raise InputError("none of the images looked at has a single valid target: nothing to learn")
        if options.start:
            weights, self.origin = checkpoint.load(options.start)
            kept = self.origin.depth_range if (self.origin.kind, self.origin.unit) == (str(kind), unit) else None
            depth_range = options.depth_range or kept
            network = Student.from_card(self.origin, weights, options.start).network.train()
        else:
            depth_range = options.depth_range
            features = {"pretrained": True} if options.pretrained and has_pretrained(options.architecture) else {}
            network = create(options.architecture, **features, **options.options)
        if kind.up_to == "affine":
            self.student = Student(network, kind, unit)
            return
        low, median, high = torch.quantile(targets.flatten()[:1_000_000], torch.tensor([0.001, 0.5, 0.999])).tolist()
        self.student = Student(network, kind, unit, depth_range or (low / 2, high * 2))
        if not (options.start and kept):
            self.student.start_at(median)

    def save(self, out: Path, card: Card) -> None:
        """Write the student, as one checkpoint.

        Raises:
            InputError: the file cannot be written.
        """
        checkpoint.save(out, self.student.network.state_dict(), card)

    def targets(self, batch: dict[str, Any]) -> Tensor:
        """(B, 1, H, W) what the student should answer, NaN where unknown."""
        return batch["target"]

    @property
    def target_kind(self) -> Kind:
        """Of the targets: the student's."""
        return self.student.kind

    def answer(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) the student's answer to images (B, 3, H, W), in the kind of the targets."""
        return self.student(image).float()

    def transfer_batch_to_device(self, batch: dict[str, Any], device: Any, dataloader_idx: int) -> dict[str, Any]:
        """Cameras, too, which Lightning does not know."""
        return to_device(batch, device)

    @abstractmethod
    def parts(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """The weighted parts of the loss of a batch, by name; their sum is what is minimised."""

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """One step: the loss by parts, logged, and their sum."""
        parts = self.parts(batch)
        total = torch.stack(list(parts.values())).sum()
        self.log_dict({f"loss/{name}": part.detach() for name, part in parts.items()})
        # Of several processes the mean; the parts may differ between them, as those of mixed data do.
        self.log("loss/total", total.detach(), sync_dist=True)
        return total

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """The error on frames kept apart, by what the kind allows to judge."""
        target = self.targets(batch)
        mask = batch["mask"] & torch.isfinite(target)
        count = int(mask.flatten(1).any(1).sum())
        if count:
            errors = judge(self.answer(batch["image"]), target, mask, self.target_kind)
            self.log_dict({f"val/{name}": value for name, value in errors.items()}, batch_size=count)

    def rates(self) -> list[tuple[float, list[torch.nn.Parameter]]]:
        """Learning rates, each with what it is for; by default one for all, or for all but the student's encoder."""
        return self.rates_of(list(self.parameters()))

    def rates_of(self, parameters: list[torch.nn.Parameter]) -> list[tuple[float, list[torch.nn.Parameter]]]:
        """The optimiser's rates of some parameters, those of the encoder apart where they have another."""
        if self.optimiser.encoder == 1:
            return [(self.optimiser.lr, parameters)]
        own = {id(parameter) for parameter in self._students_encoder().parameters()}
        parts = ([p for p in parameters if (id(p) in own) == inside] for inside in (True, False))
        return list(zip((self.optimiser.lr * self.optimiser.encoder, self.optimiser.lr), parts, strict=True))

    def _students_encoder(self) -> torch.nn.Module:
        """What the encoder's options are about.

        Raises:
            ConfigError: the network does not call it so.
        """
        encoder = getattr(self.student.network, "encoder", None)
        if not isinstance(encoder, torch.nn.Module):
            raise ConfigError(f"optimiser.encoder: {self.student.network.architecture} has no encoder of that name")
        return encoder

    def train(self, mode: bool = True) -> Self:
        """As any module's; an encoder whose features are to be kept also keeps its statistics."""
        super().train(mode)
        if mode and self.optimiser.encoder < 1 and hasattr(self, "student"):
            for module in self._students_encoder().modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()
        return self

    def configure_optimizers(self) -> Any:
        """AdamW, warm-up and cosine over the trainer's steps."""
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        groups = []
        for rate, parameters in self.rates():
            trained = [parameter for parameter in parameters if parameter.requires_grad]
            large, small = ([p for p in trained if (p.ndim > 1) == wide] for wide in (True, False))
            groups += [
                {"params": large, "lr": rate, "weight_decay": self.optimiser.weight_decay},
                {"params": small, "lr": rate, "weight_decay": 0.0},
            ]
        optimiser = torch.optim.AdamW(groups)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: warmup_cosine(step, steps, self.optimiser.warmup)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def warmup_cosine(step: int, steps: int, warmup: float) -> float:
    """Factor of the learning rate: linear from 0 over ``warmup`` of the steps, then a half cosine down to 0.

    Example:
        >>> [round(warmup_cosine(step, 100, 0.1), 2) for step in (0, 9, 55, 100)]
        [0.1, 1.0, 0.5, 0.0]
    """
    first = max(1, round(steps * warmup))
    if step < first:
        return (step + 1) / first
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - first) / max(1, steps - first))))


def judge(output: Tensor, target: Tensor, mask: Tensor, kind: Kind) -> dict[str, Tensor]:
    """Mean errors of a batch: robustly normalised for affine kinds, else AbsRel and delta1.

    Depth known up to scale is aligned by the ratio of medians, metric depth not at all.

    Args:
        output: (B, 1, H, W) in ``kind``.
        target: (B, 1, H, W) in ``kind``.
        mask: (B, 1, H, W) bool; images without a valid pixel do not count.
        kind: of both.
    """
    some = mask.flatten(1).any(1)
    output, target, mask = output[some, 0], target[some, 0], mask[some, 0]
    if kind.up_to == "affine":
        return {"error": robust_error(output, target, mask).mean()}
    if kind.up_to == "scale":
        ratios = [(t[m].median() / o[m].median()) for o, t, m in zip(output, target, mask, strict=True)]
        output = output * torch.stack(ratios)[:, None, None] if ratios else output
    errors = depth_errors(output, target, mask)
    return {"error": errors["abs_rel"].mean(), "delta1": errors["delta1"].mean()}


def resized(values: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """Nearest-neighbour values (B, 1, h, w) at another (h, w): targets and masks never mix across an edge."""
    if values.shape[-2:] == tuple(size):
        return values
    return F.interpolate(values.float(), tuple(size), mode="nearest-exact").to(values.dtype)


def as_depth(values: Tensor, kind: Kind) -> Tensor:
    """Targets in the kind a student learns: disparity that is not affine becomes depth, NaN where it is not
    positive."""
    if kind.quantity == "disparity" and kind.up_to != "affine":
        return torch.where(values > 0, 1 / values, torch.nan)
    return values


def comparable(teacher: Kind, student: Kind) -> Kind:
    """What a student of depth can be compared with its teacher in: the teacher's kind where that is affine, else depth,
    up to scale unless both are metric.

    Example:
        >>> metric, scale = Kind("depth", "nothing"), Kind("disparity", "scale")
        >>> str(comparable(scale, metric)), str(comparable(metric, metric))
        ('scale-invariant-depth', 'metric-depth')
    """
    if teacher.up_to == "affine":
        return teacher
    return Kind("depth", "scale" if "scale" in (teacher.up_to, student.up_to) else "nothing")


def ratio_of_units(teacher: DepthModel, student: tuple[Kind, str]) -> float:
    """What a teacher's depth is multiplied by to be in the unit of a student (kind, unit), where both are metric; else
    1."""
    kind, unit = student
    if kind.up_to == teacher.kind.up_to == "nothing":
        return unit_ratio(teacher.unit, unit)
    return 1.0
