"""The weights under which the golden outputs were made: golden/README.md defines them."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


def deterministic(name: str, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A tensor drawn from its own name."""
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith("running_var"):
        return 1 + 0.1 * np.abs(z)
    if len(shape) >= 2:
        return z / np.sqrt(np.prod(shape[1:])).astype(np.float32)
    if name.endswith(("bias", "running_mean")):
        return 0.1 * z
    return 1 + 0.1 * z


def shapes(golden: Path, network: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a public state dict."""
    return {k: tuple(v) for k, v in json.loads((golden / f"{network}.manifest.json").read_text()).items()}


def golden_weights(golden: Path, network: str) -> dict[str, Tensor]:
    """The state dict of a public network, without its computed tables of positions."""
    return {
        name: torch.zeros((), dtype=torch.int64)
        if name.endswith("num_batches_tracked")
        else torch.from_numpy(deterministic(name, shape))
        for name, shape in shapes(golden, network).items()
        if not name.endswith("pos_encoder.pe")
    }
