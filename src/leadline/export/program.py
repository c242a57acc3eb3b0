"""Export to a program of torch.export."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from leadline.engines.program import METADATA, ProgramSession
from leadline.engines.session import Session
from leadline.export.graphs import Graph
from leadline.export.writing import Target


def write_program(graph: Graph, path: Path) -> None:
    """Write a graph as .pt2, which torch reads in Python and in C++.

    Raises:
        ExportError: the graph cannot be written; the message names the layer.
    """
    torch.export.save(graph.trace(), path, extra_files={METADATA: json.dumps(graph.metadata)})


def open_program(path: Path) -> list[Session]:
    """A .pt2 file in torch."""
    return [ProgramSession(path)]


PROGRAM = Target("pt2", ".pt2", write_program, open_program)
