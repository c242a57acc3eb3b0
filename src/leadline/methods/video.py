"""What methods share whose student may learn from video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from leadline.data.augmentation import Augmentation
from leadline.data.clips import ClipSamples
from leadline.data.images import Images
from leadline.data.samples import Frames, Samples
from leadline.depth import ARBITRARY, Kind
from leadline.errors import ConfigError
from leadline.methods.base import Method, StudentOptions
from leadline.methods.clips import with_neighbours
from leadline.methods.optimiser import Optimiser
from leadline.methods.self_supervision import SelfSupervision, SelfSupervisionOptions
from leadline.networks.pose import PoseNetwork


class VideoMethod(Method):
    """A student that learns depth from video where there is a base: metric where poses are known in a unit of length,
    else up to scale.

    The optical flow of the base has a step of its own in AF-SfMLearner. Here both are one step of one optimiser: no
    gradient of the one loss reaches the networks of the other, moments belong to parameters, and gradients are clipped
    apart, so nothing differs but that flow is one step older where it is used.

    Args:
        student: which network; with a base its ``depth_range`` is needed.
        optimiser: how the student is optimised.
        base: how depth is learned from video; the frames are then a data set that knows neighbours.
        base_lr: learning rate of the networks of pose, flow and appearance.
        fov: horizontal field of view in degrees, for video that comes without a camera.
        unit: of depth, where poses are known and the frames have no depth that says it; ``arbitrary`` for poses of a
            reconstruction from images.

    Raises:
        ConfigError: there is a base and no depth range.
    """

    def __init__(
        self,
        student: StudentOptions,
        optimiser: Optimiser,
        base: SelfSupervisionOptions | None,
        base_lr: float,
        fov: float | None,
        unit: str,
    ) -> None:
        super().__init__(student, optimiser)
        if base is not None and student.depth_range is None and student.start is None:
            raise ConfigError(
                "student.depth_range: video does not tell; say nearest and farthest depth, such as [0.1, 150]"
            )
        self.base = SelfSupervision(base) if base is not None else None
        # A student's outputs coarser than the scales compared, and in phases other parts, have no gradient.
        self.rests = base is not None
        self.base_lr = base_lr
        self.fov = fov
        self.unit = unit

    @property
    def truths(self) -> bool:
        """Whether the depth of the sources is read, too."""
        return False

    @property
    def pose_network(self) -> PoseNetwork | None:
        """The base's."""
        return self.base.pose if self.base is not None else None

    @property
    def offsets(self) -> tuple[int, ...]:
        """Of the sources."""
        return self.base.options.offsets if self.base is not None else ()

    @property
    def pose_stride(self) -> int:
        """The nearest source's offset."""
        return min(map(abs, self.offsets), default=1)

    def pictures(self) -> dict[str, Tensor]:
        """The base's."""
        return self.base.pictures() if self.base is not None else {}

    def usable(self, frames: Images) -> Sequence[int]:
        """With a base the frames that have the neighbours, and poses where they are to be known."""
        if self.base is None:
            return super().usable(frames)
        return with_neighbours(frames, self.offsets, poses=self.base.options.metric)

    def prepare(
        self, frames: Images, used: Sequence[int], size: tuple[int, int], folder: Path
    ) -> tuple[Frames, dict[int, str]]:
        """Learn what the poses are measured in; the frames are trained on as they are."""
        del size, folder
        self.data_licence = frames.licence
        if self.base is not None and self.base.options.metric and (depth := frames[used[0]].depth) is not None:
            self.unit = depth.to_depth().unit
        return frames, {}

    def samples(
        self, frames: Frames, size: tuple[int, int], augmentation: Augmentation | None = None, seed: int = 0
    ) -> Samples:
        """With a base clips, else single frames."""
        if self.base is None:
            return super().samples(frames, size, augmentation, seed)
        known = self.base.options.metric
        return ClipSamples(frames, size, self.offsets, augmentation, seed, known, self.fov, self.truths)  # type: ignore[arg-type]

    def student_kind(self) -> tuple[Kind, str]:
        """Depth: metric unless pose is learned or of a reconstruction."""
        metric = self.base is not None and self.base.options.metric and self.unit != ARBITRARY
        return (Kind("depth", "nothing"), self.unit) if metric else (Kind("depth", "scale"), ARBITRARY)

    def make_student(self, targets: Tensor) -> None:
        """With a base the student starts in the middle of its depth range, whatever the targets say."""
        if self.base is not None:
            nearest, farthest = self.student_options.depth_range or (0.1, 150.0)
            targets = torch.full((1,), (nearest * farthest) ** 0.5)
        super().make_student(targets)

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Flow is clipped by its own norm, all else by theirs."""
        flow = self.base.flow_parameters() if self.base is not None else []
        own = {id(parameter) for parameter in flow}
        others = [p for group in optimizer.param_groups for p in group["params"] if id(p) not in own]
        for parameters in (flow, others):
            if gradient_clip_val and parameters:
                torch.nn.utils.clip_grad_norm_(parameters, gradient_clip_val)

    def rates(self) -> list[tuple[float, list[torch.nn.Parameter]]]:
        """The networks of the base have a rate of their own."""
        if self.base is None:
            return super().rates()
        own = {id(parameter) for parameter in self.base.parameters()}
        others = [parameter for parameter in self.parameters() if id(parameter) not in own]
        return [*self.rates_of(others), (self.base_lr, list(self.base.parameters()))]
