"""Learning depth from video alone: another view of the same place must look as depth and motion say it does.

An object that methods hold, not a superclass. Two published behaviours are two settings of the same code, which may be
mixed: :data:`MONODEPTH2` and :data:`AF_SFM`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.camera import Camera
from leadline.errors import ConfigError, InputError
from leadline.geometry.poses import compose
from leadline.geometry.warp import follow, synthesise
from leadline.losses.appearance import appearance_constraint, appearance_smoothness, refined
from leadline.losses.occlusion import visible_by_range
from leadline.losses.photometric import photometric_error, photometric_loss
from leadline.losses.smoothness import disparity_smoothness, edge_aware_smoothness
from leadline.networks.flow import AppearanceNetwork, FlowNetwork
from leadline.networks.pose import PoseNetwork, camera_of

Pose = Literal["learned", "known"]


@dataclass(frozen=True)
class SelfSupervisionOptions:
    """How depth is learned from video; the defaults are monodepth2's.

    Args:
        offsets: of the sources from the middle frame, in frames, in the order the batch has them.
        scales: how many of the depth outputs, finest first, are trained.
        minimum: judge every pixel by the source that explains it best; else by every source.
        automask: leave out what looks more alike if nothing moves.
        occlusion: leave out what the other frame does not show, by backward optical flow.
        appearance: compare with the image in the other frame's light, as a network explains it.
        smoothness: weight of the edge-aware smoothness of disparity, half of it at each coarser output.
        appearance_constraint: weight of the refined image against the other frame.
        appearance_smoothness: weight of the smoothness of the change of light.
        flow_smoothness: weight of the smoothness of optical flow, half of it at each coarser output.
        pose: ``learned`` by a network, which leaves the scale of depth open, or ``known`` from the data, which makes
            depth metric.
        pose_scale: what the pose network's output is multiplied by. Larger values collapse where frames are close
            together, such as 0.01 in laparoscopic video; smaller ones do not learn where they are not.
        known_scale: what the translations of known poses are multiplied by: units of depth in one unit of the poses.
        learned_intrinsics: the pose network tells the camera, too, whatever the data say.
        encoder: of the networks of pose, flow and appearance, see :func:`leadline.networks.encoders.pair_encoder`.
        pretrained: start these encoders from weights learned before.
        weights: which weights, for ``resnet18`` only.

    Raises:
        ConfigError: an option is impossible.
    """

    offsets: tuple[int, ...] = (-1, 1)
    scales: int = 4
    minimum: bool = True
    automask: bool = True
    occlusion: bool = False
    appearance: bool = False
    smoothness: float = 1e-3
    appearance_constraint: float = 0.01
    appearance_smoothness: float = 0.01
    flow_smoothness: float = 1e-3
    pose: Pose = "learned"
    pose_scale: float = 0.01
    known_scale: float = 1.0
    learned_intrinsics: bool = False
    encoder: str = "efficientnet-lite0"
    pretrained: bool = True
    weights: str | None = None

    def __post_init__(self) -> None:
        if not self.offsets or 0 in self.offsets:
            raise ConfigError(f"offsets: {list(self.offsets)} must be one or more, none of them 0")
        if self.scales < 1:
            raise ConfigError(f"scales: {self.scales} is not 1 or more")
        for name in ("smoothness", "appearance_constraint", "appearance_smoothness", "flow_smoothness"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name}: {getattr(self, name):g} is not a weight of 0 or more")
        for name in ("pose_scale", "known_scale"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: {getattr(self, name):g} is not above 0")
        if self.pose not in get_args(Pose):
            raise ConfigError(f"pose: '{self.pose}' is not one of {', '.join(get_args(Pose))}")
        if self.learned_intrinsics and self.pose == "known":
            raise ConfigError("learned_intrinsics: the pose network learns them, which needs pose: learned")

    @property
    def flow(self) -> bool:
        """Whether an optical flow network is trained beside, in a step of its own."""
        return self.occlusion or self.appearance

    @property
    def metric(self) -> bool:
        """Whether depth comes out in the unit of the poses, times ``known_scale``; else up to a scale of its own."""
        return self.pose == "known"


#: Godard et al., "Digging into Self-Supervised Monocular Depth Estimation", ICCV 2019, arXiv 1806.01260.
MONODEPTH2 = SelfSupervisionOptions()
#: AF-SfMLearner (Shao et al., Medical Image Analysis 2022, arXiv 2112.08122), for light that moves with the camera.
AF_SFM = SelfSupervisionOptions(
    minimum=False, automask=False, occlusion=True, appearance=True, smoothness=1e-4, pose_scale=1e-3
)


@dataclass(frozen=True)
class _Registered:
    """What optical flow says of one source.

    Args:
        flows: (B, 2, h, w), finest first, from the middle frame into the source.
        images: (B, 3, H, W) the source, brought to the middle frame by each flow.
        visible: (B, 1, H, W) bool, usable pixels of the middle frame that the source shows.
    """

    flows: list[Tensor]
    images: list[Tensor]
    visible: Tensor


class SelfSupervision(nn.Module):
    """The networks besides that of depth, and the losses, which are computed in float32 under any autocast.

    A batch is what :class:`leadline.data.clips.ClipSamples` makes. Each step of training is two where the options ask
    for flow: :meth:`flow_losses` trains the flow network and nothing else; then :meth:`losses` trains everything but
    it. The one thing drawn at random comes from torch's global generator, which a trainer seeds at every step, unless
    another is given.

    Args:
        options: see :class:`SelfSupervisionOptions`.
        pose: the network of pose, where pose is learned; like the others a new one by default.
        flow: that of optical flow, where it is needed.
        appearance: that of appearance flow, where it is wanted.

    Raises:
        ConfigError: an encoder is unknown, or its weights are not installed or not named.
        InputError: the weights cannot be read.
    """

    def __init__(
        self,
        options: SelfSupervisionOptions = MONODEPTH2,
        pose: PoseNetwork | None = None,
        flow: FlowNetwork | None = None,
        appearance: AppearanceNetwork | None = None,
    ) -> None:
        super().__init__()
        self.options = options
        encoder: dict[str, Any] = {
            "encoder": options.encoder,
            "pretrained": options.pretrained,
            "weights": options.weights,
        }
        self.pose: PoseNetwork | None = None
        self.flow: FlowNetwork | None = None
        self.appearance: AppearanceNetwork | None = None
        if options.pose == "learned":
            self.pose = pose or PoseNetwork(scale=options.pose_scale, intrinsics=options.learned_intrinsics, **encoder)
        if options.flow:
            self.flow = flow or FlowNetwork(scales=options.scales, **encoder)
        if options.appearance:
            self.appearance = appearance or AppearanceNetwork(scales=options.scales, **encoder)
        self._pictures: dict[str, Tensor] = {}

    def flow_parameters(self) -> list[nn.Parameter]:
        """What the flow network's own optimiser moves; empty where there is none."""
        return [] if self.flow is None else list(self.flow.parameters())

    def parameters_but_flow(self) -> list[nn.Parameter]:
        """What is trained together with depth: the networks of pose and appearance."""
        networks = (network for network in (self.pose, self.appearance) if network is not None)
        return [parameter for network in networks for parameter in network.parameters()]

    def pictures(self) -> dict[str, Tensor]:
        """What the latest :meth:`losses` saw at full size, for looking at; empty before. Detached.

        ``middle`` (B, 1, 3, H, W), the middle frame; ``synthesised`` (B, S, 3, H, W), the same made from each source;
        ``used`` (B, 1 or S, H, W) bool, the pixels that taught; with flow ``registered`` (B, S, 3, H, W), the sources
        brought here by it, and ``visible`` (B, S, H, W) bool; with appearance ``refined`` (B, S, 3, H, W), the middle
        frame in each source's light.
        """
        return self._pictures

    def losses(
        self,
        depths: list[Tensor],
        batch: dict[str, Any],
        disparities: list[Tensor] | None = None,
        generator: torch.Generator | None = None,
        geometry: tuple[list[Tensor], Camera] | None = None,
    ) -> dict[str, Tensor]:
        """What depth, pose and appearance are trained with; nothing of it reaches the flow network.

        Args:
            depths: z-depth (B, 1, h, w) > 0, finest first.
            batch: of clips.
            disparities: (B, 1, h, w) > 0, what is to be smooth, by default 1 / depth.
            generator: source of the auto-mask's noise.
            geometry: what :meth:`geometry` gave of the batch, where it was asked for already.

        Returns:
            Weighted parts whose sum is the loss: ``photometric``, ``smoothness``, and with appearance
            ``appearance_constraint`` and ``appearance_smoothness``; each the mean over the scales.

        Raises:
            InputError: the clips lack a camera or poses that the options need.
            ConfigError: the clips have another number of sources.
        """
        options = self.options
        count = self._count(batch)
        motions, camera = geometry or self.geometry(batch)
        changes: list[list[Tensor]] = []
        registered: list[_Registered] = []
        if self.flow is not None:
            with _at_rest(self.flow):
                registered = [self._register(self.flow, batch, source) for source in range(count)]
        if options.appearance:
            changes = [self._change(batch, one) for one in registered]
        with _full_precision(batch["clean"]):
            clean, sources = _full(batch["clean"]), _full(batch["clean_sources"])
            size = clean.shape[-2:]
            seen = torch.isfinite(camera.rays(clean.detach())).all(dim=-1)[..., None, :, :]
            usable = (batch["mask"] & seen).expand(-1, count, -1, -1)
            if registered:
                usable = usable & torch.cat([one.visible for one in registered], dim=1)
            still = None
            if options.automask:
                still = torch.cat([photometric_error(sources[:, s], clean) for s in range(count)], dim=1)
            depths = depths[: options.scales]
            smoothed = disparities[: options.scales] if disparities else [1 / _full(depth) for depth in depths]
            parts: dict[str, list[Tensor]] = defaultdict(list)
            for level, (depth, disparity) in enumerate(zip(depths, smoothed, strict=True)):
                full = _resized(_full(depth), size)
                made = [synthesise(sources[:, s], full, camera, motions[s])[0] for s in range(count)]
                wanted = [clean] * count
                if changes:
                    at = [change[min(level, len(change) - 1)] for change in changes]
                    wanted = [refined(clean, a, one.visible) for a, one in zip(at, registered, strict=True)]
                    for a, image, one in zip(at, wanted, registered, strict=True):
                        constraint = appearance_constraint(image, one.images[0], one.visible)
                        parts["appearance_constraint"].append(options.appearance_constraint * constraint)
                        there = one.images[min(level, len(one.images) - 1)]
                        smooth = appearance_smoothness(a, clean, there, one.visible)
                        parts["appearance_smoothness"].append(options.appearance_smoothness * smooth)
                errors = torch.cat([photometric_error(m, w) for m, w in zip(made, wanted, strict=True)], dim=1)
                photometric, used = photometric_loss(errors, usable, still, options.minimum, generator)
                parts["photometric"].append(photometric)
                smooth = disparity_smoothness(_full(disparity), _shrunk(clean, disparity.shape[-2:]))
                parts["smoothness"].append(options.smoothness / 2**level * smooth)
                if level == 0:
                    self._look(clean, made, wanted if changes else [], registered, used)
        return {name: torch.stack(values).mean() for name, values in parts.items()}

    def flow_losses(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """What the flow network is trained with, in a step of its own; nothing of it reaches any other network.

        Args:
            batch: of clips; needs neither camera nor poses.

        Returns:
            Weighted parts whose sum is the loss, means over scales and sources: ``flow_photometric``, of the source
            brought here by the flow and the image (in the source's light, where appearance is wanted), on visible
            pixels, and ``flow_smoothness``. Empty where the options need no flow.

        Raises:
            ConfigError: the clips have another number of sources.
        """
        options = self.options
        if self.flow is None:
            return {}
        count = self._count(batch)
        parts: dict[str, list[Tensor]] = defaultdict(list)
        for source in range(count):
            one = self._register(self.flow, batch, source)
            change: list[Tensor] = []
            if self.appearance is not None:
                with _at_rest(self.appearance):
                    change = self._change(batch, one)
            with _full_precision(batch["clean"]):
                clean = _full(batch["clean"])
                for level, (flow, image) in enumerate(zip(one.flows, one.images, strict=True)):
                    wanted = clean
                    if change:
                        wanted = refined(clean, change[min(level, len(change) - 1)], one.visible)
                    error = photometric_error(image, wanted)
                    parts["flow_photometric"].append(photometric_loss(error, one.visible)[0])
                    smoothness = edge_aware_smoothness(flow, _shrunk(clean, flow.shape[-2:]))
                    parts["flow_smoothness"].append(options.flow_smoothness * smoothness / 2**level)
        return {name: torch.stack(values).mean() for name, values in parts.items()}

    def geometry(self, batch: dict[str, Any]) -> tuple[list[Tensor], Camera]:
        """Motions (B, 4, 4) from the middle camera to that of each source, and the camera: known, or learned so far.

        Raises:
            InputError: see :meth:`losses`.
        """
        options = self.options
        if options.pose == "known":
            if "motions" not in batch:
                raise InputError("motions: the clips have no poses; give some that have, or pose: learned")
            known = _full(batch["motions"])
            scaled = compose(known[..., :3, :3], options.known_scale * known[..., :3, 3])
            return list(scaled.unbind(1)), self._camera(batch)
        assert self.pose is not None
        found = [
            self.pose.between(batch["image"], batch["sources"][:, source], offset < 0)
            for source, offset in enumerate(options.offsets)
        ]
        motions = [motion.matrix for motion in found]
        if not options.learned_intrinsics:
            return motions, self._camera(batch)
        # A clip has one camera: EndoDAC takes the answer of the last pair for all, we the mean of all pairs.
        intrinsics = [motion.intrinsics for motion in found if motion.intrinsics is not None]
        return motions, camera_of(torch.stack(intrinsics).mean(dim=0), *batch["image"].shape[-2:])

    @torch.no_grad()
    def reprojection_error(
        self, depth: Tensor, batch: dict[str, Any], geometry: tuple[list[Tensor], Camera] | None = None
    ) -> Tensor:
        """How badly a depth map explains the middle frame: the least photometric error over the sources, by the motion
        known or learned so far; nothing is trained.

        Args:
            depth: (B, 1, H, W) z-depth > 0, of the images' size and in the scale of the motions.
            batch: of clips.
            geometry: what :meth:`geometry` gave of the batch, where it was asked for already.

        Returns:
            (B, 1, H, W) >= 0, infinite where no source shows the pixel.

        Raises:
            InputError: see :meth:`losses`, as the next.
            ConfigError: the clips have another number of sources.
        """
        count = self._count(batch)
        with _at_rest(self.pose) if self.pose is not None else nullcontext():
            motions, camera = geometry or self.geometry(batch)
        with _full_precision(batch["clean"]):
            clean, sources = _full(batch["clean"]), _full(batch["clean_sources"])
            views = [synthesise(sources[:, s], _full(depth), camera, motions[s]) for s in range(count)]
            errors = [torch.where(view[1], photometric_error(view[0], clean), torch.inf) for view in views]
        return torch.cat(errors, dim=1).amin(dim=1, keepdim=True)

    def _count(self, batch: dict[str, Any]) -> int:
        count, wanted = batch["sources"].shape[1], len(self.options.offsets)
        if count != wanted:
            raise ConfigError(f"offsets: the clips have {count} sources, but {list(self.options.offsets)} are {wanted}")
        return wanted

    def _camera(self, batch: dict[str, Any]) -> Camera:
        if "camera" not in batch:
            raise InputError("camera: the clips do not tell it; give intrinsics or a field of view, or learn it")
        camera: Camera = batch["camera"]
        return camera

    def _register(self, network: FlowNetwork, batch: dict[str, Any], source: int) -> _Registered:
        """The source as its flow brings it to the middle frame."""
        middle, other = batch["image"], batch["sources"][:, source]
        flows = network(middle, other)[: self.options.scales]
        visible = batch["mask"]
        if self.options.occlusion:
            with torch.no_grad():
                backward = network(other, middle)[0]
        with _full_precision(middle):
            size, clean = middle.shape[-2:], _full(batch["clean_sources"][:, source])
            flows = [_full(flow) for flow in flows]
            images = [follow(clean, _resized(flow, size)) for flow in flows]
            if self.options.occlusion:
                visible = visible & visible_by_range(_resized(_full(backward), size))
        return _Registered(flows, images, visible)

    def _change(self, batch: dict[str, Any], one: _Registered) -> list[Tensor]:
        """(B, 3, H, W) what a source's light adds to the middle frame, finest first."""
        assert self.appearance is not None
        changes = self.appearance(one.images[0].detach(), batch["clean"])
        with _full_precision(batch["clean"]):
            return [_resized(_full(change), batch["clean"].shape[-2:]) for change in changes]

    def _look(
        self, clean: Tensor, made: list[Tensor], wanted: list[Tensor], registered: list[_Registered], used: Tensor
    ) -> None:
        """Keep what :meth:`pictures` shows."""
        seen = {"middle": clean[:, None], "synthesised": torch.stack(made, dim=1), "used": used}
        if registered:
            seen["registered"] = torch.stack([one.images[0] for one in registered], dim=1)
            seen["visible"] = torch.cat([one.visible for one in registered], dim=1)
        if wanted:
            seen["refined"] = torch.stack(wanted, dim=1)
        self._pictures = {name: value.detach() for name, value in seen.items()}


@contextmanager
def _at_rest(network: nn.Module) -> Iterator[None]:
    """Nothing of a network changes: neither its weights nor, while it trains, its running statistics."""
    training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in training.items():
            module.training = mode


def _full_precision(like: Tensor) -> torch.autocast:
    return torch.autocast(like.device.type, enabled=False)


def _full(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _resized(values: Tensor, size: torch.Size) -> Tensor:
    if values.shape[-2:] == size:
        return values
    return F.interpolate(values, size, mode="bilinear", align_corners=False)


def _shrunk(image: Tensor, size: torch.Size) -> Tensor:
    return image if image.shape[-2:] == size else F.interpolate(image, size, mode="area")
