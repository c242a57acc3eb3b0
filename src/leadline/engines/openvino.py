"""OpenVINO on the CPU."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from leadline.engines.session import TensorSpec, conform, existing, first_line, positive
from leadline.errors import ConfigError, InputError


class OpenVINOSession:
    """An .onnx, .xml (with its .bin) or .tflite file run by OpenVINO, tuned for the latency of one call.

    Arithmetic stays float32 (int8 where the file is quantised): on CPUs with bfloat16 units OpenVINO would
    otherwise round everything to 8 bits of mantissa, and the same file would give different depths on
    different machines.

    Args:
        path: the file.
        threads: None lets the runtime choose.
        shape: fixes the size of the single input, or of each, for files that leave it open; this is also faster.
        weights: the .bin of an .xml, where it does not lie beside it under the same name.

    Raises:
        ConfigError: OpenVINO is not installed.
        InputError: the file does not exist, cannot be read, or cannot take ``shape``.
    """

    def __init__(
        self,
        path: str | Path,
        threads: int | None = None,
        shape: Sequence[int] | Sequence[Sequence[int]] | None = None,
        weights: str | Path | None = None,
    ) -> None:
        try:
            openvino = core()
        except ImportError:
            raise ConfigError("OpenVINO is not installed; install it with: pip install 'leadline[export]'") from None
        self.path = existing(path)
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if positive(threads):
            config["INFERENCE_NUM_THREADS"] = threads
        try:
            model = openvino.read_model(str(self.path), *([] if weights is None else [str(weights)]))
        except RuntimeError as error:
            raise InputError(f"{self.path}: OpenVINO cannot read this file ({first_line(error)})") from None
        self.metadata = _metadata(model)
        keep_antialiasing(model)
        try:
            if shape is not None:
                shapes = shape if isinstance(shape[0], Sequence) else [shape]
                given = [[int(size) for size in each] for each in shapes]  # type: ignore[arg-type, union-attr]
                model.reshape(dict(zip(model.inputs, given, strict=True)))
            self._compiled = openvino.compile_model(model, "CPU", config)
        except RuntimeError as error:
            wanted = "" if shape is None else f" for an input of {tuple(shape)}"
            raise InputError(f"{self.path}: OpenVINO cannot prepare this file{wanted} ({first_line(error)})") from None
        self.inputs = [_spec(port, f"input{index}") for index, port in enumerate(self._compiled.inputs)]
        self.outputs = [_spec(port, f"output{index}") for index, port in enumerate(self._compiled.outputs)]

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """See :class:`Session`."""
        ready = conform(arrays, self.inputs, str(self.path))
        try:
            results = self._compiled(ready)
        except RuntimeError as error:
            shapes = ", ".join(str(array.shape) for array in ready)
            raise InputError(f"{self.path}: cannot run on {shapes} ({first_line(error)})") from None
        # Copies: OpenVINO reuses its output buffers on the next call.
        return [np.array(results[port]) for port in self._compiled.outputs]


@cache
def core() -> Any:
    """OpenVINO, one for the whole process and never freed.

    Its CPU plugin gives the thread that loads it a stack for signals and frees that with itself. Of several plugins
    that come and go, not in reverse order or not in the thread they came in, a freed stack stays in use, and the next
    signal that Python handles, Ctrl-C or the end of a data loader's worker, is a segmentation fault.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    import openvino

    return openvino.Core()


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """For what makes OpenVINO's plugins of its own: afterwards this thread has the stack for signals it had before."""
    if sys.platform != "linux":
        yield
        return

    class Stack(ctypes.Structure):
        """``stack_t`` of sigaltstack(2)."""

        _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))

    before, libc = Stack(), ctypes.CDLL(None)
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)


def keep_antialiasing(model: Any) -> None:
    """Change a network, in place, so that its antialiased resizing (ONNX's ``antialias``, torch's) stays antialiased.

    The CPU plugin ignores that attribute where it comes from ONNX and would drop every pixel between those it looks at;
    Pillow's bilinear filter, which the plugin knows too, is the same function.
    """
    from openvino import opset11

    for node in model.get_ordered_ops():
        if node.get_type_name() != "Interpolate":
            continue
        attributes = node.get_attributes()
        # An Interpolate of opset 11 takes the image, sizes or scales, and axes or, without them, all four.
        if not attributes.get("antialias") or "linear" not in attributes["mode"] or node.get_input_size() > 3:
            continue
        image, target = node.input_value(0), node.input_value(1)
        if node.get_input_size() == 3:
            axes = node.input_value(2)
        else:
            axes = opset11.constant(np.array([2, 3], np.int64)).output(0)
            target = opset11.gather(target, axes, opset11.constant(np.int64(0))).output(0)
        smooth = opset11.interpolate(
            image,
            target,
            "bilinear_pillow",
            attributes["shape_calculation_mode"],
            axes=axes,
            pads_begin=[0],
            pads_end=[0],
        )
        smooth.set_friendly_name(node.get_friendly_name())
        smooth.output(0).set_names(node.output(0).get_names())
        for port in list(node.output(0).get_target_inputs()):
            port.replace_source_output(smooth.output(0))


def _spec(port: Any, unnamed: str) -> TensorSpec:
    shape = tuple(size.get_length() if size.is_static else -1 for size in port.get_partial_shape())
    name = port.get_any_name() if port.get_names() else unnamed
    return TensorSpec(name, shape, np.dtype(port.get_element_type().to_dtype()).name)


def _metadata(model: Any) -> dict[str, str]:
    """The file's text entries: at the top of an .xml, under ``framework`` for what came from ONNX."""
    found: dict[str, str] = {}
    for section in (["framework"], []):
        try:
            entries = model.get_rt_info(section).value if section else model.get_rt_info()
        except RuntimeError:
            continue
        for key in entries:
            value = getattr(entries[key], "value", entries[key])
            if isinstance(value, str):
                found[key] = value
    return found
