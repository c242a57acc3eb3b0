"""EndoDAV: a video depth foundation model, tuned by adapters on video alone, steady in time.

"EndoDAV: Depth Any Video in Endoscopy with Spatiotemporal Accuracy" (Zhou, Yang, Yang, Yang, Shen, MICCAI 2025, LNCS
15968:192-201), after its poster and public code (github.com/Zanue/EndoDAV). One thing of the code is not repeated:
there the temporal adapters are in no optimiser, so that its temporal phases move nothing.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from leadline import checkpoint
from leadline.checkpoint import Card
from leadline.data.images import Images
from leadline.data.samples import Frames
from leadline.depth import Kind
from leadline.errors import ConfigError, InputError
from leadline.foundation import load
from leadline.foundation.base import DepthModel
from leadline.foundation.leadline_model import LeadlineModel
from leadline.foundation.licences import student_licence
from leadline.losses.projection import projection_loss
from leadline.methods.base import StudentOptions, ratio_of_units
from leadline.methods.clips import around, each_with_neighbours, in_order
from leadline.methods.optimiser import Optimiser
from leadline.methods.self_supervision import AF_SFM, SelfSupervisionOptions
from leadline.methods.video import VideoMethod
from leadline.networks.adapters import Adapter, DVLoRA, adapt, merge, save_adapters, trainable, weights_digest
from leadline.networks.student import Student
from leadline.networks.video import VideoDepth

SPATIAL, TEMPORAL = "spatial", "temporal"
#: How many clips tell the scale that explains them best, and the factors that are tried.
CLIPS, FACTORS = 4, [2.0 ** (step / 4) for step in range(-24, 25)]


@dataclass(frozen=True)
class Adapters:
    """Which linear layers are adapted, and how, see :mod:`leadline.networks.adapters`.

    The defaults are EndoDAV's: both layers of the perceptron of every ViT block, and the output layer of the perceptron
    of every motion module; 49,600 parameters of ViT-S, 0.17 %.

    Args:
        kind: ``ssb``, ``lora`` or ``dv-lora``.
        spatial: patterns of names of layers tuned in spatial phases.
        temporal: likewise in temporal phases. None of one kind leaves its phases out.
        warm_up: part of a run in which ``dv-lora`` trains its matrices; after it, its vectors.
        options: of the kind, such as ``{"rank": 4}``.
    """

    kind: str = "ssb"
    spatial: tuple[str, ...] = ("*pretrained.blocks.*.mlp.fc[12]",)
    temporal: tuple[str, ...] = ("*motion_modules.*.ff.net.2",)
    warm_up: float = 0.5
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Phases:
    """Which adapters are trained when: spatial ones for some steps, then temporal ones, and again.

    Args:
        spatial: steps.
        temporal: steps; 0 trains spatial adapters alone.
        rounds: a run has at least so many rounds of both: in a short run they are shorter, in the same proportion.
    """

    spatial: int = 400
    temporal: int = 100
    rounds: int = 10

    def __post_init__(self) -> None:
        if min(self.spatial, self.temporal) < 0 or not self.spatial + self.temporal or self.rounds < 1:
            raise ConfigError(f"phases: steps of 0 or more, not both 0, in 1 round or more, not {self}")

    def at(self, step: int, steps: int) -> str:
        """``spatial`` or ``temporal``.

        Example:
            >>> phases = Phases(400, 100, rounds=10)
            >>> [phases.at(step, 40_000) for step in (0, 399, 400, 499, 500)]
            ['spatial', 'spatial', 'temporal', 'temporal', 'spatial']
            >>> [phases.at(step, 50) for step in range(6)]
            ['spatial', 'spatial', 'spatial', 'spatial', 'temporal', 'spatial']
        """
        if not self.temporal:
            return SPATIAL
        both = self.spatial + self.temporal
        length = max(2, min(both, steps // self.rounds))
        first = min(length - 1, max(1, round(length * self.spatial / both))) if self.spatial else 0
        return SPATIAL if step % length < first else TEMPORAL


class EndoDAV(VideoMethod):
    """Adapters of a video network, trained by self-supervision on clips, and in temporal phases by the projection loss.

    What is saved is the network with its adapters merged, which predicts, teaches and is judged like any other, and
    beside it, as NAME.adapters.safetensors, the adapters alone.

    Such a network may know disparity up to a factor only. Learned poses take on its scale; known poses have one of
    their own, so that, before anything is trained, disparity is multiplied by the factor that explains a few clips best
    (ours): the nearest depth of the range moves, the farthest stays.

    Args:
        network: what is tuned: a leadline checkpoint of a video network, a public checkpoint of Video Depth Anything
            (.pth), or its name on the hub.
        depth_range: nearest and farthest depth; by default that of the checkpoint, or [0.1, 150].
        adapters: which layers are adapted.
        phases: which adapters are trained when.
        length: frames of a clip; two more, one at either end, are sources.
        stride: frames of the video from one of a clip to the next: more than 1 where neighbours hardly differ.
        projection: weight of the projection loss.
        base: how depth is learned from video; its offsets are [-1, 1].
        checkpointing: compute activations again in the backward pass: slower, but takes far less memory.
        optimiser: of the adapters.
        base_lr: see :class:`VideoMethod`, as all below.
        fov: horizontal field of view in degrees, for video without a camera.
        unit: of depth, where poses are known and nothing else says it.

    Raises:
        ConfigError: options that do not go together, patterns that match nothing, or a network of metric depth whose
            output is not that of a leadline checkpoint.
        InputError: the network cannot be opened, or sees no clips.
    """

    def __init__(
        self,
        network: str,
        depth_range: tuple[float, float] | None = None,
        adapters: Adapters = Adapters(),
        phases: Phases = Phases(),
        length: int = 16,
        stride: int = 1,
        projection: float = 1e-2,
        base: SelfSupervisionOptions = AF_SFM,
        checkpointing: bool = False,
        optimiser: Optimiser = Optimiser(lr=1e-4),
        base_lr: float = 1e-4,
        fov: float | None = None,
        unit: str = "m",
    ) -> None:
        opened = load(network)
        card = opened.card if isinstance(opened, LeadlineModel) else None
        if card is None and opened.kind.quantity == "depth":
            raise ConfigError(f"network: {network} gives depth; its sibling that gives disparity can be tuned")
        given = depth_range is not None
        depth_range = depth_range or (card.depth_range if card else None) or (0.1, 150.0)
        super().__init__(StudentOptions(depth_range=depth_range), optimiser, base, base_lr, fov, unit)
        if base.offsets != (-1, 1):
            raise ConfigError(
                f"base.offsets: the frames before and after are sources, [-1, 1], not {list(base.offsets)}"
            )
        if length < 2 or stride < 1:
            raise ConfigError(f"length, stride: a clip has 2 frames or more, one in 1 or more, not {length}, {stride}")
        if not adapters.spatial and not adapters.temporal:
            raise ConfigError("adapters: neither spatial nor temporal ones: nothing would be trained")
        phases = phases if adapters.spatial else replace(phases, spatial=0, temporal=1)
        phases = phases if adapters.temporal else replace(phases, spatial=1, temporal=0)
        self.opened, self.adapters, self.phases, self.given_range = opened, adapters, phases, given
        self.length, self.stride, self.projection, self.checkpointing = length, stride, projection, checkpointing
        self.phase = TEMPORAL if phases.temporal else SPATIAL
        self._clips: dict[str, Any] | None = None

    @property
    def offsets(self) -> tuple[int, ...]:
        """Of the frames of a clip."""
        return around(self.length, self.stride)

    def licence(self) -> str:
        """The terms of the network that is tuned travel with it."""
        return student_licence(self.opened.licence)

    def learned_from(self) -> str:
        """See :meth:`Method.learned_from`."""
        return self.opened.digest

    def teacher_card(self) -> dict[str, str]:
        """The network that is tuned."""
        return self.opened.described()

    def prepare(
        self, frames: Images, used: Sequence[int], size: tuple[int, int], folder: Path
    ) -> tuple[Frames, dict[int, str]]:
        """See :meth:`VideoMethod.prepare`; with known poses keep the clips that tell the scale."""
        ready, failures = super().prepare(frames, used, size, folder)
        if self.base is not None and self.base.options.metric:
            samples = self.samples(ready, size)
            usable = set(self.usable(frames))
            learned = [index for index in used if index in usable]
            learned = learned[: max(1, len(learned) // 2)]  # those kept apart come last
            chosen = learned[:: max(1, len(learned) // CLIPS)][:CLIPS]
            self._clips = samples.collate([samples[0, index] for index in chosen])
        return ready, failures

    def make_student(self, targets: Tensor) -> None:
        """The network with adapters; everything else of it is frozen."""
        del targets
        kind, unit = self.student_kind()
        network = _network(self.opened)
        network.network.checkpointing = self.checkpointing
        self.base_digest = weights_digest(network)
        self.groups: dict[str, list[Adapter]] = {}
        for phase, patterns in ((SPATIAL, self.adapters.spatial), (TEMPORAL, self.adapters.temporal)):
            before = set(network.modules())
            if patterns:
                adapt(network, patterns, self.adapters.kind, **self.adapters.options)
            self.groups[phase] = [m for m in network.modules() if isinstance(m, Adapter) and m not in before]
        self.student = Student(network.train(), kind, unit, self._depth_range(kind, unit))
        count, every = trainable(network)
        sizes = {phase: sum(p.numel() for a in group for p in a.own().values()) for phase, group in self.groups.items()}
        parts = ", ".join(f"{size:,} {phase}" for phase, size in sizes.items())
        say = Console(stderr=True, highlight=False, soft_wrap=True).print
        say(f"{count:,} of {every:,} parameters are trained ({count / every:.2%}): {parts}")
        if self._clips is not None:
            factor, self.student.depth_range = self._explaining(self._clips)
            self._clips = None
            ends = " to ".join(f"{end:.3g}" for end in self.student.depth_range)
            say(f"disparity times {factor:.3g} explains the video best: depth from {ends} {unit}")

    @torch.no_grad()
    def _explaining(self, clips: dict[str, Any]) -> tuple[float, tuple[float, float]]:
        """The factor of disparity with which clips have the least photometric error, and the depth range that has
        it."""
        base = self.base
        assert base is not None
        assert self.student.depth_range is not None
        nearest, farthest = self.student.depth_range
        each = each_with_neighbours(clips)
        depth = self.student.clip(in_order(clips, "clean")[:, 1:-1])[0].float()
        near = 1 / depth - 1 / farthest
        geometry = base.geometry(each)

        def error(factor: float) -> float:
            scaled = [1 / (1 / farthest + factor * near)]
            same = torch.Generator().manual_seed(0)  # the noise of the auto-mask
            return float(base.losses(scaled, each, generator=same, geometry=geometry)["photometric"])

        best = min(sorted(FACTORS, key=lambda factor: abs(math.log(factor))), key=error)
        return best, (1 / (1 / farthest + best * (1 / nearest - 1 / farthest)), farthest)

    def _depth_range(self, kind: Kind, unit: str) -> tuple[float, float] | None:
        """In the unit of the data, where the checkpoint's is another."""
        chosen = self.student_options.depth_range
        if chosen is None or self.given_range or kind.up_to != "nothing":
            return chosen
        ratio = ratio_of_units(self.opened, (kind, unit))
        return chosen[0] * ratio, chosen[1] * ratio

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Choose whose turn it is."""
        step, steps = self.trainer.global_step, self.trainer.max_steps
        self.turn(self.phases.at(step, steps), step < self.adapters.warm_up * steps)

    def turn(self, phase: str, warm_up: bool = False) -> None:
        """Train the adapters of one phase and no others; the networks of the base are trained in both."""
        self.phase = phase
        for name, group in self.groups.items():
            for adapter in group:
                for parameter in adapter.own().values():
                    parameter.requires_grad_(name == phase)
                if name == phase and isinstance(adapter, DVLoRA):
                    adapter.set_warm_up(warm_up)

    def configure_optimizers(self) -> Any:
        """Both groups of adapters are in the optimiser, whosever turn it is."""
        for adapter in itertools.chain(*self.groups.values()):
            for parameter in adapter.own().values():
                parameter.requires_grad_(True)
        return super().configure_optimizers()

    def parts(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """The base's losses of every frame; in temporal phases also ``projection``, of adjacent frames both ways."""
        assert self.base is not None
        each = each_with_neighbours(batch)
        outputs = [output.float() for output in self.student.clip(in_order(batch, "image")[:, 1:-1])]
        motions, camera = geometry = self.base.geometry(each)
        parts = self.base.losses(outputs, each, geometry=geometry) | self.base.flow_losses(each)
        if self.projection and self.phase == TEMPORAL:
            depth, mask = (values.unflatten(0, (-1, self.length)) for values in (outputs[0], each["mask"]))
            backward, forward = (motion.unflatten(0, (-1, self.length)) for motion in motions)
            pairs = torch.arange(len(outputs[0])).unflatten(0, (-1, self.length))[:, :-1].flatten()
            camera = camera.picked(pairs)
            one, other = depth[:, :-1].flatten(0, 1), depth[:, 1:].flatten(0, 1)
            there = projection_loss(one, other, camera, forward[:, :-1].flatten(0, 1), mask[:, :-1].flatten(0, 1))
            back = projection_loss(other, one, camera, backward[:, 1:].flatten(0, 1), mask[:, 1:].flatten(0, 1))
            parts["projection"] = self.projection * (there + back) / 2
        return parts

    def save(self, out: Path, card: Card) -> None:
        """The network with its adapters merged, and the adapters alone beside it.

        Raises:
            InputError: a file cannot be written.
        """
        network = copy.deepcopy(self.student.network)
        settings = {
            "network": self.opened.name,
            "spatial": self.adapters.spatial,
            "temporal": self.adapters.temporal,
            "depth_range": self.student.depth_range,
        }
        save_adapters(out.with_suffix(".adapters.safetensors"), network, self.base_digest, settings)
        merge(network)
        checkpoint.save(out, network.state_dict(), card)


def _network(opened: DepthModel) -> VideoDepth:
    """A copy of the network of a model, to be tuned."""
    network = opened.student.network if isinstance(opened, LeadlineModel) else getattr(opened, "network", None)
    if not isinstance(network, VideoDepth):
        raise InputError(
            f"network: {opened.name} is no Video Depth Anything, of which one is needed (vda-tiny, vda-vits)"
        )
    return copy.deepcopy(network)
