"""What was written computes what torch computes, or it is not kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leadline.errors import LeadlineError
from leadline.export.graphs import Graph
from leadline.io.images import read_image
from leadline.networks.base import resize

#: Largest difference to torch that is allowed, as a part of the output's range.
TOLERANCE = 1e-3
#: The range counts as at least this part of the largest value: float32 rounds what a network gives to about a millionth
#: of itself, which in an output flatter than this is more than :data:`TOLERANCE` of its range, whoever computes it.
FLAT = 2e-3
#: Frames of a video that a stream is followed for.
STEPS = 3

Pictures = Sequence[NDArray[np.uint8]]


class ParityError(LeadlineError):
    """A written file does not compute what torch computes."""


def bundled_frames() -> list[NDArray[np.uint8]]:
    """Six rendered frames (240, 320, 3), two of each of leadline's worlds, to compare on where a user gives none."""
    return [read_image(path) for path in sorted((Path(__file__).parent / "frames").glob("*.jpg"))]


def check_parity(
    graph: Graph,
    session: Callable[..., list[np.ndarray]],
    where: str,
    frames: Pictures | None = None,
    tolerance: float = TOLERANCE,
) -> float:
    """Compare what was written with torch, on frames of several sizes and numbers where any may go in.

    Args:
        graph: what was exported.
        session: what was written: the graph's inputs to its outputs.
        where: the file, for messages.
        frames: (H, W, 3) uint8, real ones; by default the bundled ones.
        tolerance: largest difference allowed, as a part of the output's range.

    Returns:
        The largest difference, as a part of the output's range.

    Raises:
        ParityError: it is above ``tolerance``; the message names the output and the size.
    """
    worst = 0.0
    for inputs, expected in cases(graph, frames or bundled_frames()):
        given = session(*(value.numpy() for value in inputs))
        size = "x".join(map(str, inputs[0].shape))
        for name, output, value in zip(graph.outputs, given, expected, strict=True):
            right = value.numpy()
            if output.shape != right.shape:
                raise ParityError(
                    f"{where}: not written: for {size} its {name} is {output.shape}, not {right.shape} as torch's"
                )
            span = max(1e-12, float(np.ptp(right)), FLAT * float(np.abs(right).max()))
            difference = float(np.abs(output - right).max()) / span
            if not difference <= tolerance:
                raise ParityError(
                    f"{where}: not written: for {size} its {name} differs from torch's by {difference:.2e} of the "
                    f"range (at most {tolerance:g} is allowed)"
                )
            worst = max(worst, difference)
    return worst


def cases(graph: Graph, frames: Pictures) -> Iterator[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]:
    """Inputs on which a file is compared with torch, and what torch gives."""
    pictures = itertools.cycle(frames)
    form = graph.interface.form
    for count, (height, width) in _sizes(graph, frames[0].shape[:2]):
        taken = [next(pictures) for _ in range(count)]
        inputs = graph.begin(shown(taken, (height, width)))
        for _ in range(STEPS if form == "stream" else 1):
            outputs = graph.run(inputs)
            yield inputs, outputs
            if form == "stream":
                taken = [next(pictures) for _ in range(count)]
                inputs = graph.after(outputs, shown(taken, (height, width)))


def shown(pictures: Pictures, size: tuple[int, int]) -> Tensor:
    """(B, 3, height, width) in [0, 1] of pictures of any sizes."""
    tensors = (torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255 for picture in pictures)
    return torch.cat([resize(tensor, size) for tensor in tensors]).clamp(0, 1)


def _sizes(graph: Graph, picture: Sequence[int]) -> list[tuple[int, tuple[int, int]]]:
    """How many images of which size are compared."""
    interface, (height, width) = graph.interface, graph.size_near(*picture)
    if interface.form == "window":
        return [(interface.frames, (height, width))]
    several = (3, 5) if interface.form == "rig" else (1, 1) if interface.size else (1, 2)
    if interface.size is not None:
        return [(count, (height, width)) for count in several]
    sizes = [(several[0], (height, width)), (several[1], (height + interface.stride, width))]
    # The sides of a stream that is not raw are multiples of its stride.
    return sizes if interface.form == "stream" and not interface.raw else [*sizes, (1, (height - 5, width + 7))]
