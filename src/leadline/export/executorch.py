"""Export to ExecuTorch, for phones and small boards: a .pte file whose convolutions XNNPACK runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leadline.checkpoint import KEY
from leadline.engines.session import Session, TensorSpec, first_line
from leadline.errors import ConfigError
from leadline.export.graphs import ExportError, Graph
from leadline.export.writing import Target


def write_executorch(graph: Graph, path: Path) -> None:
    """Write a graph as .pte. The metadata is what its method ``leadline`` gives: bytes of JSON, as a tensor of uint8.

    Raises:
        ConfigError: ExecuTorch is not installed.
        ExportError: the graph cannot be written.
    """
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
    except ImportError:
        raise ConfigError(
            "exporting to ExecuTorch needs the package executorch, which is not installed: pip install executorch"
        ) from None
    program = graph.trace()
    said = torch.frombuffer(bytearray(json.dumps(graph.metadata).encode()), dtype=torch.uint8)
    try:
        lowered = to_edge_transform_and_lower(
            program, partitioner=[XnnpackPartitioner()], constant_methods={KEY: said}
        ).to_executorch()
    except Exception as error:  # an operator that neither XNNPACK nor ExecuTorch has
        raise ExportError(f"{graph.model.name}: not written: ExecuTorch cannot run it ({first_line(error)})") from None
    with path.open("wb") as file:
        lowered.write_to_file(file)


class ExecutorchSession:
    """A .pte file run by ExecuTorch; see :class:`Session`."""

    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()

    def __init__(self, path: Path) -> None:
        from executorch.runtime import Runtime

        program = Runtime.get().load_program(str(path))
        self._method: Any = program.load_method("forward")
        (said,) = program.load_method(KEY).execute([])
        self.metadata: dict[str, str] = json.loads(bytes(said.tolist()))

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """See :class:`Session`."""
        return [output.numpy() for output in self._method.execute([torch.from_numpy(array) for array in arrays])]


def open_executorch(path: Path) -> list[Session]:
    """A .pte file in ExecuTorch."""
    return [ExecutorchSession(path)]  # type: ignore[list-item]


EXECUTORCH = Target("executorch", ".pte", write_executorch, open_executorch)
