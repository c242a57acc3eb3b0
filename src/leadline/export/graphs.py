"""What is exported of a model: a module of plain tensors, with what goes in and what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional

from leadline.engines.session import first_line
from leadline.errors import ConfigError, LeadlineError
from leadline.foundation.interface import Interface
from leadline.foundation.leadline_model import LeadlineModel
from leadline.networks.aggregation import Aggregated
from leadline.networks.base import VideoNetwork
from leadline.networks.bridging import Bridged
from leadline.networks.student import Student
from leadline.networks.swift_video import STRIDE, WIDTH, Memory, SwiftVideo
from leadline.networks.video import VideoDepth

Size = tuple[int, int]


class ExportError(LeadlineError):
    """A network cannot be written in another form; the message names the layer where that is known."""


@dataclass(frozen=True)
class Graph:
    """A model as it is exported.

    Attributes:
        model: what is exported.
        module: tensors in, tensors out.
        interface: what they are.
        inputs: names of what goes in, in order.
        outputs: names of what comes out.
    """

    model: LeadlineModel
    module: nn.Module
    interface: Interface
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def metadata(self) -> dict[str, str]:
        """The text entries that go into the file."""
        return self.interface.metadata(self.model.card) | {
            "inputs": " ".join(self.inputs),
            "outputs": " ".join(self.outputs),
        }

    def size_near(self, height: int, width: int) -> Size:
        """A (height, width) the graph takes: its own, or, where any goes, one that suits images of that size."""
        if self.interface.size is not None:
            return self.interface.size
        return (height, width) if self.interface.raw else self.model.input_size(height, width)

    def begin(self, images: Tensor) -> tuple[Tensor, ...]:
        """Inputs for images (B, 3, H, W) in [0, 1], of a size the graph takes: of a stream those of its first frame."""
        form = self.interface.form
        shown = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1) if self.interface.raw else images
        inputs: list[Tensor] = [shown.contiguous()]
        if form == "stream":
            inputs.append(torch.zeros(self.interface.state_shape(len(images), *images.shape[-2:])))
        if form == "rig":
            ring = torch.arange(len(images))
            inputs.append(torch.cat([torch.stack([ring, (ring + step) % len(images)], 1) for step in (1, -1)]))
        if "focal" in self.inputs:
            inputs.append(torch.tensor([0.9 * images.shape[-1]]))
        return tuple(inputs)

    def after(self, outputs: Sequence[Tensor], images: Tensor) -> tuple[Tensor, ...]:
        """Inputs for the next frames of a stream."""
        state = self.inputs.index("state")
        following = list(self.begin(images))
        following[state] = outputs[self.outputs.index("next_state")]
        return tuple(following)

    def run(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What torch gives."""
        with torch.inference_mode():
            outputs = self.module(*inputs)
        return outputs if isinstance(outputs, tuple) else (outputs,)

    def trace(self) -> ExportedProgram:
        """The program of the graph.

        Raises:
            ExportError: torch.export cannot follow it; the message names the layer.
        """
        example = self._example()
        try:
            return torch.export.export(self.module, example, dynamic_shapes=self._dynamic(), strict=False)
        except Exception as error:  # torch raises nearly everything
            layer = innermost(self.module, error)
            where = f" in {layer}" if layer else ""
            raise ExportError(
                f"{self.model.name}: not written: torch.export cannot follow it{where} ({first_line(error)})"
            ) from None

    def _example(self) -> tuple[Tensor, ...]:
        form, fixed = self.interface.form, self.interface.size
        # Two of each where there may be any number: torch takes a one for a constant.
        count = {"window": self.interface.frames, "rig": 3}.get(form, 1 if fixed else 2)
        size = fixed or (self.model.card.input_size if self.interface.raw else self.model.input_size(*self._trained))
        return self.begin(torch.rand(count, 3, *size))

    @property
    def _trained(self) -> Size:
        return self.model.card.input_size

    def _dynamic(self) -> Any:
        """Which sides may change, by input."""
        form, fixed = self.interface.form, self.interface.size is not None
        shapes: list[dict[int, Any]] = [{} for _ in self.inputs]
        first, others = shapes[0], shapes[1:]
        if form == "rig":
            first[0] = others[0][0] = Dim.DYNAMIC
        if not fixed:
            if form == "image":
                first[0] = Dim.DYNAMIC
            rows, columns = (1, 2) if self.interface.raw else (2, 3)
            first[rows] = first[columns] = Dim.DYNAMIC
            if form == "stream":
                first[0] = others[0][0] = Dim("batch")
            if form == "stream" and not self.interface.raw:
                # The state has a size of its own, so sides are multiples of the stride.
                down, across = Dim("rows"), Dim("columns")
                part = self.interface.stride // STRIDE
                first[rows], first[columns] = self.interface.stride * down, self.interface.stride * across
                others[0][2], others[0][3] = part * down, part * across
        return (first, tuple(others)) if self.interface.raw and others else tuple(shapes)


def graph_of(model: LeadlineModel, size: Size | None = None, raw: bool = False) -> Graph:
    """The graph of a model.

    Args:
        model: what is exported; it is brought to the CPU.
        size: (height, width) of what goes in; None lets any size in.
        raw: resizing and normalising are inside, see :class:`leadline.foundation.interface.Interface`; where any size
            goes in, the network looks at the size trained at, whatever the picture's aspect.

    Raises:
        ConfigError: the model cannot be exported so.
    """
    student, network = model.to("cpu").student.eval(), model.student.network
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    if isinstance(network, SwiftVideo):
        form, module, inputs, outputs = "stream", Stream(student), ("image", "state"), ("next_state",)
    elif isinstance(network, VideoNetwork):
        form, module, inputs, outputs = "window", Window(student), ("frames",), ()
    elif model.looks_around:
        form, module, inputs, outputs = "rig", Views(student), ("images", "pairs"), ()
    else:
        form, module, inputs, outputs = "image", Image(student), ("image",), ()
    if raw and form in ("window", "rig"):
        raise ConfigError(f"raw: {model.name} looks at several images together; they are prepared outside the graph")
    if form == "window" and size is None:
        raise ConfigError(f"size: a window of frames is exported for one size; give --size, such as {_form(model)}")
    if size is not None and min(size) < 32:
        raise ConfigError(f"size: at least 32x32 pixels, not {size[0]}x{size[1]}")
    seen = None
    if raw:
        seen = model.input_size(*(size or network.sees(*model.card.input_size)))
        focal = None if model.focal is None else model.focal / seen[1]
        module, inputs = Raw(module, seen, focal), (*inputs, "focal") if focal else inputs
    interface = Interface(
        form,
        network.stride,
        size,
        raw,
        seen,
        (WIDTH, STRIDE) if form == "stream" else None,
        network.longest if isinstance(network, VideoDepth) else 1,
    )
    return Graph(model, module, interface, inputs, (model.kind.quantity, *outputs))


class Image(nn.Module):
    """Images (B, 3, H, W) in [0, 1] to maps (B, 1, H, W)."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        maps: Tensor = self.student(image)
        return maps


class Stream(Image):
    """The next frames of B videos and their states to maps and states."""

    def forward(self, image: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """See the class."""
        size = (image.shape[0], image.shape[-2], image.shape[-1])
        output, memory = self.student.following(image, Memory(size, state))
        return output, memory.state


class Window(Image):
    """Frames (T, 3, H, W) of a video to maps (T, 1, H, W)."""

    def forward(self, frames: Tensor) -> Tensor:
        """See the class."""
        return self.student.clip(frames[None])[0]


class Views(Image):
    """All views (N, 3, H, W) of a rig, and who looks at whom (P, 2), to maps (N, 1, H, W)."""

    def forward(self, images: Tensor, pairs: Tensor) -> Tensor:  # type: ignore[override]
        """See the class."""
        return self.student.surrounding(images, pairs)


class Raw(nn.Module):
    """Pictures as they are (B, H, W, 3) uint8 to maps (B, H, W) of their size.

    Args:
        module: what looks at them.
        seen: (height, width) at which it does.
        focal: focal length its depth is told for, as a part of the image's width; then the last input is that of the
            pictures, in their pixels.
    """

    def __init__(self, module: nn.Module, seen: Size, focal: float | None) -> None:
        super().__init__()
        self.module, self.seen, self.focal = module, seen, focal

    def forward(self, image: Tensor, *others: Tensor) -> Any:
        """See the class."""
        height, width = image.shape[1], image.shape[2]
        others, focal = (others[:-1], others[-1]) if self.focal is not None else (others, None)
        small = _resized(image.permute(0, 3, 1, 2).float() / 255, self.seen)
        given = self.module(small, *others)
        maps, *states = given if isinstance(given, tuple) else (given,)
        depth = _resized(maps, (height, width))[:, 0]
        if focal is not None and self.focal is not None:
            depth = depth * (focal / width / self.focal)[:, None, None]
        return (depth, *states) if states else depth


def _resized(maps: Tensor, size: Size) -> Tensor:
    """:func:`leadline.networks.base.resize`, which does not ask whether there is anything to do: a program would then
    be one of images that have that size, or one of all others."""
    return functional.interpolate(maps, size, mode="bilinear", antialias=True, align_corners=False)


def innermost(module: nn.Module, error: BaseException) -> str:
    """Name of the innermost layer that was running when an error was raised, "" where none was."""
    names = {type(layer).__name__: name for name, layer in module.named_modules()}
    exact = {id(layer): name for name, layer in module.named_modules()}
    found = ""
    for layer in _running(error):
        stood_for: Any = getattr(layer, "get_base", None)
        base = stood_for() if stood_for else layer  # torch's stand-in while it traces
        name = exact.get(id(base)) or exact.get(id(layer))
        if name is None and type(base).__name__ in names:
            name = type(base).__name__
        found = f"{name} ({type(base).__name__})" if name else found
    return found.replace("student.network.", "", 1)


def _running(error: BaseException) -> Iterator[nn.Module]:
    trace = error.__traceback__
    while trace is not None:
        layer = trace.tb_frame.f_locals.get("self")
        if isinstance(layer, nn.Module):
            yield layer
        trace = trace.tb_next


def _form(model: LeadlineModel) -> str:
    return " ".join(map(str, model.student.network.sees(*model.card.input_size)))


def check_complete(model: LeadlineModel) -> None:
    """Refuse a teacher that needs a foundation model beside it.

    Raises:
        ConfigError: it does.
    """
    network = model.student.network
    if isinstance(network, Aggregated):
        raise ConfigError(
            f"{model.name}: needs the semantic encoder {network.name}, which is no part of it, so it is "
            "not exported; a student of it is: leadline train vfm-street --method.teacher FILE"
        )
    if isinstance(network, Bridged):
        raise ConfigError(
            f"{model.name}: needs the depth model {network.depth_name} and the semantic encoder "
            f"{network.semantics_name}, which are no part of it, so it is not exported; a student of it "
            "is: leadline train briges-distil --method.teacher FILE"
        )
