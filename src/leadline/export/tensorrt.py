"""Export to TensorRT, by way of ONNX: an engine for the GPU of this machine."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leadline.engines.session import Session, TensorSpec
from leadline.errors import ConfigError
from leadline.export.graphs import ExportError, Graph
from leadline.export.onnx import write_onnx
from leadline.export.writing import Target


def write_tensorrt(graph: Graph, path: Path) -> None:
    """Write a graph as an engine. The metadata is JSON in the engine's name.

    Raises:
        ConfigError: there is no TensorRT or no GPU here, or the graph takes any size: an engine is made for one.
        ExportError: TensorRT cannot build it; the message names the layer.
    """
    trt = _tensorrt()
    if graph.interface.size is None or graph.interface.form == "rig":
        raise ConfigError("to: a TensorRT engine is made for images of one size; give --size HEIGHT WIDTH")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    network.name = json.dumps(graph.metadata)
    parser = trt.OnnxParser(network, logger)
    with tempfile.TemporaryDirectory() as folder:
        write_onnx(graph, Path(folder) / "model.onnx")
        if not parser.parse_from_file(str(Path(folder) / "model.onnx")):
            error = parser.get_error(0)
            raise ExportError(
                f"{graph.model.name}: not written: TensorRT cannot run {error.node_name()} ({error.desc()})"
            )
    configuration = builder.create_builder_config()
    # Reduced mantissas would change depth by more than an export may.
    configuration.clear_flag(trt.BuilderFlag.TF32)
    engine = builder.build_serialized_network(network, configuration)
    if engine is None:
        raise ExportError(f"{graph.model.name}: not written: TensorRT could not build an engine of it")
    path.write_bytes(bytes(engine))


class TensorRTSession:
    """An engine run by TensorRT on the first GPU; see :class:`Session`."""

    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()

    def __init__(self, path: Path) -> None:
        trt = _tensorrt()
        self._engine: Any = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(path.read_bytes())
        self._context = self._engine.create_execution_context()
        self._names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        self._taken = [name for name in self._names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self.metadata: dict[str, str] = json.loads(self._engine.name)

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """See :class:`Session`."""
        tensors = {name: torch.from_numpy(array).cuda() for name, array in zip(self._taken, arrays, strict=True)}
        given = [name for name in self._names if name not in tensors]
        for name in given:
            tensors[name] = torch.empty(tuple(self._engine.get_tensor_shape(name)), device="cuda")
        for name, tensor in tensors.items():
            self._context.set_tensor_address(name, tensor.data_ptr())
        stream = torch.cuda.current_stream()
        self._context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return [tensors[name].cpu().numpy() for name in given]


def open_tensorrt(path: Path) -> list[Session]:
    """An engine in TensorRT."""
    return [TensorRTSession(path)]  # type: ignore[list-item]


def _tensorrt() -> Any:
    try:
        import tensorrt
    except ImportError:
        raise ConfigError("exporting to TensorRT needs the package tensorrt: pip install tensorrt") from None
    if not torch.cuda.is_available():
        raise ConfigError("exporting to TensorRT needs an NVIDIA GPU and a CUDA build of torch; torch sees none here")
    return tensorrt


TENSORRT = Target("tensorrt", ".engine", write_tensorrt, open_tensorrt)
