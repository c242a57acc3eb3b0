"""Writing a model for another runtime: whole, compared with torch, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from leadline.engines.session import Session
from leadline.export.graphs import Graph, Size, check_complete, graph_of
from leadline.export.parity import Pictures, check_parity
from leadline.foundation.leadline_model import LeadlineModel
from leadline.io.atomic import writing_together


@dataclass(frozen=True)
class Target:
    """A form that a model is written in.

    Args:
        name: what the command line calls it.
        suffix: of its files.
        write: writes a graph to a path, and what belongs to it beside that.
        open: the sessions of every runtime here that reads such a file.
    """

    name: str
    suffix: str
    write: Callable[[Graph, Path], None]
    open: Callable[[Path], list[Session]]


def write(
    target: Target,
    model: LeadlineModel,
    out: str | os.PathLike[str],
    size: Size | None = None,
    raw: bool = False,
    frames: Pictures | None = None,
) -> float:
    """Write a model for another runtime, with its card inside.

    Args:
        target: which form.
        model: what to write.
        out: the file.
        size: (height, width) of what goes in; None lets any size in.
        raw: resizing and normalising go inside, see :class:`leadline.foundation.interface.Interface`.
        frames: (H, W, 3) uint8, to compare with torch on; by default the bundled ones.

    Returns:
        The largest difference to torch, as a part of the output's range.

    Raises:
        ParityError: the file computed something else; it is not kept.
        ExportError: the model cannot be written so; the message names the layer.
        ConfigError: what the target needs is not installed; or the model is a teacher that needs a foundation model
            beside it.
    """
    check_complete(model)
    graph = graph_of(model, size, raw)
    with writing_together(out) as path:
        return write_checked(target, graph, path, str(out), frames)


def write_checked(target: Target, graph: Graph, path: Path, where: str, frames: Pictures | None = None) -> float:
    """Write a graph and compare it with torch in every runtime here that reads it; ``where`` is for messages."""
    target.write(graph, path)
    return max(check_parity(graph, session, where, frames) for session in target.open(path))
