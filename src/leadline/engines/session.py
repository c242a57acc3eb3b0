"""What every engine looks like, and the checks they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from leadline.errors import ConfigError, InputError


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a network.

    Args:
        name: as the file gives it.
        shape: sizes, -1 where any size goes.
        dtype: numpy's name of the type, such as ``float32``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        sizes = ", ".join("any" if size < 0 else str(size) for size in self.shape)
        return f"{self.name} ({sizes}) {self.dtype}"


class Session(Protocol):
    """A network ready to run. Not thread-safe: use one session per thread.

    Attributes:
        inputs: what it takes, in the order of the arguments.
        outputs: what it returns, in order.
        metadata: what the file says of itself; leadline's card stands under ``leadline`` as JSON.
    """

    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    metadata: dict[str, str]

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """Run the network once.

        Raises:
            InputError: an array's number, shape or type is not what ``inputs`` says.
        """
        ...


def conform(arrays: Sequence[np.ndarray], inputs: Sequence[TensorSpec], where: str) -> list[np.ndarray]:
    """The arrays, contiguous and of the expected types.

    Raises:
        InputError: their number, a shape, or a type that cannot be converted without changing values' sense.
    """
    if len(arrays) != len(inputs):
        raise InputError(f"{where}: takes {len(inputs)} arrays ({', '.join(map(str, inputs))}), given {len(arrays)}")
    ready = []
    for array, spec in zip(arrays, inputs, strict=True):
        fits = len(array.shape) == len(spec.shape) and all(
            expected in (-1, given) for expected, given in zip(spec.shape, array.shape, strict=True)
        )
        # Floats for an integer input would be cut off silently: [0, 1] becomes all zeros.
        if not fits or not np.can_cast(array.dtype, spec.dtype, "same_kind"):
            raise InputError(f"{where}: expects {spec}, given {tuple(array.shape)} {array.dtype}")
        ready.append(np.ascontiguousarray(array, dtype=spec.dtype))
    return ready


def existing(path: str | Path) -> Path:
    """``path`` as a Path.

    Raises:
        InputError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return path


def positive(threads: int | None) -> int | None:
    """The number of threads, None for the engine's own choice.

    Raises:
        ConfigError: it is not positive.
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"threads: must be at least 1, not {threads}")
    return threads


def first_line(error: Any) -> str:
    """The first line of a runtime's message that says something: they put source positions around it."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Exception from", "Check '"))]
    return (told or lines or [""])[0][:200]
