"""Export to OpenVINO."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from leadline.engines.openvino import OpenVINOSession, keep_antialiasing
from leadline.engines.session import Session
from leadline.errors import ConfigError
from leadline.export.graphs import Graph
from leadline.export.onnx import write_onnx
from leadline.export.writing import Pictures, Size, Target, write
from leadline.foundation.leadline_model import LeadlineModel


def write_openvino(graph: Graph, path: Path) -> None:
    """Write a graph as an OpenVINO pair, ``path`` (.xml) and the weights beside it (.bin).

    Raises:
        ConfigError, ExportError: as :func:`leadline.export.onnx.write_onnx`.
    """
    try:
        import openvino
        from openvino.passes import ConstantFolding, Manager
    except ImportError:
        raise ConfigError("exporting to OpenVINO needs: pip install 'leadline[export]'") from None
    with tempfile.TemporaryDirectory() as folder:
        write_onnx(graph, Path(folder) / "model.onnx")
        network = openvino.Core().read_model(Path(folder) / "model.onnx")
        keep_antialiasing(network)
        # The weights of depthwise convolutions come from ONNX by way of a Reshape. Unless it is folded NNCF leaves it
        # between the weights and their quantisation, and OpenVINO then runs these layers, half the network, in float.
        manager = Manager()
        manager.register_pass(ConstantFolding())
        manager.run_passes(network)
        for key, value in graph.metadata.items():
            network.set_rt_info(value, [key])
        openvino.serialize(network, str(path), str(path.with_suffix(".bin")))


def open_openvino(path: Path) -> list[Session]:
    """An .xml file, its .bin beside it, in OpenVINO."""
    return [OpenVINOSession(path)]


OPENVINO = Target("openvino", ".xml", write_openvino, open_openvino)


def export_openvino(
    model: LeadlineModel,
    out: str | os.PathLike[str],
    size: Size | None = None,
    raw: bool = False,
    frames: Pictures | None = None,
) -> float:
    """Write ``model`` as an OpenVINO pair, see :func:`leadline.export.writing.write`."""
    return write(OPENVINO, model, out, size, raw, frames)
