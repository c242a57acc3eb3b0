"""Export to ONNX."""

from __future__ import annotations

import ast
import importlib.util
import logging
import re
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import torch

from leadline.engines.onnx import OnnxSession
from leadline.engines.openvino import OpenVINOSession
from leadline.engines.session import Session, first_line
from leadline.errors import ConfigError
from leadline.export.graphs import ExportError, Graph
from leadline.export.writing import Target, write


def write_onnx(graph: Graph, path: Path) -> None:
    """Write a graph as ONNX; every node is named after the layer it comes from.

    Raises:
        ConfigError: the packages for exporting are not installed.
        ExportError: the graph cannot be written; the message names the layer.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch needs it
    except ImportError:
        raise ConfigError("exporting to ONNX needs: pip install 'leadline[export]'") from None
    program = graph.trace()
    with warnings.catch_warnings():
        # The exporter's deprecation notes and its list of absent packages are not the user's to act on.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx._internal.exporter").setLevel(logging.ERROR)
        try:
            exported = torch.onnx.export(
                program, (), dynamo=True, input_names=graph.inputs, output_names=graph.outputs, verbose=False
            )
        except Exception as error:  # an operator without a translation; the exporter's own errors share no base
            raise ExportError(
                f"{graph.model.name}: not written: ONNX cannot express {_untranslated(program, error)}"
            ) from None
    assert exported is not None
    proto = exported.model_proto
    _name_nodes(proto)
    onnx.helper.set_model_props(proto, graph.metadata)
    onnx.save(proto, path)


def open_onnx(path: Path) -> list[Session]:
    """An .onnx file in ONNX Runtime and, where it is installed, in OpenVINO, which leadline prefers."""
    sessions: list[Session] = [OnnxSession(path)]
    if importlib.util.find_spec("openvino") is not None:
        sessions.append(OpenVINOSession(path))
    return sessions


ONNX = Target("onnx", ".onnx", write_onnx, open_onnx)


export_onnx = partial(write, ONNX)
"""Write a model as ONNX, see :func:`leadline.export.writing.write`."""


def _untranslated(program: torch.export.ExportedProgram, error: BaseException) -> str:
    """The operator and the layer that an error of the exporter is about."""
    told = _chain(error)
    found = re.search(r"translating node %(\w+) .*?\[target=torch\.ops\.(\w+\.(\w+)\.\w+)\]", "\n".join(told))
    if found is None:
        return first_line(told[-1])
    name, target, operator = found.groups()
    # The exporter takes operators apart before it translates them; a part is called nearly as what it is a part of.
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    exact = [node for node in calls if (node.name, str(node.target)) == (name, target)]
    alike = [node for node in calls if re.fullmatch(rf"aten\.\w*{operator}\.\w+", str(node.target))]
    for node in [*exact, *alike]:
        for layer, _ in list(node.meta.get("nn_module_stack", {}).values())[-1:]:
            return f"{node.target} in {layer.replace('student.network.', '', 1)}"
    return target


def _chain(error: BaseException | None) -> list[str]:
    return [] if error is None else [str(error), *_chain(error.__cause__ or error.__context__)]


def _name_nodes(proto: Any) -> None:
    """Name nodes after their layers, such as ``decoder.levels.0.mix.conv/Conv``, so that what runtimes and the search
    of int8 say of them can be understood."""
    seen: Counter[str] = Counter()
    for node in proto.graph.node:
        scopes = {entry.key: entry.value for entry in node.metadata_props}.get("pkg.torch.onnx.name_scopes")
        try:
            *_, layer, _ = ast.literal_eval(scopes or "[]")
        except (ValueError, SyntaxError):
            continue
        layer = layer.removeprefix("module.").removeprefix("student.network").removeprefix(".")
        name = f"{layer or 'graph'}/{node.op_type}"
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}_{seen[name]}"
