"""Unified: what each of the six methods teaches a light student, at once and by one teacher. Ours.

From LiteNet the trinity and semantic alignment; from VFM-Depth style soft categories of distance and the direction of
features; from full-surround distillation the relations between views; from EndoDAV the projection loss, which makes the
frames of a clip agree on where things are; from intrinsic decomposition reflections that photometric learning is kept
from. BriGeS comes in as the teacher: gates are distilled like any other checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from leadline.camera import Camera
from leadline.data.images import Images
from leadline.data.samples import Frames
from leadline.foundation.base import DepthModel
from leadline.foundation.labelled import WatchedLabels
from leadline.geometry.poses import invert
from leadline.losses.category import Categories, category_divergence
from leadline.losses.imitation import feature_imitation
from leadline.losses.normalise import masked_median
from leadline.losses.projection import projection_loss
from leadline.losses.reflection import DETECTORS
from leadline.losses.relations import view_relations
from leadline.methods.base import StudentOptions
from leadline.methods.intrinsic import KNOWN, all_frames, compare
from leadline.methods.litenet import LiteNet
from leadline.methods.optimiser import Optimiser
from leadline.methods.self_supervision import SelfSupervisionOptions
from leadline.methods.semantic_alignment import Alignment
from leadline.methods.trinity import Trinity
from leadline.networks.base import resize

#: The student's features that imitate, so much smaller than the image.
STRIDE = 8
#: Five times LiteNet's weights (chosen on a seed kept for that): photometric learning and the lessons drown those.
TRINITY = Trinity(spatial=0.5, ranking=0.05, spectral=0.25, gradient=0.25)


@dataclass(frozen=True)
class Lessons:
    """Weights of what is learned beside the trinity and alignment; 0 switches one off.

    Args:
        category: soft categories of distance (VFM-Depth style).
        feature: direction of the teacher's features, at 1/8 (VFM-Depth style).
        relations: likeness of the places of the frames of a clip, as the teacher's features have it (surround).
        projection: depth of one frame of a clip, moved to another, against what is said there (EndoDAV), as a part of
            the mean depth of the clips: in the unit of depth, as there, the weight would depend on the world's size.
        reflections: keep photometric learning from pixels that are explained better by something behind the depth that
            the teacher sees there (intrinsic, triplets).
        categories: the categories.
    """

    category: float = 0.5
    feature: float = 0.05
    relations: float = 0.5
    projection: float = 0.1
    reflections: bool = True
    categories: Categories = field(default_factory=Categories)


class Unified(LiteNet):
    """A student of everything: see the module.

    On video with known poses frames come with their neighbours, and the student and its teacher answer for all of
    them. Without a base images stand alone: relations, projection and reflections need clips and are left out. Of a
    teacher that knows disparity up to scale and shift only, categories and reflections are.

    Args:
        teacher: see :class:`LiteNet`; for ``feature`` and ``relations`` one that has features, as checkpoints have.
        student: which network. On video its ``depth_range`` is needed.
        trinity: weights of the distillation losses.
        lessons: weights of what is learned beside.
        optimiser: how the student is optimised.
        cache: see :class:`LiteNet`, as the next.
        teacher_card: card of a network file, where none lies beside it.
        base: how depth is learned from video beside the teacher; None for single images.
        base_lr: see :class:`VideoMethod`.
        alignment: semantic distribution alignment.
        fov: horizontal field of view in degrees, for video that comes without a camera.
        unit: see :class:`LiteNet`.

    Raises:
        ConfigError: see :class:`LiteNet`; or the teacher has no features.
    """

    labels = WatchedLabels  # of neighbours, too

    def __init__(
        self,
        teacher: str | DepthModel,
        student: StudentOptions = StudentOptions("swift"),
        trinity: Trinity = TRINITY,
        lessons: Lessons = Lessons(),
        optimiser: Optimiser = Optimiser(),
        cache: bool = True,
        teacher_card: str | None = None,
        base: SelfSupervisionOptions | None = KNOWN,
        base_lr: float = 1e-4,
        alignment: Alignment | None = None,
        fov: float | None = None,
        unit: str = "m",
    ) -> None:
        super().__init__(teacher, student, trinity, optimiser, cache, teacher_card, base, base_lr, alignment, fov, unit)
        assert self.teacher is not None
        if self.teacher.kind.up_to == "affine":  # it does not say what is how many times as far
            lessons = replace(lessons, category=0.0, reflections=False)
        self.lessons = lessons

    def prepare(
        self, frames: Images, used: Sequence[int], size: tuple[int, int], folder: Path
    ) -> tuple[Frames, dict[int, str]]:
        """Label every frame once, those beside the ones that are learned from, too."""
        if self.base is not None and self.cache:
            ids = {id: index for index, id in enumerate(frames.ids)}  # type: ignore[attr-defined]
            beside = {ids[id] for index in used for id in self.learned_with(frames, index) if id in ids}  # type: ignore[arg-type]
            used = [*used, *sorted(beside - set(used))]
        return super().prepare(frames, used, size, folder)

    @property
    def truths(self) -> bool:
        """The labels of every frame of a clip, where they are kept."""
        return self.cache

    def make_student(self, targets: Tensor) -> None:
        """The student, and what brings its features to the width of the teacher's, which is needed in training only."""
        super().make_student(targets)
        self.adaptor: nn.Conv2d | None = None
        if self.lessons.feature:
            assert self.teacher is not None
            channels = self.teacher.features(torch.zeros(1, 3, 64, 64)).shape[1]
            network = self.student.network
            self.adaptor = nn.Conv2d(network.widths[network.level(STRIDE)], channels, 1)

    def parts(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """The parts of LiteNet, and those of :class:`Lessons`."""
        seen = {name: self._frames(batch, name) for name in ("image", "clean", "mask")}
        count = seen["image"].shape[:2]
        flat = {name: values.flatten(0, 1) for name, values in seen.items()}
        image = flat["image"].contiguous(memory_format=torch.channels_last)
        features = self.student.network.encode(image)
        outputs = [output.float() for output in self.student.decode(features, (image.shape[-2], image.shape[-1]))]
        target, mask = self._taught(batch, flat)
        compared = [self._compared(output) for output in outputs]
        parts = self.losses(compared, target, mask, image)
        parts |= self._imitated(features, outputs[0], target, mask, flat["clean"], count)
        middle = [output.unflatten(0, count)[:, 0] for output in outputs]
        if self.base is not None:
            geometry = self.base.geometry(batch)
            if self.lessons.projection:
                depth = outputs[0].unflatten(0, count)
                apart = _agreement(depth, seen["mask"], *geometry) / depth.detach().mean()
                parts["projection"] = self.lessons.projection * apart
            if self.lessons.reflections:
                taught, known = (values.unflatten(0, count)[:, 0] for values in (target, mask))
                batch = batch | {"mask": batch["mask"] & ~self._reflective(batch, middle[0], taught, known, geometry)}
            parts |= self.base.losses(middle, batch, geometry=geometry) | self.base.flow_losses(batch)
        if self.alignment is not None:
            parts |= self.alignment.losses(features, compared[0], target, flat["clean"], mask)
        return parts

    def _frames(self, batch: dict[str, Any], name: str) -> Tensor:
        """(B, F, C, H, W) of ``image``, ``clean`` or ``mask``, the middle frame first."""
        if self.base is None:
            return batch[name][:, None]
        others = {"image": "sources", "clean": "clean_sources", "mask": "source_masks"}[name]
        return all_frames(batch[name], batch[others])

    @torch.no_grad()
    def _taught(self, batch: dict[str, Any], flat: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(B F, 1, H, W) the teacher's depth, and bool where it is known."""
        labels = batch["target"]
        if self.cache and self.base is not None:
            labels = all_frames(labels, batch["source_targets"]).flatten(0, 1)
        target = self.targets({"target": labels, "clean": flat["clean"]})
        mask = flat["mask"] & torch.isfinite(target)
        return torch.where(mask, target, 1.0), mask

    def _imitated(
        self,
        features: Sequence[Tensor],
        depth: Tensor,
        target: Tensor,
        mask: Tensor,
        clean: Tensor,
        count: Sequence[int],
    ) -> dict[str, Tensor]:
        """Categories, features, relations; all (B F, ...), F being ``count[1]``."""
        lessons, parts = self.lessons, {}
        if lessons.category:
            parts["category"] = lessons.category * category_divergence(depth, target, mask, lessons.categories)
        related = lessons.relations if count[1] > 1 else 0.0
        if self.adaptor is None and not related:
            return parts
        assert self.teacher is not None
        wanted = self.teacher.to(str(clean.device)).features(clean).clone()
        own = features[self.student.network.level(STRIDE)]
        if self.adaptor is not None:
            adapted = self.adaptor(own)
            parts["feature"] = lessons.feature * feature_imitation(adapted, resize(wanted, adapted.shape[-2:]))
        if related:
            first = torch.arange(0, len(clean), count[1], device=clean.device)
            pairs = torch.cat([torch.stack((first, first + n), dim=1) for n in range(1, count[1])])
            parts["relations"] = related * view_relations(own, wanted, torch.cat((pairs, pairs.flip(1))))
        return parts

    @torch.no_grad()
    def _reflective(
        self,
        batch: dict[str, Any],
        depth: Tensor,
        taught: Tensor,
        known: Tensor,
        geometry: tuple[Sequence[Tensor], Camera],
    ) -> Tensor:
        """(B, 1, H, W) bool, where something behind what the teacher sees explains the images better."""
        if self.target_kind.up_to != "nothing":  # at the student's scale, as the motions are
            taught = taught * masked_median(depth, known) / masked_median(taught, known)
        frames = all_frames(batch["clean"], batch["clean_sources"])
        told = DETECTORS["triplets"]
        return told(compare(frames, frames, torch.zeros_like(frames), taught, known, *geometry, told.times).evidence)


def _agreement(depth: Tensor, mask: Tensor, motions: Sequence[Tensor], camera: Camera) -> Tensor:
    """The projection loss of the middle frame and each source, both ways round.

    Args:
        depth: (B, F, 1, H, W) of the frames, the middle one first.
        mask: (B, F, 1, H, W) bool.
        motions: F - 1 times (B, 4, 4), from the middle camera to the source's.
        camera: of the clips.
    """
    terms = []
    for source, motion in enumerate(motions, 1):
        one, other = depth[:, 0], depth[:, source]
        terms.append(projection_loss(one, other, camera, motion, mask[:, 0]))
        terms.append(projection_loss(other, one, camera, invert(motion), mask[:, source]))
    return torch.stack(terms).mean()
