"""int8: quantised after training by NNCF, kept only if depth stays right.

Weights and activations become 8-bit integers, by what is seen on the user's own frames. If the whole network in int8
does not pass the gate (:mod:`leadline.export.gate`), layers go back to float until it does: those first that bring
most of the error, one after the other (NNCF's accuracy control, here with the gate as its measure). If half of the
layers are not enough, nothing is written.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from leadline.engines.openvino import signal_stack_kept
from leadline.engines.session import TensorSpec
from leadline.errors import ConfigError, LeadlineError
from leadline.export.backends import BACKENDS, Backend
from leadline.export.gate import Figures, Gate
from leadline.export.graphs import Graph, Size, check_complete, graph_of
from leadline.export.parity import Pictures, shown
from leadline.export.writing import Target, write_checked
from leadline.foundation.exported import ExportedModel, open_network
from leadline.foundation.leadline_model import LeadlineModel
from leadline.io.atomic import writing_together

#: Frames that ranges are taken from, at most.
MOST = 128
#: The part of what may be lost at which the search stops.
ENOUGH = 0.95


class Int8Error(LeadlineError):
    """A network that int8 hurts."""


@dataclass(frozen=True)
class Int8Report:
    """What became of a network.

    Attributes:
        difference: of the file in float to torch, as a part of the output's range.
        against: what was judged against, in words.
        reference: figures in float.
        first: of the whole network in int8.
        figures: of what was kept.
        sizes: bytes in float and in int8.
        layers: how many could be quantised.
        floats: which of them stay in float.
    """

    difference: float
    against: str
    reference: Figures
    first: Figures
    figures: Figures
    sizes: tuple[int, int]
    layers: int
    floats: tuple[str, ...]

    def table(self) -> str:
        """The figures side by side."""
        rows = [("", "delta1", "AbsRel", "MB"), ("float", *_cells(self.reference), f"{self.sizes[0] / 1e6:.2f}")]
        if self.floats:
            rows.append(("int8, all layers", *_cells(self.first), ""))
        rows.append(("int8", *_cells(self.figures), f"{self.sizes[1] / 1e6:.2f}"))
        lines = [f"against {self.against}"]
        lines += [f"{name:<17} {delta1:>7} {error:>7} {size:>7}".rstrip() for name, delta1, error, size in rows]
        if self.floats:
            lines.append(f"{len(self.floats)} of {self.layers} layers stay in float: {', '.join(self.floats)}")
        else:
            lines.append(f"all {self.layers} layers are in int8")
        return "\n".join(lines)


def write_int8(
    target: Target,
    model: LeadlineModel,
    out: str | os.PathLike[str],
    frames: Pictures,
    gate_of: Callable[[ExportedModel], Gate],
    size: Size | None = None,
    raw: bool = False,
) -> Int8Report:
    """Write a model in int8.

    Args:
        target: which form, of those in :data:`leadline.export.backends.BACKENDS`.
        model: what to write.
        out: the file.
        frames: (H, W, 3) uint8, whose activations give the ranges; consecutive ones for a model that sees video. The
            file in float is compared with torch on them, too.
        gate_of: the gate for the model in float.
        size: as for :func:`leadline.export.writing.write`.
        raw: likewise.

    Raises:
        Int8Error: the gate was not passed, whatever was tried; nothing is written.
        ConfigError: this form, or this model, is not quantised; or NNCF is not installed.
        ParityError, ExportError: see :func:`leadline.export.writing.write`.
    """
    if target.name not in BACKENDS:
        raise ConfigError(f"int8: for --to {' or '.join(BACKENDS)}, not {target.name}")
    check_complete(model)
    graph = graph_of(model, size, raw)
    if graph.interface.form not in ("image", "stream"):
        raise ConfigError(
            f"int8: {model.name} looks at several images together by attention, which int8 makes no faster; "
            "export it without --int8"
        )
    backend = BACKENDS[target.name]
    with _quietly():
        try:
            nncf = importlib.import_module("nncf")
        except ImportError:
            raise ConfigError("int8 needs NNCF: pip install 'leadline[export]'") from None
    with writing_together(out) as path, signal_stack_kept():
        difference = write_checked(target, graph, path, str(out), frames)
        before = _bytes(path)
        native = backend.read(path)
        model_in_float = open_network(path)
        assert isinstance(model_in_float, ExportedModel)
        gate = gate_of(model_in_float)
        samples = list(calibration(graph, frames))
        whole = _quantised(nncf, native, samples)
        layers = backend.quantised(whole)

        def kept(network: Any) -> Figures:
            floats = tuple(sorted(layers - backend.quantised(network)))
            interface = replace(graph.interface, int8=True, floats=floats)
            backend.save(network, path, replace(graph, interface=interface).metadata)
            written = open_network(path)
            return gate.judge(written)

        floats: tuple[str, ...] = ()
        first = figures = kept(whole)
        if gate.excess(figures) > 1:
            network = _searched(nncf, native, samples, backend, model_in_float, gate, len(layers) // 2)
            floats = tuple(sorted(layers - backend.quantised(network)))
            figures = kept(network)
        if gate.excess(figures) > 1 or len(floats) > len(layers) // 2:
            held, lost, got = gate.reference, first, figures
            raise Int8Error(
                f"{out}: not written: int8 hurts {model.name}: against {gate.against} delta1 {lost.delta1:.4f} (float "
                f"{held.delta1:.4f}), AbsRel {lost.abs_rel:.4f} (float {held.abs_rel:.4f}); with {len(floats)} of "
                f"{len(layers)} layers in float still delta1 {got.delta1:.4f}, AbsRel {got.abs_rel:.4f}"
            )
        sizes = before, _bytes(path)
    return Int8Report(difference, gate.against, gate.reference, first, figures, sizes, len(layers), floats)


def calibration(graph: Graph, frames: Pictures) -> Iterator[dict[str, np.ndarray]]:
    """Inputs by name, of frames evenly spread, or, of a stream, of its first ones in order, with the states that torch
    gives."""
    stream = graph.interface.form == "stream"
    chosen = list(frames[:MOST]) if stream else list(frames[:: -(-len(frames) // MOST)])
    inputs: Sequence[Tensor] = ()
    size = graph.size_near(*chosen[0].shape[:2])
    for picture in chosen:
        image = shown([picture], size)
        inputs = graph.after(graph.run(inputs), image) if stream and inputs else graph.begin(image)
        yield {name: value.numpy() for name, value in zip(graph.inputs, inputs, strict=True)}


def _quantised(nncf: Any, native: Any, samples: list[dict[str, np.ndarray]]) -> Any:
    with _quietly():
        return nncf.quantize(native, nncf.Dataset(samples), subset_size=len(samples))


def _searched(
    nncf: Any,
    native: Any,
    samples: list[dict[str, np.ndarray]],
    backend: Backend,
    model: ExportedModel,
    gate: Gate,
    most: int,
) -> Any:
    """The network with so few layers in float that it passes, if it does."""
    from nncf.quantization.advanced_parameters import AdvancedAccuracyRestorerParameters

    def measure(compiled: Any, _: Iterable[Any]) -> tuple[float, None]:
        excess = gate.excess(gate.judge(model.running(_Compiled(compiled, backend, model))))
        return 1 - min(excess, 1e6), None  # larger is better; of float it is 1, as NNCF divides by it

    with _quietly():
        return nncf.quantize_with_accuracy_control(
            native,
            nncf.Dataset(samples),
            nncf.Dataset(samples[:1]),  # the gate has frames of its own
            measure,
            max_drop=ENOUGH,
            drop_type=nncf.DropType.ABSOLUTE,
            subset_size=len(samples),
            advanced_accuracy_restorer_parameters=AdvancedAccuracyRestorerParameters(max_num_iterations=most),
        )


class _Compiled:
    """What NNCF compiled, as a session."""

    def __init__(self, compiled: Any, backend: Backend, model: ExportedModel) -> None:
        self._run = backend.runner(compiled)
        self.inputs: list[TensorSpec] = model.session.inputs
        self.outputs: list[TensorSpec] = model.session.outputs
        self.metadata = model.session.metadata

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """See :class:`Session`."""
        return self._run(*arrays)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without NNCF's log, progress bars and warnings, which are not the user's to act on."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _bytes(path: Path) -> int:
    """Of a file and what lies beside it in its folder."""
    return sum(file.stat().st_size for file in path.parent.iterdir())


def _cells(figures: Figures) -> tuple[str, str]:
    return f"{figures.delta1:.4f}", f"{figures.abs_rel:.4f}"
