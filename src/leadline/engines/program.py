"""Programs of torch.export (.pt2), run by torch on the CPU."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leadline.engines.session import TensorSpec, conform, existing, first_line, positive
from leadline.errors import InputError

#: The file inside the archive that holds the metadata.
METADATA = "leadline.json"

#: What may stand in the expressions of sizes: they are read by sympy, which evaluates them.
EXPRESSION = re.compile(
    r"(?:Symbol\('[su]\d+'(?:, \w+=(?:True|False))*\)"
    r"|\b(?:[su]\d+|int_oo|Integer|Rational|Add|Mul|Pow|Max|Min|Mod|PythonMod|FloorDiv|CeilDiv|CleanDiv|IntTrueDiv"
    r"|FloatTrueDiv|ToFloat|TruncToInt|FloorToInt|CeilToInt|floor|ceiling|Eq|Ne|Lt|Le|Gt|Ge)\b"
    r"|\d+(?:\.\d+)?|[-+*/(),<>=&|~ ])*"
)
#: Folders of an archive that hold what is run without being read: compiled code, pickled objects.
OPAQUE = ("data/aotinductor/", "data/executorch/")


class ProgramSession:
    """A .pt2 file run by torch.

    torch unpickles what an archive asks it to and evaluates its sizes as expressions. An archive that holds anything
    but tensors, or a size that is no plain arithmetic, is therefore refused before torch sees it.

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


def check_archive(path: Path) -> None:
    """Refuse an archive that holds more than a program and its tensors.

    Raises:
        InputError: it does, or it is no archive of torch.export.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2]: name for name in archive.namelist()}
            if "archive_version" not in names:
                raise InputError(f"{path}: not a file of torch.export")
            for name, full in names.items():
                if name.startswith(OPAQUE) or (
                    name.startswith("data/constants/") and not re.search(r"/(tensor_\d+|\w+_config\.json)$", name)
                ):
                    raise InputError(f"{path}: holds objects or compiled code ({name}), which are not run")
                if name.endswith("_config.json"):
                    entries = json.loads(archive.read(full))["config"]
                    if any(entry["use_pickle"] for entry in entries.values()):
                        raise InputError(f"{path}: holds pickled weights, which are not read")
                if name.startswith("data/sample_inputs/"):
                    torch.load(io.BytesIO(archive.read(full)), weights_only=True)
                if name.startswith("models/"):
                    _check_expressions(json.loads(archive.read(full)), path)
    except InputError:
        raise
    except Exception as error:  # of zipfile, json, torch: damaged in one way or another
        raise InputError(f"{path}: not a file of torch.export that can be read ({first_line(error)})") from None


def _check_expressions(value: object, path: Path) -> None:
    if isinstance(value, dict):
        for key, entry in value.items():
            if key == "expr_str" and not EXPRESSION.fullmatch(str(entry)):
                raise InputError(f"{path}: a size is no plain arithmetic: {str(entry)[:80]}")
            _check_expressions(entry, path)
    elif isinstance(value, list):
        for entry in value:
            _check_expressions(entry, path)


def _spec(name: str, value: torch.Tensor) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    return TensorSpec(name, shape, str(value.dtype).removeprefix("torch."))
