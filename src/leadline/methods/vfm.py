"""VFM-Depth style: a teacher that a vision foundation model tells what is where, and a light student without it.

After "VFM-Depth: Leveraging Vision Foundation Model for Self-Supervised Monocular Depth Estimation" (Yu, Wu and Lam,
IEEE TCSVT 35(5), 2025, doi 10.1109/TCSVT.2024.3523702). Only its abstract is open: geometric-semantic aggregation
encoding in the teacher, multi-alignment depth distillation into the student. What these are made of is ours, and none
of the paper's tables is claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.data.augmentation import Augmentation
from leadline.data.images import Images
from leadline.data.samples import Frames, Samples
from leadline.errors import ConfigError
from leadline.foundation.leadline_model import LeadlineModel
from leadline.foundation.licences import joined, student_licence
from leadline.foundation.semantics import open_encoder
from leadline.foundation.tokens import TokenCache
from leadline.losses.category import Categories, category_divergence, prototype_alignment
from leadline.losses.imitation import depth_imitation, feature_imitation, trust
from leadline.losses.normalise import masked_median
from leadline.methods.base import StudentOptions, as_depth, comparable, ratio_of_units
from leadline.methods.optimiser import Optimiser
from leadline.methods.self_supervision import MONODEPTH2, SelfSupervisionOptions
from leadline.methods.video import VideoMethod
from leadline.networks.aggregation import FUSIONS, TOKENS, Aggregated

#: Of the feature maps a student imitates, and of those whose prototypes are aligned.
STRIDES, PROTOTYPES = (4, 8, 16), 8


@dataclass(frozen=True)
class Semantics:
    """What tells the teacher what is where.

    Args:
        encoder: what ``leadline.foundation.semantics.open_encoder`` opens; it stays frozen.
        blocks: of the encoder whose features are used, such as [2, 5, 8, 11] of DINOv2 S and B; none takes its last
            layer's.
        fusion: ``attention``, or ``concatenation`` to compare with.
        cache: keep the features on disk where augmentation allows it, that is where images are not cropped: for every
            frame, and again where it is mirrored, 2 bytes times channels times blocks times height times width / 256;
            1.5 MB for four blocks of DINOv2 S and 192x640.
    """

    encoder: str = "efficientnet-lite0"
    blocks: tuple[int, ...] = ()
    fusion: Literal["attention", "concatenation"] = "attention"
    cache: bool = False

    def __post_init__(self) -> None:
        if self.fusion not in FUSIONS:
            raise ConfigError(f"fusion: '{self.fusion}' is not one of {', '.join(FUSIONS)}")


class VFMTeacher(VideoMethod):
    """A depth network fused with a frozen semantic encoder, trained on video alone.

    The checkpoint holds the depth network and the fusion, not the encoder, which is opened by its name when the teacher
    is.

    Args:
        student: which network is fused; its architecture is the plain one's.
        base: how depth is learned from video.
        semantics: what it is fused with.
        optimiser: how the network is optimised.
        base_lr: see :class:`VideoMethod`, as all below.
        fov: horizontal field of view in degrees, for video without a camera.
        unit: of depth, where poses are known and nothing else says it.

    Raises:
        ConfigError: see :class:`VideoMethod`; or there is no such encoder, block or fusion.
        InputError: the encoder cannot be opened.
    """

    def __init__(
        self,
        student: StudentOptions = StudentOptions("litenet-8m"),
        base: SelfSupervisionOptions = MONODEPTH2,
        semantics: Semantics = Semantics(),
        optimiser: Optimiser = Optimiser(),
        base_lr: float = 1e-4,
        fov: float | None = None,
        unit: str = "m",
    ) -> None:
        self.encoder = open_encoder(semantics.encoder)
        if semantics.blocks:  # what the encoder does not have is to be known now
            self.encoder.blocks(torch.zeros(1, 3, TOKENS, TOKENS), semantics.blocks, (1, 1))
        fused = {
            "backbone_options": student.options,
            "backbone": student.architecture,
            "semantics": semantics.encoder,
            "channels": self.encoder.channels * max(1, len(semantics.blocks)),
            "blocks": list(semantics.blocks),
            "fusion": semantics.fusion,
            "digest": self.encoder.digest,
        }
        super().__init__(replace(student, architecture="gsae", options=fused), optimiser, base, base_lr, fov, unit)
        self.semantics = semantics
        self.cache: TokenCache | None = None

    def prepare(
        self, frames: Images, used: Sequence[int], size: tuple[int, int], folder: Path
    ) -> tuple[Frames, dict[int, str]]:
        """See :meth:`VideoMethod.prepare`."""
        self._folder = folder / "tokens"
        return super().prepare(frames, used, size, folder)

    def samples(
        self, frames: Frames, size: tuple[int, int], augmentation: Augmentation | None = None, seed: int = 0
    ) -> Samples:
        """See :meth:`VideoMethod.samples`."""
        if self.semantics.cache and (augmentation is None or augmentation.crop == 1):
            key = "-".join([self.encoder.digest[:16], *map(str, self.semantics.blocks)])
            self.cache = TokenCache(self._folder, key, size)
        return super().samples(frames, size, augmentation, seed)

    def licence(self) -> str:
        """That of the data; what the encoder knows went in, so its terms are named too."""
        return joined(super().licence(), f"needs {self.encoder.name}, whose licence is {self.encoder.licence}")

    def make_student(self, targets: Tensor) -> None:
        """See :meth:`VideoMethod.make_student`."""
        super().make_student(targets)
        self.network.attach(self.encoder)

    @property
    def network(self) -> Aggregated:
        """What is trained."""
        network = self.student.network
        if not isinstance(network, Aggregated):
            raise ConfigError(f"student.start: {network.architecture} is not fused with a semantic encoder")
        return network

    def parts(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """The base's losses; semantics are those of the image without its colour changes."""
        assert self.base is not None
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        plain = self.network.backbone.encode(image)
        fused = self.network.fuse(plain, self._tokens(batch, plain))
        outputs = [output.float() for output in self.student.decode(fused, (image.shape[-2], image.shape[-1]))]
        return self.base.losses(outputs, batch) | self.base.flow_losses(batch)

    def _tokens(self, batch: dict[str, Any], like: Sequence[Tensor]) -> Tensor:
        def found(chosen: Tensor) -> Tensor:
            return self.network.tokens(batch["clean"][chosen], like)

        if self.cache is None:
            return found(torch.ones_like(batch["index"], dtype=torch.bool))
        return self.cache.tokens(batch["index"], batch["mirrored"], found)


@dataclass(frozen=True)
class Imitation:
    """Weights of the distillation losses; 0 switches one off.

    Args:
        depth: log depth, each pixel weighed by how well the teacher's depth explains the images.
        feature: direction of the features at 1/4, 1/8 and 1/16, and at 1/16 of the foundation model's own: their mean.
        category: soft categories of distance, and the mean feature of each.
        categories: the categories.
    """

    depth: float = 0.1
    feature: float = 0.05
    category: float = 0.05
    categories: Categories = field(default_factory=Categories)


class VFMStudent(VideoMethod):
    """A light network that learns from video and from a :class:`VFMTeacher`; at test time it is the plain network.

    The checkpoint of a teacher has no pose network, so where pose is learned the student learns its own. Unless both
    are metric the teacher's depth is brought to the student's scale, image by image, by the ratio of medians.

    Args:
        teacher: its checkpoint, or the model it holds.
        student: which network.
        base: how depth is learned from video.
        imitation: weights of what is imitated.
        optimiser: how the network is optimised.
        base_lr: see :class:`VideoMethod`, as all below.
        fov: horizontal field of view in degrees, for video without a camera.
        unit: of depth, where poses are known and nothing else says it.

    Raises:
        ConfigError: see :class:`VideoMethod`; or the teacher does not know depth up to scale, or metric.
        InputError: the teacher cannot be opened.
    """

    def __init__(
        self,
        teacher: str | LeadlineModel,
        student: StudentOptions = StudentOptions("litenet"),
        base: SelfSupervisionOptions = MONODEPTH2,
        imitation: Imitation = Imitation(),
        optimiser: Optimiser = Optimiser(),
        base_lr: float = 1e-4,
        fov: float | None = None,
        unit: str = "m",
    ) -> None:
        super().__init__(student, optimiser, base, base_lr, fov, unit)
        self.teacher = LeadlineModel.open(teacher) if isinstance(teacher, str) else teacher
        if self.teacher.kind.up_to == "affine":
            named = teacher if isinstance(teacher, str) else teacher.name
            raise ConfigError(f"teacher: {named} knows {self.teacher.kind} only; depth up to scale or metric is needed")
        self.imitation = imitation
        self.adaptors = nn.ModuleDict()

    def licence(self) -> str:
        """The teacher's terms travel with what it taught."""
        return student_licence(self.teacher.licence)

    def learned_from(self) -> str:
        """See :meth:`Method.learned_from`."""
        return self.teacher.digest

    def teacher_card(self) -> dict[str, str]:
        """See :meth:`Method.teacher_card`."""
        return self.teacher.described()

    def make_student(self, targets: Tensor) -> None:
        """The student, and the adaptors from its features to the teacher's, which are needed in training only."""
        super().make_student(targets)
        own, theirs = self.student.network, self.teacher.student.network
        strides = STRIDES if self.imitation.feature else (PROTOTYPES,) if self.imitation.category else ()
        widths = {f"features {s}": (own.widths[own.level(s)], theirs.widths[theirs.level(s)]) for s in strides}
        if self.imitation.feature and isinstance(theirs, Aggregated):
            widths["tokens"] = (own.widths[own.level(TOKENS)], theirs.channels)
        self.adaptors = nn.ModuleDict({name: nn.Conv2d(*channels, 1) for name, channels in widths.items()})

    def parts(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """The base's losses and what is imitated."""
        assert self.base is not None
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        size, network = (image.shape[-2], image.shape[-1]), self.student.network
        features = network.encode(image)
        outputs = [output.float() for output in self.student.decode(features, size)]
        geometry = self.base.geometry(batch)
        parts = self.base.losses(outputs, batch, geometry=geometry) | self.base.flow_losses(batch)
        if not (self.imitation.depth or self.imitation.feature or self.imitation.category):
            return parts
        depth, wanted, tokens = self._taught(batch)
        known = batch["mask"] & torch.isfinite(depth)
        depth = torch.where(known, depth, 1.0)
        if comparable(self.teacher.kind, self.student.kind).up_to == "scale":
            ratio = masked_median(outputs[0].detach(), known) / masked_median(depth, known)
            depth = torch.where(known, ratio * depth, 1.0)
        weights, categories = self.imitation, self.imitation.categories
        if weights.depth:
            believed = trust(self.base.reprojection_error(depth, batch, geometry))
            parts["depth"] = weights.depth * depth_imitation(outputs[0], depth, known, believed)
        if weights.feature:
            pairs = [(self._adapted(features, s), wanted[s]) for s in STRIDES]
            if tokens is not None:
                pairs.append((self.adaptors["tokens"](features[network.level(TOKENS)]), tokens))
            each = [feature_imitation(own, _at(theirs, own)) for own, theirs in pairs]
            parts["feature"] = weights.feature * torch.stack(each).mean()
        if weights.category:
            own = self._adapted(features, PROTOTYPES)
            divergence = category_divergence(outputs[0], depth, known, categories)
            prototypes = prototype_alignment(own, _at(wanted[PROTOTYPES], own), depth, known, categories)
            parts["category"] = weights.category * (divergence + prototypes)
        return parts

    def _adapted(self, features: Sequence[Tensor], stride: int) -> Tensor:
        """The student's features of a stride, as many channels as the teacher's."""
        adapted: Tensor = self.adaptors[f"features {stride}"](features[self.student.network.level(stride)])
        return adapted

    @torch.no_grad()
    def _taught(self, batch: dict[str, Any]) -> tuple[Tensor, dict[int, Tensor], Tensor | None]:
        """The teacher's depth (B, 1, H, W), its features by stride, and the foundation model's, where it has one."""
        clean, teacher = batch["clean"], self.teacher.to(str(batch["clean"].device)).student
        network, tokens = teacher.network, None
        if isinstance(network, Aggregated):
            plain = network.backbone.encode(clean)
            tokens = network.tokens(clean, plain)
            features = network.fuse(plain, tokens)
        else:
            features = network.encode(clean)
        depth = as_depth(teacher.decode(features, (clean.shape[-2], clean.shape[-1]))[0].float(), self.teacher.kind)
        depth = depth * ratio_of_units(self.teacher, self.student_kind())
        return depth, {stride: features[network.level(stride)] for stride in STRIDES}, tokens


def _at(features: Tensor, like: Tensor) -> Tensor:
    """Features on the grid of others: networks round sizes that do not divide differently."""
    if features.shape[-2:] == like.shape[-2:]:
        return features
    return F.interpolate(features, like.shape[-2:], mode="bilinear")
