"""Weights that others published: read without running code, and loaded only where every name and shape fits."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from leadline.errors import InputError

#: What the public trainers of monodepth2's lineage note beside the weights.
NOTES = ("height", "width", "use_stereo")
#: What the thop profiler leaves in a model it has measured.
COUNTERS = ("total_ops", "total_params")


def read_weights(path: Path) -> dict[str, Any]:
    """What a ``.safetensors`` file holds, or a PyTorch file of plain tensors and numbers.

    Raises:
        InputError: no such file, or not one of these.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError:
        raise InputError(f"{path}: not a readable safetensors file") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError):
        raise InputError(f"{path}: not a PyTorch state dict of plain tensors") from None
    if not isinstance(stored, dict):
        raise InputError(f"{path}: holds a {type(stored).__name__}, expected a state dict")
    return stored


def load_weights(module: nn.Module, stored: dict[str, Any], where: str | Path, name: str) -> None:
    """Load a public state dict into ``module``; notes and counters of public code in it are passed over.

    Args:
        module: whose state dict has the public names.
        stored: as :func:`read_weights` gives it.
        where: the file, for the errors.
        name: of the network, for the errors.

    Raises:
        InputError: a tensor is missing, unknown, or of another shape.
    """
    weights = {k: v for k, v in stored.items() if k not in NOTES and k.rpartition(".")[2] not in COUNTERS}
    own = module.state_dict()
    # Files older than PyTorch 0.4.1 do not count batches; only the cumulative averages, used nowhere, need the count.
    weights = {k: v for k, v in own.items() if k.endswith(".num_batches_tracked")} | weights
    for problem, keys in (("lacks", own.keys() - weights.keys()), ("has an unknown", weights.keys() - own.keys())):
        if keys:
            raise InputError(f"{where}: {problem} '{min(keys)}' ({len(keys)} such), expected the weights of {name}")
    for key, value in own.items():
        shape = tuple(getattr(weights[key], "shape", ()))
        if shape != tuple(value.shape):
            raise InputError(f"{where}: '{key}' is {shape}, in {name} it is {tuple(value.shape)}")
    module.load_state_dict(weights)


def for_images(weight: Tensor, images: int) -> Tensor:
    """A first convolution's weight (C, 3, k, k) for so many images side by side in the channels, (C, 3 images, k, k).

    Repeated and divided by their number, so that equal images give what one gives (monodepth2, Godard et al., ICCV
    2019).
    """
    return weight.repeat(1, images, 1, 1) / images


def weight_files(encoder: str | Path, depth: str | Path | None) -> tuple[Path, Path]:
    """The two files of a checkpoint as monodepth2's descendants write it.

    Args:
        encoder: ``encoder.pth``, or the folder that holds it and ``depth.pth``.
        depth: ``depth.pth``; by default the one beside the encoder.
    """
    first = Path(encoder)
    if first.is_dir():
        first /= "encoder.pth"
    return first, first.with_name("depth.pth") if depth is None else Path(depth)
