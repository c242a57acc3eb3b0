"""Video Depth Anything (Chen et al., "Video Depth Anything: Consistent Depth Estimation for Super-Long Videos", CVPR
2025, arXiv 2501.12375): disparity of a clip, the same from frame to frame.

DINOv2 (Oquab et al., TMLR 2024) sees every frame alone; the dense prediction head of Depth Anything V2 (Ranftl et al.,
ICCV 2021; Yang et al., NeurIPS 2024) joins four of its blocks, and four motion modules in that head attend along time
(section 3.1). Names of modules follow the public checkpoints, which load as they are. Ours: the variant "tiny", the
streaming mode, and the bias that keeps an untrained network's disparity positive.

Maps run through the head with channels last in memory: tokens are maps of that kind without a copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from leadline.errors import ConfigError, InputError, suggest
from leadline.networks.base import precisely
from leadline.networks.public import load_weights, read_weights

PATCH = 14
GRID = 37  # patches along a side of the 518 pixels whose position embeddings are stored
FRAMES = 32  # length of the table of temporal positions
TEMPORAL_HEADS = 8
FRAMES_AT_ONCE = 4  # of the layers at fine resolution, which look at single frames: bounds their memory
#: What the names of the motion modules' parameters start with; all others are spatial.
TEMPORAL = "head.motion_modules."
#: Colours of ImageNet, with which DINOv2 was trained.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

#: From a temporal attention's input (N, T, C) to all frames it attends to (N, M + T, C), these the last ones.
Recall = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Sizes:
    """How large the parts are.

    Attributes:
        width: of the ViT's tokens.
        blocks: of the ViT.
        heads: of the ViT's attention.
        taps: the four blocks whose tokens the head joins, counted from 0.
        channels: of the four maps made of them, finest first.
        features: of the fused maps.
        groups: of the motion modules' normalisation; divides ``features`` and the last two of ``channels``, as 8 does.
    """

    width: int
    blocks: int
    heads: int
    taps: tuple[int, int, int, int]
    channels: tuple[int, int, int, int]
    features: int
    groups: int = 32


VARIANTS = {
    "vits": Sizes(384, 12, 6, (2, 5, 8, 11), (48, 96, 192, 384), 64),
    "vitb": Sizes(768, 12, 12, (2, 5, 8, 11), (96, 192, 384, 768), 128),
    "vitl": Sizes(1024, 24, 16, (4, 11, 17, 23), (256, 512, 1024, 1024), 256),
    # Two channels a group, as in "vits": a group of one would hide its mean from the motion modules.
    "tiny": Sizes(128, 8, 4, (1, 3, 5, 7), (32, 64, 96, 128), 32, groups=16),
}


@dataclass(frozen=True)
class StreamState:
    """What a stream remembers of the frames before; it never grows beyond the network's ``memory``.

    Attributes:
        size: (B, H, W) of the frames.
        inputs: of every temporal attention, in their order, (B h w, M, C) for the last M frames, oldest first.
    """

    size: tuple[int, int, int]
    inputs: tuple[Tensor, ...]


class VideoDepthAnything(nn.Module):
    """Disparity, up to scale and shift, of the frames of a clip, each seen together with all others.

    Some tensors of the public state dicts take no part in the function and are not trained:
    ``pretrained.mask_token`` and ``head.scratch.refinenet4.resConfUnit1``.

    Args:
        sizes: of the parts; :meth:`build` takes a name instead.
        checkpointing: compute activations again in the backward pass, instead of keeping them: of each ViT block, each
            motion module, and the layers at fine resolution. May be set later, too.
        memory: how many earlier frames :meth:`stream` sees, 0 to 31.

    Attributes:
        architecture: name of the variant this network was built as, "" where it was built from other sizes.

    Raises:
        ConfigError: ``memory`` is out of range, or ``sizes`` do not divide.
    """

    mean: Tensor
    deviation: Tensor
    architecture: str = ""

    def __init__(self, sizes: Sizes, checkpointing: bool = False, memory: int = FRAMES - 1) -> None:
        super().__init__()
        if not 0 <= memory < FRAMES:
            raise ConfigError(f"memory: {memory} is not 0 to {FRAMES - 1}")
        if sizes.width % sizes.heads:
            raise ConfigError(f"sizes: width {sizes.width} is no multiple of {sizes.heads} heads")
        for width in (*sizes.channels[2:], sizes.features):
            if width % sizes.groups or width % TEMPORAL_HEADS:
                raise ConfigError(f"sizes: {width} is no multiple of {sizes.groups} groups and {TEMPORAL_HEADS} heads")
        self.sizes = sizes
        self.memory = memory
        self.pretrained = VisionTransformer(sizes)
        self.head = Head(sizes)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)
        self.checkpointing = checkpointing

    @classmethod
    def build(cls, variant: str, checkpointing: bool = False, memory: int = FRAMES - 1) -> Self:
        """Make a named variant, randomly initialised: "vits", "vitb", "vitl", or the small "tiny" of ours.

        Raises:
            ConfigError: no such variant, or ``memory`` is out of range.
        """
        if variant not in VARIANTS:
            raise ConfigError(f"variant: no '{variant}', there are {', '.join(VARIANTS)}{suggest(variant, VARIANTS)}")
        network = cls(VARIANTS[variant], checkpointing, memory)
        network.architecture = variant
        return network

    @classmethod
    def load_public(cls, path: str | Path, checkpointing: bool = False, memory: int = FRAMES - 1) -> Self:
        """Load a public checkpoint, ``.pth`` or ``.safetensors``; which variant it is, its shapes tell.

        The public metric checkpoints have the same names and shapes; their output is depth in metres. The public
        weights of "vits" are under Apache-2.0, those of "vitl" under CC-BY-NC-4.0.

        Raises:
            ConfigError: ``memory`` is out of range.
            InputError: the file is missing, is no state dict, or holds another network.
        """
        stored = read_weights(Path(path))
        variant = _variant_of(stored, path)
        network = cls.build(variant, checkpointing, memory)
        load_weights(network, stored, path, f"Video Depth Anything, {variant}")
        return network

    @property
    def checkpointing(self) -> bool:
        """Whether activations are computed again in the backward pass."""
        return self._checkpointing

    @checkpointing.setter
    def checkpointing(self, on: bool) -> None:
        self._checkpointing = on
        for module in self.modules():
            if isinstance(module, Recomputed):
                module.recomputed = on

    def forward(self, clip: Tensor) -> Tensor:
        """Disparity of a clip.

        Args:
            clip: (B, T, 3, H, W) RGB in [0, 1]; T from 1 to 32, H and W multiples of 14.

        Returns:
            (B, T, H, W) at least 0, larger is nearer, known up to one scale and shift for the whole clip.

        Raises:
            InputError: the clip has another shape.
        """
        _check(clip)
        return self.forward_normalised(self.normalised(clip))

    def forward_normalised(self, clip: Tensor) -> Tensor:
        """:meth:`forward` for what :meth:`normalised` gives."""
        _check(clip)
        return self._disparity(clip, alone)

    def normalised(self, images: Tensor) -> Tensor:
        """Colours (..., 3, H, W) less ImageNet's mean, divided by its standard deviation."""
        return (images - self.mean) / self.deviation

    @torch.no_grad()
    def stream(self, frame: Tensor, state: StreamState | None = None) -> tuple[Tensor, StreamState]:
        """Disparity of a video's next frame, from it and up to ``memory`` frames before it.

        Every temporal attention finds the frames in their order in the first slots of its table of positions, the
        current one in the last slot in use; what it remembers of a frame is its input when that frame was the current
        one. The answer to the first ``memory`` + 1 frames is therefore that of a clip whose attentions see no later
        frame; afterwards traces of still older frames remain in what is remembered. No gradient flows.

        Args:
            frame: (B, 3, H, W) RGB in [0, 1] of B videos, H and W multiples of 14.
            state: what the frame before gave; None at the start of a video.

        Returns:
            Disparity (B, H, W) at least 0, and the state for the next frame.

        Raises:
            InputError: the frame does not fit, or has another size than those of the state.
        """
        clip = frame.unsqueeze(1)
        _check(clip)
        size = (frame.shape[0], frame.shape[-2], frame.shape[-1])
        if state is not None and state.size != size:
            raise InputError(f"frame: (B, H, W) {size} in a stream of {state.size}; start anew without a state")
        past = Past(() if state is None else state.inputs, self.memory)
        disparity = self._disparity(self.normalised(clip), past)
        return disparity.squeeze(1), StreamState(size, tuple(past.seen))

    def temporal_parameters(self) -> Iterator[nn.Parameter]:
        """Those of the motion modules; their names start with ``TEMPORAL``."""
        return self.head.motion_modules.parameters()

    def spatial_parameters(self) -> Iterator[nn.Parameter]:
        """All but those of the motion modules."""
        return (value for name, value in self.named_parameters() if not name.startswith(TEMPORAL))

    def _disparity(self, clip: Tensor, recall: Recall) -> Tensor:
        maps = self.pretrained(clip.flatten(0, 1))
        disparity: Tensor = self.head(maps, clip.shape[1], recall)
        return disparity.unflatten(0, clip.shape[:2])


class Recomputed(nn.Module):
    """A part whose activations may be computed again in the backward pass (Chen et al., arXiv 1604.06174)."""

    recomputed = False

    def __call__(self, *inputs: Any) -> Any:
        """Its forward pass."""
        if self.recomputed and torch.is_grad_enabled():
            return checkpoint(super().__call__, *inputs, use_reentrant=False)
        return super().__call__(*inputs)


class VisionTransformer(nn.Module):
    """DINOv2 without its mask and register tokens."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.taps = sizes.taps
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + GRID**2, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width), requires_grad=False)  # unused: only state dicts hold it
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, PATCH, stride=PATCH)})
        self.blocks = nn.ModuleList(Block(width, sizes.heads) for _ in range(sizes.blocks))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps (N, width, H / 14, W / 14) of the tapped blocks for normalised images (N, 3, H, W)."""
        patches = self.patch_embed["proj"](images)
        grid = (patches.shape[-2], patches.shape[-1])
        position = self.positions(grid)
        first = (self.cls_token + position[:, :1]).expand(len(images), -1, -1)
        tokens = torch.cat((first, patches.flatten(2).transpose(1, 2) + position[:, 1:]), dim=1)
        maps = []
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index in self.taps:
                maps.append(self.norm(tokens[:, 1:]).transpose(1, 2).unflatten(2, grid))
        return maps

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Position embeddings (1, 1 + h w, width) for a grid of (h, w) patches.

        Resized by (n + 0.1) / 37, not n / 37, without antialiasing: the weights were trained with DINOv2's remedy for
        rounding, which shifts what lies between the embeddings.
        """
        if grid == (GRID, GRID):
            return self.pos_embed
        table = self.pos_embed[:, 1:].float().unflatten(1, (GRID, GRID)).permute(0, 3, 1, 2)
        scale = [(count + 0.1) / GRID for count in grid]
        table = F.interpolate(table, scale_factor=scale, mode="bicubic")
        return torch.cat((self.pos_embed[:, :1], table.flatten(2).transpose(1, 2).to(self.pos_embed.dtype)), dim=1)


class Block(Recomputed):
    """Attention between the tokens of one image, then a perceptron, on residual paths with a factor for every channel
    (LayerScale, Touvron et al., ICCV 2021)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.ls1 = nn.ParameterDict({"gamma": torch.ones(width)})
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})
        self.ls2 = nn.ParameterDict({"gamma": torch.ones(width)})

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, C) to (N, tokens, C)."""
        x = x + self.ls1["gamma"] * self.attn(self.norm1(x))
        return x + self.ls2["gamma"] * self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class Attention(nn.Module):
    """Attention between the tokens of one image."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, C) to (N, tokens, C)."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        y: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return y


class Head(nn.Module):
    """From four maps of the ViT to disparity: projected, resized to 4, 2, 1 and 1/2 times their size, joined from
    coarse to fine. The two coarsest, and the first two joined ones, pass a motion module."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        a, b, c, d = sizes.channels
        self.projects = nn.ModuleList(nn.Conv2d(sizes.width, channels, 1) for channels in sizes.channels)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(a, a, 4, stride=4),
                nn.ConvTranspose2d(b, b, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(d, d, 3, stride=2, padding=1),
            ]
        )
        self.scratch = Scratch(sizes)
        widths = (c, d, sizes.features, sizes.features)
        self.motion_modules = nn.ModuleList(MotionModule(width, sizes.groups) for width in widths)

    def forward(self, maps: list[Tensor], frames: int, recall: Recall) -> Tensor:
        """Disparity (N, 14 h, 14 w) of maps (N, width, h, w), N being clips times frames."""
        layers = zip(self.projects, self.resize_layers, maps, strict=True)
        layer_1, layer_2, layer_3, layer_4 = (resize(project(x)) for project, resize, x in layers)
        motion, scratch = self.motion_modules, self.scratch
        layer_3 = scratch.layer3_rn(motion[0](layer_3, frames, recall))
        layer_4 = scratch.layer4_rn(motion[1](layer_4, frames, recall))
        path_4 = motion[2](scratch.refinenet4(layer_4, None, layer_3.shape[-2:]), frames, recall)
        path_3 = motion[3](scratch.refinenet3(path_4, layer_3, layer_2.shape[-2:]), frames, recall)
        parts = zip(*(x.split(FRAMES_AT_ONCE) for x in (path_3, layer_2, layer_1)), strict=True)
        return torch.cat([scratch(*part) for part in parts])


class Scratch(Recomputed):
    """The layers that join maps; called, those at the two finest levels and the output. Frames do not touch in it."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        features, half = sizes.features, sizes.features // 2
        a, b, c, d = sizes.channels
        self.layer1_rn = nn.Conv2d(a, features, 3, padding=1, bias=False)
        self.layer2_rn = nn.Conv2d(b, features, 3, padding=1, bias=False)
        self.layer3_rn = nn.Conv2d(c, features, 3, padding=1, bias=False)
        self.layer4_rn = nn.Conv2d(d, features, 3, padding=1, bias=False)
        self.refinenet1 = FusionBlock(features)
        self.refinenet2 = FusionBlock(features)
        self.refinenet3 = FusionBlock(features)
        self.refinenet4 = FusionBlock(features)
        self.refinenet4.resConfUnit1.requires_grad_(False)  # unused: only the state dicts hold it
        self.output_conv1 = nn.Conv2d(features, half, 3, padding=1)
        last = nn.Conv2d(32, 1, 1)
        self.output_conv2 = nn.Sequential(nn.Conv2d(half, 32, 3, padding=1), nn.ReLU(), last, nn.ReLU())
        # Ours: at a bias near zero an untrained network may answer zero everywhere, and nothing would ever change that.
        nn.init.constant_(last.bias, 0.5)  # type: ignore[arg-type]

    def forward(self, path_3: Tensor, layer_2: Tensor, layer_1: Tensor) -> Tensor:
        """Disparity (N, 14 h, 14 w) of maps of 2 h x 2 w, 2 h x 2 w and 4 h x 4 w."""
        rows, columns = layer_1.shape[-2:]
        path_2 = self.refinenet2(path_3, self.layer2_rn(layer_2), (rows, columns))
        path_1 = self.refinenet1(path_2, self.layer1_rn(layer_1), (2 * rows, 2 * columns))
        x = _resize(self.output_conv1(path_1), (rows // 4 * PATCH, columns // 4 * PATCH))
        # As in the public code: bfloat16 would show steps in the disparity.
        return precisely(self.output_conv2, x).squeeze(1)


class FusionBlock(nn.Module):
    """Adds a finer map to what came from below, refines, enlarges (RefineNet's block as in Ranftl et al.)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.resConfUnit1 = ResidualUnit(features)
        self.resConfUnit2 = ResidualUnit(features)
        self.out_conv = nn.Conv2d(features, features, 1)

    def forward(self, x: Tensor, finer: Tensor | None, size: tuple[int, int]) -> Tensor:
        """(N, C, h, w), twice, to (N, C, *size)."""
        if finer is not None:
            x = x + self.resConfUnit1(finer)
        # The public code enlarges first: the same function, as both are linear, at four times the cost.
        return _resize(self.out_conv(self.resConfUnit2(x)), size)


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions, each after a ReLU, on a residual path."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C, h, w)."""
        y: Tensor = x + self.conv2(F.relu(self.conv1(F.relu(x))))
        return y


class MotionModule(Recomputed):
    """Attention along time at every place of a map, on a residual path that starts at zero (section 3.1; Guo et al.,
    "AnimateDiff", ICLR 2024)."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.temporal_transformer = nn.ModuleDict(
            {
                "norm": nn.GroupNorm(groups, width, eps=1e-6),
                "proj_in": nn.Linear(width, width),
                "transformer_blocks": nn.Sequential(TemporalBlock(width)),
                "proj_out": nn.Linear(width, width),
            }
        )
        for parameter in self.temporal_transformer["proj_out"].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, frames: int, recall: Recall) -> Tensor:
        """(B T, C, h, w) to (B T, C, h, w), T being ``frames``."""
        part, size = self.temporal_transformer, x.shape[-2:]
        places = part["norm"](x).flatten(2).transpose(1, 2).unflatten(0, (-1, frames)).transpose(1, 2)
        block = part["transformer_blocks"][0]  # type: ignore[index]
        y = part["proj_out"](block(part["proj_in"](places.flatten(0, 1)), recall))
        y = y.unflatten(0, places.shape[:2]).transpose(1, 2).flatten(0, 1)
        return x + y.transpose(1, 2).unflatten(2, size)


class TemporalBlock(nn.Module):
    """Two attentions along time, then a gated perceptron (Shazeer, arXiv 2002.05202), on residual paths."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList(TemporalAttention(width) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        layers = (GatedLinear(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))
        self.ff = nn.ModuleDict({"net": nn.Sequential(*layers)})
        self.ff_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, recall: Recall) -> Tensor:
        """(N, T, C) to (N, T, C)."""
        for attention, norm in zip(self.attention_blocks, self.norms, strict=True):
            x = x + attention(norm(x), recall)
        return x + self.ff["net"](self.ff_norm(x))


class GatedLinear(nn.Module):
    """One half of a linear layer's output, times GELU of the other."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * out)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., out)."""
        y, gate = self.proj(x).chunk(2, dim=-1)
        return y * F.gelu(gate)


class TemporalAttention(nn.Module):
    """Attention between the frames at one place; frames are told apart by sines and cosines of their slot."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_encoder = TemporalPosition(width)
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def forward(self, x: Tensor, recall: Recall) -> Tensor:
        """(N, T, C) to (N, T, C)."""
        window = self.pos_encoder(recall(x))
        queries = window[:, window.shape[1] - x.shape[1] :]
        q, k, v = (
            y.unflatten(2, (TEMPORAL_HEADS, -1)).transpose(1, 2)
            for y in (self.to_q(queries), self.to_k(window), self.to_v(window))
        )
        y: Tensor = self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return y


class TemporalPosition(nn.Module):
    """Sines and cosines of the slot in time (Vaswani et al., NeurIPS 2017), for 32 slots."""

    pe: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        slot = torch.arange(FRAMES)[:, None]
        frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
        table = torch.stack((torch.sin(slot * frequency), torch.cos(slot * frequency)), dim=-1)
        self.register_buffer("pe", table.flatten(1)[None])

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C) with the codes of the first T slots added."""
        return x + self.pe[:, : x.shape[1]].to(x.dtype)


class Past:
    """Shows each temporal attention, in the order in which they ask, what it saw before, and notes what it sees now.

    Args:
        inputs: of every attention, (N, M, C), or none at the start.
        memory: how many frames to keep of each.

    Attributes:
        seen: what to remember, of the attentions that have asked.
    """

    def __init__(self, inputs: tuple[Tensor, ...], memory: int) -> None:
        self.inputs = inputs
        self.memory = memory
        self.seen: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        """The window (N, M + 1, C) that ends with the current frame's input (N, 1, C)."""
        window = torch.cat((self.inputs[len(self.seen)], x), dim=1) if self.inputs else x
        self.seen.append(window[:, max(0, window.shape[1] - self.memory) :])
        return window


def alone(x: Tensor) -> Tensor:
    """What a temporal attention sees in a clip: the clip."""
    return x


def _check(clip: Tensor) -> None:
    if clip.ndim != 5 or clip.shape[2] != 3:
        raise InputError(f"clip: shape {tuple(clip.shape)}, expected (B, T, 3, H, W)")
    frames, _, height, width = clip.shape[1:]
    if not 1 <= frames <= FRAMES:
        raise InputError(f"clip: {frames} frames, expected 1 to {FRAMES}")
    if not height or not width or height % PATCH or width % PATCH:
        raise InputError(f"clip: height {height} and width {width} must be multiples of {PATCH}")


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def _variant_of(stored: dict[str, Any], path: str | Path) -> str:
    keys = ["pretrained.cls_token", "head.scratch.refinenet1.out_conv.weight"]
    keys += [f"head.projects.{level}.weight" for level in range(4)]
    missing = [key for key in keys if not isinstance(stored.get(key), Tensor)]
    if missing:
        raise InputError(f"{path}: no tensor '{missing[0]}', so it is no Video Depth Anything")
    width, features, *channels = (stored[key].shape[-1 if "token" in key else 0] for key in keys)
    blocks = len({key.split(".")[2] for key in stored if key.startswith("pretrained.blocks.")})
    for name, sizes in VARIANTS.items():
        if (sizes.width, sizes.blocks, sizes.features, sizes.channels) == (width, blocks, features, tuple(channels)):
            return name
    raise InputError(
        f"{path}: width {width}, {blocks} blocks, {features} features, channels {tuple(channels)} are no variant; "
        f"there are {', '.join(VARIANTS)}"
    )
