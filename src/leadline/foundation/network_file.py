"""Network files of others (.onnx, .tflite, OpenVINO .xml) as depth models.

Such a file does not say what its numbers mean, so a card beside it does: ``NAME.card.yaml``. Nothing about
the meaning is guessed; where the card is missing, the error prints one to fill in.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from leadline.depth import ARBITRARY, KINDS, Kind, check_unit
from leadline.engines.onnx import OnnxSession
from leadline.engines.openvino import OpenVINOSession
from leadline.engines.program import ProgramSession
from leadline.engines.session import Session, TensorSpec
from leadline.errors import ConfigError, InputError, KindError, suggest
from leadline.foundation.base import DepthModel, digest
from leadline.foundation.licences import UNKNOWN

SUFFIXES = (".onnx", ".tflite", ".xml", ".pt2")
RUNTIMES = ("openvino", "onnx")
PROGRAM = ".pt2"
LAYOUTS = ("NHWC", "NCHW")
REQUIRED = ("kind", "layout", "range")


@dataclass(frozen=True)
class NetworkCard:
    """What a network file takes and gives.

    Args:
        kind: of the output, such as ``affine-invariant-disparity``.
        layout: ``NHWC`` or ``NCHW``.
        range: what RGB [0, 1] is mapped to: [0, 1], [0, 255], [-1, 1], ...
        mean: subtracted after that, one number a channel.
        std: divided by after that.
        sign: -1 where the output is minus the quantity.
        size: (height, width), needed when the file leaves it open.
        output: name or index of the output to use.
        unit: of the output, ``arbitrary`` unless the kind is metric.
        name: of the network; by default the file's.
        licence: of the weights.
        source: where they come from, in words.
    """

    kind: str
    layout: str
    range: tuple[float, float]
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    sign: int = 1
    size: tuple[int, int] | None = None
    output: int | str = 0
    unit: str = ARBITRARY
    name: str = ""
    licence: str = UNKNOWN
    source: str = ""

    def __post_init__(self) -> None:
        check_unit(Kind.parse(self.kind), self.unit)
        if self.layout not in LAYOUTS:
            raise ConfigError(f"layout: {' or '.join(LAYOUTS)}, not {self.layout!r}")
        if self.sign not in (1, -1):
            raise ConfigError(f"sign: 1 or -1, not {self.sign!r}")
        for key, count in (("range", 2), ("mean", 3), ("std", 3), ("size", 2)):
            value = getattr(self, key)
            if value is None:
                continue
            if not isinstance(value, list | tuple) or len(value) != count or not all(map(_is_number, value)):
                raise ConfigError(f"{key}: {count} numbers in brackets, not {value!r}")
            object.__setattr__(self, key, tuple(value))
        if self.range[0] >= self.range[1]:
            raise ConfigError(f"range: the lower value first, not {list(self.range)}")
        if self.std is not None and min(self.std) <= 0:
            raise ConfigError(f"std: positive numbers, not {list(self.std)}")
        if self.size is not None and not all(isinstance(side, int) and side > 0 for side in self.size):
            raise ConfigError(f"size: [height, width] in whole pixels, not {list(self.size)}")

    @classmethod
    def read(cls, path: str | os.PathLike[str], known: str = "") -> NetworkCard:
        """The card in a YAML file.

        Args:
            path: the YAML file.
            known: a template to show when required keys are missing.

        Raises:
            InputError: no such file, not YAML, an unknown key, a missing one, or an impossible value.
        """
        path = Path(path)
        try:
            entries = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot read this card ({error.strerror})") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not a YAML file ({str(error).splitlines()[0]})") from None
        if not isinstance(entries, dict):
            raise InputError(f"{path}: a card is made of lines like 'kind: {KINDS[0]}'")
        names = [entry.name for entry in fields(cls)]
        for key in entries:
            if key not in names:
                raise InputError(f"{path}: unknown key {key!r}{suggest(str(key), names)} (keys: {', '.join(names)})")
        if missing := [key for key in REQUIRED if entries.get(key) is None]:
            form = f"; a complete card looks like this:\n{known}" if known else ""
            raise InputError(f"{path}: {', '.join(missing)} missing{form}")
        try:
            return cls(**{key: value for key, value in entries.items() if value is not None})
        except (ConfigError, KindError) as error:
            raise InputError(f"{path}: {error}") from None


def open_session(path: str | os.PathLike[str], threads: int | None = None, runtime: str | None = None) -> Session:
    """A network file, ready to run.

    Args:
        path: .onnx, .tflite, .xml with its .bin beside it, or .pt2.
        threads: None lets the runtime choose.
        runtime: ``openvino``, which reads all of these files but .pt2, or ``onnx`` (ONNX Runtime) for .onnx files. A
            .pt2 file runs in torch.

    Raises:
        InputError: the file cannot be read.
        ConfigError: the runtime is not installed, unknown, or does not read such files.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: a network file ends in {', '.join(SUFFIXES)}")
    if runtime is not None and runtime not in RUNTIMES:
        raise ConfigError(f"runtime: {' or '.join(RUNTIMES)} for a network file, not {runtime!r}")
    if suffix == PROGRAM:
        if runtime is not None:
            raise ConfigError(f"{path}: a program of torch runs in torch, not in the runtime {runtime}")
        return ProgramSession(path, threads)
    if runtime == "onnx" and suffix != ".onnx":
        raise ConfigError(f"{path}: ONNX Runtime reads .onnx files only; use the runtime openvino")
    return OnnxSession(path, threads) if runtime == "onnx" else OpenVINOSession(path, threads)


class NetworkFileModel(DepthModel):
    """A network file run on the CPU, one image at a time.

    Batches do not pay there: on one core the three published networks of the benchmarks take 0.97 to 1.1
    times as long per image in a batch of four as alone.

    Args:
        path: see :func:`open_session`.
        card: what it takes and gives; by default ``NAME.card.yaml`` beside it.
        threads: None lets the runtime choose.
        runtime: see :func:`open_session`.
        session: the file, where it is open already.

    Raises:
        InputError: the file cannot be read, has no card (the message is one to fill in), or contradicts its
            card.
        ConfigError: the runtime is not installed, unknown, or does not read such files.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        card: NetworkCard | str | os.PathLike[str] | None = None,
        threads: int | None = None,
        runtime: str | None = None,
        session: Session | None = None,
    ) -> None:
        path = Path(path)
        session = session or open_session(path, threads, runtime)
        if len(session.inputs) != 1 or len(session.inputs[0].shape) != 4:
            given = "; ".join(map(str, session.inputs))
            raise InputError(f"{path}: a depth network takes one image with four dimensions; this file takes {given}")
        self.card = card if isinstance(card, NetworkCard) else _find_card(path, card, session)
        self.name = self.card.name or path.name.removesuffix(path.suffix)
        self.kind = Kind.parse(self.card.kind)
        self.unit = self.card.unit
        self.licence = self.card.licence
        self._path = path
        self._threads = threads
        self._session = session
        self._size = self._fixed_size(session.inputs[0])
        self._output = self._choose_output()
        self.files = [path] + [file for file in [path.with_suffix(".bin")] if path.suffix == ".xml" and file.is_file()]
        self.digest = digest(self.files, json.dumps(asdict(self.card), sort_keys=True))

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """The file's own size, or the card's."""
        return self._size

    def infer(self, images: Tensor) -> Tensor:
        """See :meth:`DepthModel.infer`; values that are not positive become NaN unless the kind is affine."""
        outputs = []
        batch = self._prepare(images)
        session = self._ready(batch.shape[1:])
        for array in batch:
            output = np.squeeze(session(array[None])[self._output]).astype(np.float32)
            if output.ndim != 2:
                raise InputError(
                    f"{self._path}: output {session.outputs[self._output].name} is {output.shape}, no map; "
                    "say which output in the card"
                )
            outputs.append(output)
        result = torch.from_numpy(np.stack(outputs) * np.float32(self.card.sign))
        if self.kind.up_to != "affine":
            result = torch.where(result > 0, result, math.nan)
        return result.to(images.device)

    def _prepare(self, images: Tensor) -> np.ndarray:
        """The batch as the file wants it: range, mean and std, layout, type."""
        low, high = self.card.range
        array = images.detach().cpu().float().numpy() * np.float32(high - low) + np.float32(low)
        if self.card.mean is not None:
            array -= np.asarray(self.card.mean, np.float32)[:, None, None]
        if self.card.std is not None:
            array /= np.asarray(self.card.std, np.float32)[:, None, None]
        if self.card.layout == "NHWC":
            array = array.transpose(0, 2, 3, 1)
        dtype = np.dtype(self._session.inputs[0].dtype)
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            array = np.clip(np.rint(array), limits.min, limits.max)
        return array.astype(dtype)

    def _ready(self, shape: tuple[int, ...]) -> Session:
        """The session for one image of that shape; OpenVINO is fastest with a fixed one."""
        if isinstance(self._session, OpenVINOSession) and self._session.inputs[0].shape != (1, *shape):
            self._session = OpenVINOSession(self._path, self._threads, (1, *shape))
        return self._session

    def _fixed_size(self, given: TensorSpec) -> tuple[int, int]:
        """(height, width) of the file or else of the card."""
        channel, rows, columns = (3, 1, 2) if self.card.layout == "NHWC" else (1, 2, 3)
        elsewhere = given.shape[4 - channel] == 3
        if given.shape[channel] != 3 and (given.shape[channel] != -1 or elsewhere):
            raise InputError(f"{self._path}: its input {given} does not fit the card's layout {self.card.layout}")
        if given.dtype.startswith(("int", "uint")) and self.card.range[1] - self.card.range[0] <= 2:
            raise InputError(
                f"{self._path}: its input is {given.dtype}; the range {list(self.card.range)} is too small"
            )
        own = (given.shape[rows], given.shape[columns])
        size = self.card.size or own
        if min(size) < 1:
            raise InputError(
                f"{self._path}: its input {given} has no fixed size; the card must give size: [height, width]"
            )
        if any(side not in (-1, asked) for side, asked in zip(own, size, strict=True)):
            raise InputError(f"{self._path}: the card's size {list(size)} is not the file's {list(own)}")
        return size

    def _choose_output(self) -> int:
        names = [spec.name for spec in self._session.outputs]
        wanted = self.card.output
        if isinstance(wanted, int) and 0 <= wanted < len(names):
            return wanted
        if wanted in names:
            return names.index(str(wanted))
        raise InputError(
            f"{self._path}: no output {wanted!r}{suggest(str(wanted), names)} (outputs: {', '.join(names)})"
        )


def template(path: Path, session: Session) -> str:
    """A card to fill in, with what the file's inputs and outputs show filled in."""
    shape = session.inputs[0].shape
    layout = "NHWC" if shape[3] == 3 else "NCHW" if shape[1] == 3 else ""
    size = {"NHWC": shape[1:3], "NCHW": shape[2:4]}.get(layout, (-1, -1))
    whole = session.inputs[0].dtype.startswith(("int", "uint"))
    outputs = "; ".join(map(str, session.outputs))
    lines = [
        ("name", path.name.removesuffix(path.suffix), ""),
        ("kind", "", f"one of {', '.join(map(str, KINDS))}"),
        ("unit", ARBITRARY, "m, cm, mm for metric-depth; 1/m, ... for metric-disparity"),
        ("licence", "", "of the weights"),
        ("layout", layout, "NHWC or NCHW"),
        ("range", "[0, 255]" if whole else "", "what RGB [0, 1] is mapped to: [0, 1], [0, 255] or [-1, 1]"),
        ("mean", "", "optional, subtracted after that: [r, g, b]"),
        ("std", "", "optional, divided by after that: [r, g, b]"),
        ("sign", "1", "-1 where the output is minus the quantity"),
        ("size", str(list(size)) if min(size) > 0 else "", "[height, width]"),
        ("output", "0", f"name or index; the file has: {outputs}"),
        ("source", "", "where the file comes from"),
    ]
    return "\n".join(
        f"{key}:{f' {value}' if value else ''}{f'  # {note}' if note else ''}" for key, value, note in lines
    )


def _find_card(path: Path, given: str | os.PathLike[str] | None, session: Session) -> NetworkCard:
    """The given card file, else the one beside the network file."""
    form = template(path, session)
    if given is not None:
        return NetworkCard.read(given, form)
    beside = path.with_name(f"{path.name.removesuffix(path.suffix)}.card.yaml")
    if beside.is_file():
        return NetworkCard.read(beside, form)
    raise InputError(f"{path}: nothing says what this network gives; write {beside.name} beside it:\n{form}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
