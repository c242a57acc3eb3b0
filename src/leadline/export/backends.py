"""The forms of networks that NNCF quantises: reading, writing, and what of them is in int8."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from leadline.engines.openvino import core
from leadline.export.openvino import save

Run = Callable[..., list[np.ndarray]]


class Backend(Protocol):
    """One form."""

    def read(self, path: Path) -> Any:
        """The network in a file."""
        ...

    def save(self, network: Any, path: Path, metadata: Mapping[str, str]) -> None:
        """Write it, with these text entries."""
        ...

    def quantised(self, network: Any) -> set[str]:
        """Names of the layers that compute with integers."""
        ...

    def runner(self, compiled: Any) -> Run:
        """Arrays in, arrays out, of what NNCF gives to be measured."""
        ...


class OpenVINOBackend:
    """See :class:`Backend`."""

    def read(self, path: Path) -> Any:
        """See :class:`Backend`."""
        # A copy of its own: the file is written over while this is in use, and OpenVINO maps weights into memory.
        return core().read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())

    def save(self, network: Any, path: Path, metadata: Mapping[str, str]) -> None:
        """See :class:`Backend`."""
        save(network, path, metadata)

    def quantised(self, network: Any) -> set[str]:
        """See :class:`Backend`."""
        found = set()
        for node in network.get_ops():
            kinds = [node.input_value(index).get_node().get_type_name() for index in range(node.get_input_size())]
            if "FakeQuantize" in kinds and node.get_type_name() not in ("Result", "ShapeOf", "FakeQuantize"):
                found.add(node.get_friendly_name().removesuffix("/WithoutBiases"))
        return found

    def runner(self, compiled: Any) -> Run:
        """See :class:`Backend`."""
        return lambda *arrays: [np.array(value) for value in compiled(list(arrays)).values()]


class OnnxBackend:
    """See :class:`Backend`."""

    def read(self, path: Path) -> Any:
        """See :class:`Backend`."""
        import onnx

        return onnx.load(path)

    def save(self, network: Any, path: Path, metadata: Mapping[str, str]) -> None:
        """See :class:`Backend`."""
        import onnx

        del network.metadata_props[:]
        onnx.helper.set_model_props(network, dict(metadata))
        onnx.save(network, path)

    def quantised(self, network: Any) -> set[str]:
        """See :class:`Backend`."""
        integers = {
            output for node in network.graph.node if node.op_type == "DequantizeLinear" for output in node.output
        }
        return {
            node.name
            for node in network.graph.node
            if node.op_type not in ("QuantizeLinear", "Shape") and integers & set(node.input)
        }

    def runner(self, compiled: Any) -> Run:
        """See :class:`Backend`."""
        import onnxruntime

        # NNCF gives the network itself here.
        session = onnxruntime.InferenceSession(compiled.SerializeToString(), providers=["CPUExecutionProvider"])
        names = [node.name for node in session.get_inputs()]
        return lambda *arrays: session.run(None, dict(zip(names, arrays, strict=True)))


BACKENDS: dict[str, Backend] = {"openvino": OpenVINOBackend(), "onnx": OnnxBackend()}
"""By the name of the target."""
