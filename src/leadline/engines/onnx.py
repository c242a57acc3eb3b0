"""ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leadline.engines.session import TensorSpec, conform, existing, first_line, positive
from leadline.errors import ConfigError, InputError

TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


class OnnxSession:
    """An .onnx file run by ONNX Runtime.

    Args:
        path: the file.
        threads: inside one operator; None lets the runtime choose.

    Raises:
        ConfigError: ONNX Runtime is not installed.
        InputError: the file does not exist, cannot be read, or has inputs that are not plain tensors.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise ConfigError(
                "ONNX Runtime is not installed; install it with: pip install 'leadline[export]'"
            ) from None
        self.path = existing(path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only; they are raised as well
        if positive(threads):
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                str(self.path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's own exceptions share no base class
            raise InputError(f"{self.path}: ONNX Runtime cannot read this file ({first_line(error)})") from None
        self.inputs = [self._spec(node) for node in self._session.get_inputs()]
        self.outputs = [self._spec(node) for node in self._session.get_outputs()]
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """See :class:`Session`."""
        ready = conform(arrays, self.inputs, str(self.path))
        feed = {spec.name: array for spec, array in zip(self.inputs, ready, strict=True)}
        try:
            outputs = self._session.run(None, feed)
        except Exception as error:  # a size the network's own graph cannot take
            raise InputError(f"{self.path}: cannot run on {_shapes(ready)} ({first_line(error)})") from None
        return [np.asarray(output) for output in outputs]

    def _spec(self, node: object) -> TensorSpec:
        name, shape, kind = node.name, node.shape, node.type  # type: ignore[attr-defined]
        if kind not in TYPES:
            raise InputError(f"{self.path}: {name} is a {kind}, which is not supported")
        # Dynamic sizes are names or None.
        return TensorSpec(name, tuple(size if isinstance(size, int) else -1 for size in shape), TYPES[kind])


def _shapes(arrays: list[np.ndarray]) -> str:
    return ", ".join(str(array.shape) for array in arrays)
