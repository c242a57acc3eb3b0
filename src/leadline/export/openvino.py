"""Export to OpenVINO."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from leadline.engines.openvino import OpenVINOSession, core, keep_antialiasing
from leadline.engines.session import Session
from leadline.errors import ConfigError
from leadline.export.graphs import Graph
from leadline.export.onnx import write_onnx
from leadline.export.writing import Target, write


def write_openvino(graph: Graph, path: Path) -> None:
    """Write a graph as an OpenVINO pair, ``path`` (.xml) and the weights beside it (.bin).

    Raises:
        ConfigError, ExportError: as :func:`leadline.export.onnx.write_onnx`.
    """
    try:
        from openvino.passes import ConstantFolding, Manager
    except ImportError:
        raise ConfigError("exporting to OpenVINO needs: pip install 'leadline[export]'") from None
    with tempfile.TemporaryDirectory() as folder:
        write_onnx(graph, Path(folder) / "model.onnx")
        network = core().read_model(Path(folder) / "model.onnx")
        keep_antialiasing(network)
        # The weights of depthwise convolutions come from ONNX by way of a Reshape. Unless it is folded NNCF leaves it
        # between the weights and their quantisation, and OpenVINO then runs these layers, half the network, in float.
        manager = Manager()
        manager.register_pass(ConstantFolding())
        manager.run_passes(network)
        save(network, path, graph.metadata)


def save(network: Any, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a network of OpenVINO, ``path`` (.xml) and the weights beside it (.bin), with these text entries."""
    import openvino

    for key, value in metadata.items():
        network.set_rt_info(value, [key])
    openvino.serialize(network, str(path), str(path.with_suffix(".bin")))


def open_openvino(path: Path) -> list[Session]:
    """An .xml file, its .bin beside it, in OpenVINO."""
    return [OpenVINOSession(path)]


OPENVINO = Target("openvino", ".xml", write_openvino, open_openvino)


export_openvino = partial(write, OPENVINO)
"""Write a model as an OpenVINO pair, see :func:`leadline.export.writing.write`."""
