"""Depth that survives mirrors, glass and polish: learned together with what in an image depends on the view.

Choi et al., "Intrinsic Image Decomposition for Robust Self-supervised Monocular Depth Estimation on Reflective
Surfaces", AAAI 2025, arXiv 2503.22209. Self-supervision takes surfaces to look the same from everywhere, and puts
mirrors too far away. Here a decomposition, trained beside depth, finds reflections and keeps their errors from depth
(:class:`Intrinsic`); then a plain student learns from a teacher with and one without that
(:class:`IntrinsicDistilled`). The paper's code is not public: what it does not say is ours, and said to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from leadline.camera import Camera
from leadline.errors import ConfigError
from leadline.foundation.leadline_model import LeadlineModel
from leadline.foundation.licences import joined, student_licence
from leadline.geometry.warp import sample, synthesise
from leadline.losses.imitation import depth_imitation
from leadline.losses.intrinsic import contrast, cross_reconstruction, reconstruction, sparsity
from leadline.losses.photometric import photometric_error
from leadline.losses.reflection import DETECTORS, Detector, Evidence, averaged
from leadline.losses.smoothness import disparity_smoothness
from leadline.methods.base import StudentOptions, as_depth, ratio_of_units
from leadline.methods.optimiser import Optimiser
from leadline.methods.self_supervision import MONODEPTH2, SelfSupervisionOptions
from leadline.methods.video import VideoMethod
from leadline.networks.decomposition import Decomposed

KNOWN = replace(MONODEPTH2, pose="known")
"""Monodepth2's settings with the camera's motion known, as in the paper."""

Mask = Literal["mahalanobis", "triplets"]


@dataclass(frozen=True)
class Decomposition:
    """How images are taken apart, and what comes of it.

    Args:
        reconstruction: weight of L R = I, of every image by itself.
        cross: weight of the same with the L of a source and the R of the middle frame.
        sparsity: weight of what keeps R at 1 where nothing speaks against it (ours).
        contrast: weight of what keeps the L of different clips apart.
        mask: what tells reflections, a name of ``leadline.losses.reflection.DETECTORS``.
        warm_up: part of a run in which depth learns from reflections too; the paper's 41 epochs with 5 of it (ours).

    Raises:
        ConfigError: there is no such mask, or the warm-up is no part.
    """

    reconstruction: float = 1.0
    cross: float = 1.0
    sparsity: float = 0.3
    contrast: float = 0.01
    mask: Mask = "mahalanobis"
    warm_up: float = 5 / 41

    def __post_init__(self) -> None:
        detector(self.mask)
        if not 0 <= self.warm_up <= 1:
            raise ConfigError(f"warm_up: {self.warm_up:g} is not between 0 and 1")


def detector(name: str) -> Detector:
    """The detector of reflections of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in DETECTORS:
        raise ConfigError(f"mask: '{name}' is not one of {', '.join(DETECTORS)}")
    return DETECTORS[name]


@dataclass(frozen=True)
class Views:
    """The frames of a batch of clips, taken apart, with the sources brought to the middle frame by its depth.

    Args:
        frames: (B, 1 + S, 3, H, W) in [0, 1], the middle frame first.
        diffuse: (B, 1 + S, 3, H, W) L.
        log_residual: (B, 1 + S, 3, H, W) log R.
        warped: (B, S, 3, H, W) the sources' L, brought to the middle frame.
        shown: (B, S, H, W) bool, usable pixels of the middle frame that each source shows.
        evidence: of reflections.
    """

    frames: Tensor
    diffuse: Tensor
    log_residual: Tensor
    warped: Tensor
    shown: Tensor
    evidence: Evidence


def compare(
    frames: Tensor,
    diffuse: Tensor,
    log_residual: Tensor,
    depth: Tensor,
    mask: Tensor,
    motions: Sequence[Tensor],
    camera: Camera,
    times: Sequence[float] = (),
) -> Views:
    """Bring the sources of clips to their middle frames.

    No gradient reaches depth, motions and camera from here (ours): what reflections do to the decomposition's errors
    must not come to depth by the back door. All in float32 under any autocast.

    Args:
        frames: (B, 1 + S, 3, H, W) in [0, 1], the middle frame first.
        diffuse: (B, 1 + S, 3, H, W) L of them.
        log_residual: (B, 1 + S, 3, H, W) log R of them.
        depth: (B, 1, H, W) of the middle frames, in the unit of the motions.
        mask: (B, 1, H, W) bool, their usable pixels.
        motions: S times (B, 4, 4), from the middle camera to the source's.
        camera: of the clips.
        times: the depth, at which the detector wants evidence too.
    """
    middle = frames[:, 0]
    warped, shown, errors = [], [], []
    with torch.autocast(frames.device.type, enabled=False):
        seen = mask & torch.isfinite(camera.rays(middle)).all(dim=-1)[..., None, :, :]
        for source, motion in enumerate(motions, 1):
            with torch.no_grad():
                image, valid, _, places = synthesise(frames[:, source], depth, camera, motion)
            moved = sample(diffuse[:, source], places)
            with torch.no_grad():
                own, known = [photometric_error(image, middle), photometric_error(moved, diffuse[:, 0])], [valid, valid]
                for factor in times:
                    image, there, *_ = synthesise(frames[:, source], factor * depth, camera, motion)
                    own.append(averaged(photometric_error(image, middle)))
                    known.append(valid & there)
                errors.append(torch.where(torch.cat(known, dim=1) & seen, torch.cat(own, dim=1), torch.inf))
            warped.append(moved)
            shown.append(valid & seen)
    least = torch.stack(errors).amin(dim=0)
    visible = torch.cat(shown, dim=1)
    evidence = Evidence(least[:, :1], least[:, 1:2], least[:, 2:], visible.any(dim=1, keepdim=True))
    return Views(frames, diffuse, log_residual, torch.stack(warped, dim=1), visible, evidence)


def all_frames(middle: Tensor, sources: Tensor) -> Tensor:
    """(B, 1 + S, 3, H, W) of the middle frames (B, 3, H, W) and their sources (B, S, 3, H, W)."""
    return torch.cat((middle[:, None], sources), dim=1)


class Intrinsic(VideoMethod):
    """Depth from video and an intrinsic decomposition, trained together; reflections are kept from depth.

    All terms of the decomposition look at the frames as the network sees them, colour changes included (ours). The
    checkpoint is a network ``intrinsic``: for depth it is the plain network, ``predict --decompose`` also asks it for
    the rest.

    Args:
        student: the plain network, and its ``depth_range``.
        base: how depth is learned from video; the paper knows the camera's motion.
        decomposition: how images are taken apart.
        optimiser: how the network is optimised.
        base_lr: see :class:`VideoMethod`, as all below.
        fov: horizontal field of view in degrees, for video without a camera.
        unit: of depth, where poses are known and nothing else says it.

    Raises:
        ConfigError: see :class:`VideoMethod`; or the network is none that can be taken.
    """

    def __init__(
        self,
        student: StudentOptions = StudentOptions("swift"),
        base: SelfSupervisionOptions = KNOWN,
        decomposition: Decomposition = Decomposition(),
        optimiser: Optimiser = Optimiser(),
        base_lr: float = 1e-4,
        fov: float | None = None,
        unit: str = "m",
    ) -> None:
        options = {"backbone": student.architecture, "backbone_options": student.options}
        super().__init__(
            replace(student, architecture="intrinsic", options=options), optimiser, base, base_lr, fov, unit
        )
        self.decomposition = decomposition
        self.masking = True
        self._pictures: dict[str, Tensor] = {}

    @property
    def network(self) -> Decomposed:
        """What is trained.

        Raises:
            ConfigError: the checkpoint to start from holds another network.
        """
        network = self.student.network
        if not isinstance(network, Decomposed):
            raise ConfigError(f"student.start: {network.architecture} does not take images apart")
        return network

    def make_student(self, targets: Tensor) -> None:
        """See :meth:`VideoMethod.make_student`."""
        super().make_student(targets)
        _ = self.network

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """End the warm-up when it is time."""
        self.masking = self.trainer.global_step >= self.decomposition.warm_up * self.trainer.max_steps

    def pictures(self) -> dict[str, Tensor]:
        """The base's; and the middle frame's ``diffuse`` and ``residual`` (B, 1, 3, H, W), the latter as R / (1 + R),
        and the ``reflective`` pixels (B, 1, H, W)."""
        return super().pictures() | self._pictures

    def parts(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """The base's losses without reflections, and the decomposition's."""
        assert self.base is not None
        frames = all_frames(batch["image"], batch["sources"])
        clips, size = frames.shape[:2], (frames.shape[-2], frames.shape[-1])
        flat = frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        features = self.network.encode(flat)
        middle = [each.unflatten(0, clips)[:, 0] for each in features]
        outputs = [output.float() for output in self.student.decode(middle, size)]
        geometry = self.base.geometry(batch)
        diffuse, log_residual = (values.unflatten(0, clips) for values in self.network.decomposition(features, flat))
        told = detector(self.decomposition.mask)
        views = compare(frames, diffuse, log_residual, outputs[0], batch["mask"], *geometry, told.times)
        parts = self._losses(views, torch.cat((batch["mask"][:, None], batch["source_masks"]), dim=1))
        reflective = told(views.evidence)
        seen = {"diffuse": diffuse[:, :1], "residual": log_residual[:, :1].sigmoid(), "reflective": reflective}
        self._pictures = {name: values.detach() for name, values in seen.items()}
        if self.masking:
            batch = batch | {"mask": batch["mask"] & ~reflective}
        return self.base.losses(outputs, batch, geometry=geometry) | self.base.flow_losses(batch) | parts

    def _losses(self, views: Views, usable: Tensor) -> dict[str, Tensor]:
        """The terms of the decomposition; ``usable`` (B, 1 + S, 1, H, W) bool."""
        weights = self.decomposition
        whole = (views.diffuse, views.log_residual, views.frames, usable)
        across = (views.warped, views.log_residual[:, 0], views.frames[:, 0], views.shown)
        return {
            "reconstruction": weights.reconstruction * reconstruction(*(values.flatten(0, 1) for values in whole)),
            "cross": weights.cross * cross_reconstruction(*across),
            "sparsity": weights.sparsity * sparsity(views.log_residual.flatten(0, 1), usable.flatten(0, 1)),
            "contrast": weights.contrast * contrast(views.diffuse[:, 0]),
        }


class IntrinsicDistilled(VideoMethod):
    """A plain network that learns from two teachers: on reflections from one trained by :class:`Intrinsic`, elsewhere
    from one trained by self-supervision alone.

    ``D* = M D_base + (1 - M) D_ours`` with M = 1 where the intrinsic teacher's decomposition finds no reflection; the
    student's ``mean |log D - log D*|``, at every scale, with edge-aware smoothness. Both teachers are metric, as known
    poses make them.

    Args:
        plain: checkpoint of the base's teacher.
        intrinsic: checkpoint of the intrinsic teacher.
        student: which network, and its ``depth_range``.
        base: the sources' offsets and their geometry, ``smoothness`` and ``scales``; nothing else of it is used.
        mask: what tells reflections, a name of ``leadline.losses.reflection.DETECTORS``.
        optimiser: how the network is optimised.
        fov: see :class:`VideoMethod`, as the next.
        unit: of depth, where nothing else says it.

    Raises:
        ConfigError: see :class:`VideoMethod`; or poses are not known, a teacher is not metric, or the second not
            intrinsic.
        InputError: a teacher cannot be opened.
    """

    def __init__(
        self,
        plain: str,
        intrinsic: str,
        student: StudentOptions = StudentOptions("swift"),
        base: SelfSupervisionOptions = KNOWN,
        mask: Mask = "mahalanobis",
        optimiser: Optimiser = Optimiser(),
        fov: float | None = None,
        unit: str = "m",
    ) -> None:
        if base.pose != "known":
            raise ConfigError("base.pose: reflections are told by known poses; learned ones are in no checkpoint")
        super().__init__(student, optimiser, base, base_lr=optimiser.lr, fov=fov, unit=unit)
        self.mask = detector(mask)
        self.plain, self.intrinsic = (LeadlineModel.open(path) for path in (plain, intrinsic))
        for key, teacher in (("plain", self.plain), ("intrinsic", self.intrinsic)):
            if teacher.kind.up_to != "nothing":
                raise ConfigError(f"{key}: {teacher.name} knows {teacher.kind} only; metric depth is needed")
        if not isinstance(self.intrinsic.student.network, Decomposed):
            raise ConfigError(
                f"intrinsic: {intrinsic} does not take images apart; a teacher that does: leadline train intrinsic-room"
            )

    def licence(self) -> str:
        """The teachers' terms travel with what they taught."""
        return joined(*(student_licence(teacher.licence) for teacher in (self.plain, self.intrinsic)))

    def learned_from(self) -> str:
        """See :meth:`Method.learned_from`."""
        return f"{self.plain.digest} {self.intrinsic.digest}"

    def teacher_card(self) -> dict[str, str]:
        """See :meth:`Method.teacher_card`."""
        return self.intrinsic.described() | {"elsewhere": self.plain.name}

    def parts(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """What is imitated, and smoothness."""
        assert self.base is not None
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        size, options = batch["image"].shape[-2:], self.base.options
        outputs = [output.float() for output in self.student(image)][: options.scales]
        target, _ = self.pseudo(batch)
        full = [F.interpolate(output, size, mode="bilinear", align_corners=False) for output in outputs]
        depth = [depth_imitation(output, target, batch["mask"]) for output in full]
        smooth = [
            options.smoothness
            / 2**level
            * disparity_smoothness(1 / output, F.interpolate(image, output.shape[-2:], mode="area"))
            for level, output in enumerate(outputs)
        ]
        return {"depth": torch.stack(depth).mean(), "smoothness": torch.stack(smooth).mean()}

    @torch.no_grad()
    def pseudo(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """What the teachers say of the frames without colour changes: depth (B, 1, H, W) in the student's unit, and
        the reflective pixels (B, 1, H, W) bool, where it is the intrinsic teacher's."""
        assert self.base is not None
        clean = batch["clean"]
        plain, ours = (self._asked(teacher, clean) for teacher in (self.plain, self.intrinsic))
        network = self.intrinsic.student.network
        assert isinstance(network, Decomposed)
        frames = all_frames(clean, batch["clean_sources"])
        apart = network.decompose(frames.flatten(0, 1))
        diffuse, log_residual = (values.unflatten(0, frames.shape[:2]) for values in apart)
        geometry = self.base.geometry(batch)
        views = compare(frames, diffuse, log_residual, ours, batch["mask"], *geometry, self.mask.times)
        reflective = self.mask(views.evidence)
        return torch.where(reflective, ours, plain), reflective

    def _asked(self, teacher: LeadlineModel, images: Tensor) -> Tensor:
        """(B, 1, H, W) a teacher's depth in the student's unit."""
        depth = as_depth(teacher.to(str(images.device)).student(images).float(), teacher.kind)
        return depth * ratio_of_units(teacher, self.student_kind())
