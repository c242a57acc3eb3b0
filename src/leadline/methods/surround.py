"""Surround: a light network for the cameras around a vehicle, metric, taught by a foundation model that is not.

Hwang, Choi et al., "Scale-invariant and View-relational Representation Learning for Full Surround Monocular Depth",
RA-L 11(1):1002-1009, 2026, arXiv 2512.08700. The idea is the paper's: probabilities of bins carry no scale, so they
are learned from the foundation model, while the bins' centres, in metres, are learned from lidar (cross-interaction
distillation); and features of neighbouring cameras shall be related as the foundation model's are (view-relational
distillation). No code and no equations are public: the losses' forms and weights are ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.data.augmentation import Augmentation
from leadline.data.dataset import DataSet
from leadline.data.images import Images
from leadline.data.lists import FrameId
from leadline.data.rigs import Instants, RigSamples
from leadline.data.samples import Frames, Samples
from leadline.depth import Kind
from leadline.errors import ConfigError, InputError
from leadline.foundation import load
from leadline.foundation.base import DepthModel
from leadline.foundation.licences import joined, student_licence
from leadline.losses.bins import bin_chamfer, depth_probability, probability_divergence
from leadline.losses.imitation import depth_imitation, feature_imitation
from leadline.losses.normalise import masked_median
from leadline.losses.relations import view_relations
from leadline.losses.silog import silog
from leadline.losses.ssi import least_squares
from leadline.methods.base import Method, StudentOptions, resized
from leadline.methods.optimiser import Optimiser
from leadline.networks.binned import Binned, Bins, expected

#: Lidar points an image must have for the teacher's depth to be brought to metres by them.
POINTS = 10


@dataclass(frozen=True)
class Distillation:
    """Weights of what is learned from the teacher; 0 switches a part off.

    The first three are the method; ``depth``, ``features`` and ``explained`` are what it is compared with.

    Args:
        cross: lidar's error of the teacher's probabilities on the student's centres.
        probability: divergence of the student's probabilities from the teacher's.
        relations: difference of the relations between neighbouring views.
        chamfer: distance of the student's centres to the depths of lidar.
        depth: imitation of the teacher's depth, brought to metres image by image by lidar.
        features: imitation of the teacher's features (Romero et al., "FitNets", ICLR 2015, by direction).
        explained: divergence from a distribution around the teacher's depth (TIE-KD, arXiv 2402.14340).
        temperature: of ``probability``.
    """

    cross: float = 0.5
    probability: float = 0.5
    relations: float = 1.0
    chamfer: float = 0.0
    depth: float = 0.0
    features: float = 0.0
    explained: float = 0.0
    temperature: float = 2.0

    @property
    def binned(self) -> bool:
        """Whether the teacher's features are binned."""
        return bool(self.cross or self.probability or self.relations)

    @property
    def taught(self) -> bool:
        """Whether a teacher is needed."""
        return self.binned or bool(self.depth or self.features or self.explained)


class Surround(Method):
    """Metric depth of all cameras of a rig by one network of bins.

    It learns in the images of one camera, whose focal length is ``focal``: true depth is multiplied by ``focal / fx``
    before, depth that is predicted by ``fx / focal`` after (Facil et al., "CAM-Convs", CVPR 2019), so that cameras of
    other focal lengths mean the same.

    Args:
        teacher: what ``leadline.foundation.load`` opens; it is never trained or saved. Needed unless all weights of the
            distillation are 0.
        student: which network, one of bins such as ``swift-bins``; its ``depth_range`` is needed.
        distillation: what is learned from the teacher.
        optimiser: how the networks are optimised.
        focal: focal length in pixels of the training size; by default the shortest of the first instant's cameras, with
            which the depth range reaches as far as it says in every camera.

    Raises:
        ConfigError: there is no teacher, or no depth range.
    """

    # Frames kept apart are judged one by one while training: views that look at their neighbours do so without them.

    def __init__(
        self,
        teacher: str | DepthModel | None = None,
        student: StudentOptions = StudentOptions("swift-bins", depth_range=(0.1, 200.0)),
        distillation: Distillation = Distillation(),
        optimiser: Optimiser = Optimiser(),
        focal: float | None = None,
    ) -> None:
        super().__init__(student, optimiser)
        if student.depth_range is None:
            raise ConfigError("student.depth_range: nearest and farthest depth are needed, such as [0.1, 200]")
        if distillation.taught and teacher is None:
            raise ConfigError("teacher: name one, or set all weights of the distillation to 0")
        self.weights = distillation
        self.teacher: DepthModel | None = None
        if distillation.taught and teacher is not None:
            self.teacher = load(teacher) if isinstance(teacher, str) else teacher
        self.focal = focal
        self.instants: Instants | None = None
        self.nearest = student.depth_range[0]

    def usable(self, frames: Images) -> Sequence[int]:
        """The first frame of every instant.

        Raises:
            ConfigError: the frames are of no data set with several cameras.
        """
        if not isinstance(frames, DataSet) or all(len(instant) < 2 for instant in frames.instants()):
            raise ConfigError("data: instants of several cameras are learned from, so a data set of rigs is needed")
        self.instants = Instants(frames)
        return list(self.instants.together)

    def learned_with(self, frames: DataSet, index: int) -> Iterable[FrameId | None]:
        """All frames of the instant."""
        assert self.instants is not None
        return (frames.ids[i] for i in self.instants.together[index])

    def prepare(
        self, frames: Images, used: Sequence[int], size: tuple[int, int], folder: Path
    ) -> tuple[Frames, dict[int, str]]:
        """Find out what is missing, and the focal length. An instant goes on without a camera that is missing; without
        lidar it is left out.

        Raises:
            InputError: no frame has a camera.
        """
        del folder
        assert isinstance(frames, DataSet)
        assert self.instants is not None
        self.data_licence = frames.licence
        if self.focal is None:
            self.focal = _focal(RigSamples(frames, size, instants=self.instants), used)
        return frames, dict(self.instants.missing)

    def samples(
        self, frames: Frames, size: tuple[int, int], augmentation: Augmentation | None = None, seed: int = 0
    ) -> Samples:
        """See :class:`RigSamples`."""
        assert isinstance(frames, DataSet)
        return RigSamples(frames, size, augmentation, seed, self.instants)

    def student_kind(self) -> tuple[Kind, str]:
        """Metric depth, in metres."""
        return Kind("depth", "nothing"), "m"

    def licence(self) -> str:
        """The teacher's terms travel with what it taught, those of the data with what its lidar did."""
        own = super().licence()
        return joined(student_licence(self.teacher.licence), own) if self.teacher else own

    def learned_from(self) -> str:
        """See :meth:`Method.learned_from`."""
        return self.teacher.digest if self.teacher else ""

    def teacher_card(self) -> dict[str, str]:
        """See :meth:`Method.teacher_card`."""
        return self.teacher.described() if self.teacher else super().teacher_card()

    def make_student(self, targets: Tensor) -> None:
        """The student, and, needed in training only, the adapter of the teacher's features to the width that is
        binned.

        Raises:
            ConfigError: the architecture has no bins, or they span another range than the student's.
        """
        options, span = self.student_options, self.student_options.depth_range
        assert span is not None
        if not options.start:
            ratio = {"ratio": span[1] / span[0]}
            self.student_options = replace(options, options=ratio | options.options)
        super().make_student(targets)
        network = self.student.network
        if not isinstance(network, Binned):
            raise ConfigError(f"student.architecture: {network.architecture} has no bins; swift-bins has")
        if not math.isclose(network.ratio, span[1] / span[0], rel_tol=1e-6):
            raise ConfigError(
                f"student.depth_range: the bins of {options.start or 'student.options'} span 1 to {network.ratio:g}, "
                f"which {span[0]:g} to {span[1]:g} does not"
            )
        if self.teacher is not None and (self.weights.binned or self.weights.features):
            channels = self.teacher.features(torch.zeros(1, 3, 64, 64)).shape[1]
            width = network.adapter.out_channels
            if self.weights.binned:
                self.adapter = nn.Conv2d(channels, width, 1)
            if self.weights.features:
                self.regressor = nn.Conv2d(width, channels, 1)

    def targets(self, batch: dict[str, Any]) -> Tensor:
        """True depth as the camera of ``focal`` would have it."""
        assert self.focal is not None
        return batch["target"] * (self.focal / batch["focal"])[:, None, None, None]

    def parts(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """The error of depth by lidar, and what is learned from the teacher."""
        network, weights = self.student.network, self.weights
        assert isinstance(network, Binned)
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        size = (image.shape[-2], image.shape[-1])
        target = self.targets(batch) / self.nearest  # as bins have it
        mask = batch["mask"] & torch.isfinite(target) & (target > 1) & (target < network.ratio)
        target = torch.where(mask, target, 1.0)

        def error(logits: Tensor, centres: Tensor) -> Tensor:
            return lidar_error(network.full(expected(logits, centres), size), target, mask)

        own = network.adapted(network.encode(image), batch["pairs"])
        student = network.binning(own)
        parts = {"lidar": error(*student)}
        if weights.chamfer:
            parts["chamfer"] = weights.chamfer * bin_chamfer(student.centres, target, mask)
        if self.teacher is None:
            return parts
        if weights.binned or weights.features:
            features = self._features(batch["clean"], own.shape[-2:])
        if weights.binned:
            wanted = self.adapter(features)
            teacher: Bins = network.binning(wanted)
            parts["teacher"] = error(*teacher)
            if weights.cross:
                parts["cross"] = weights.cross * error(teacher.logits.detach(), student.centres)
            if weights.probability:
                divergence = probability_divergence(student.logits, teacher.logits, weights.temperature)
                parts["probability"] = weights.probability * divergence
            if weights.relations:
                parts["relations"] = weights.relations * view_relations(own, wanted, batch["pairs"])
        if weights.features:
            parts["features"] = weights.features * feature_imitation(self.regressor(own), features)
        if weights.depth or weights.explained:
            depth, known = self._depth(batch["clean"], target, mask)
            known = known & batch["mask"] & (depth > 1) & (depth < network.ratio)
            if weights.depth:
                imitated = depth_imitation(network.full(student.mean(), size), torch.where(known, depth, 1.0), known)
                parts["depth"] = weights.depth * imitated
            if weights.explained:
                small, there = (resized(each, own.shape[-2:]) for each in (depth, known))
                divergence = depth_probability(student.logits, small, there, student.centres)
                parts["explained"] = weights.explained * divergence
        return parts

    def _features(self, image: Tensor, grid: torch.Size) -> Tensor:
        """The teacher's (N, C, h, w), on the student's grid."""
        assert self.teacher is not None
        features = self.teacher.to(str(image.device)).features(image)
        return F.interpolate(features, grid, mode="bilinear", antialias=True)

    def _depth(self, image: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The teacher's depth (N, 1, H, W), brought to the unit of the target by it, image by image, in the teacher's
        own quantity; and where it is known."""
        assert self.teacher is not None
        teacher = self.teacher.to(str(image.device))
        answer, kind = teacher(image)[:, None].to(target), teacher.kind
        enough = mask.sum(dim=(1, 2, 3), keepdim=True) >= POINTS
        known = torch.isfinite(answer) & enough
        wanted = target if kind.quantity == "depth" else 1 / target
        there = mask & known
        answer = torch.where(known, answer, 1.0)
        if kind.up_to == "affine":
            scale, middle, mean = least_squares(answer, wanted, there)
            answer = scale * (answer - middle) + mean
        else:
            median = masked_median(answer, there)
            answer = answer * masked_median(wanted, there) / torch.where(median > 0, median, 1.0)
        known = known & (answer > 0)
        answer = torch.where(known, answer, 1.0)
        return (answer if kind.quantity == "depth" else 1 / answer), known


def lidar_error(depth: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """``10 sqrt(var(g) + 0.15 mean(g)**2)`` with ``g = log d - log d*`` (Lee et al., "From Big to Small", arXiv
    1907.10326, eq. 6), the variance of each image, the mean over images.

    Args:
        depth: (N, 1, H, W) > 0.
        target: (N, 1, H, W), > 0 on the mask, in the same unit.
        mask: (N, 1, H, W) bool; images without a point do not count.
    """
    return 10 * silog(depth, target, mask, 0.85, root=True)


def _focal(samples: RigSamples, used: Sequence[int]) -> float:
    """The shortest focal length of the views of the first instant, in pixels of the training size."""
    first = next((index for index in used if index in samples.together), None)
    if first is None:
        raise InputError(f"{samples.frames.root}: no instant has its images, calibration and depth")
    item = samples[0, first]
    if "focal" not in item:
        raise InputError(f"{samples.frames.paths[first]}: has no calibration, and metric depth needs the focal length")
    return float(item["focal"].min())
