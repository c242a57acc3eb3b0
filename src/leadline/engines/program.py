"""Programs of torch.export (.pt2), run by torch on the CPU."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leadline.engines.archive import check_archive
from leadline.engines.session import TensorSpec, conform, existing, first_line, positive
from leadline.errors import InputError

#: The file inside the archive that holds the metadata.
METADATA = "leadline.json"


class ProgramSession:
    """A .pt2 file run by torch.

    Nothing of a file is run that is not a computation on tensors, see :func:`check_archive`.

    Args:
        path: the file.
        threads: ignored but for its check: torch has one number of threads for all it runs.

    Raises:
        InputError: the file does not exist, is no such archive, or holds more than a program and its tensors.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self.path = existing(path)
        positive(threads)
        check_archive(self.path)
        extra = {METADATA: ""}
        try:
            program = torch.export.load(str(self.path), extra_files=extra)
        except Exception as error:  # torch raises nearly everything
            raise InputError(f"{self.path}: torch cannot read this file ({first_line(error)})") from None
        self.metadata: dict[str, str] = {}
        if extra[METADATA]:
            self.metadata = {str(key): str(value) for key, value in json.loads(extra[METADATA]).items()}
        graph = program.graph_signature
        self.inputs = self._specs("inputs", graph.user_inputs, program)
        self.outputs = self._specs("outputs", graph.user_outputs, program)
        self._run = program.module()

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """See :class:`leadline.engines.session.Session`."""
        ready = conform(arrays, self.inputs, str(self.path))
        try:
            with torch.inference_mode():
                outputs = self._run(*(torch.from_numpy(np.require(array, requirements="W")) for array in ready))
        except Exception as error:  # a guard of the program on its sizes, or an operator's own check
            shapes = ", ".join(str(array.shape) for array in ready)
            raise InputError(f"{self.path}: cannot run on {shapes} ({first_line(error)})") from None
        return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]

    def _specs(self, side: str, nodes: Sequence[Any], program: torch.export.ExportedProgram) -> list[TensorSpec]:
        """Inputs or outputs, by the names the metadata has for them or else the program's."""
        values = {node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta}
        names = self.metadata.get(side, "").split() or nodes
        return [_spec(str(name), values[node]) for name, node in zip(names, nodes, strict=True)]


def _spec(name: str, value: torch.Tensor) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    return TensorSpec(name, shape, str(value.dtype).removeprefix("torch."))
