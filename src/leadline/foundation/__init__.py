"""Models that are only loaded: teachers, rivals, and leadline's own checkpoints, found by name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from leadline.checkpoint import NETWORK_FILES, bundled, bundled_exports, locate, read_card
from leadline.errors import ConfigError, InputError, suggest

if TYPE_CHECKING:
    from leadline.depth import Kind
    from leadline.foundation.base import DepthModel
    from leadline.foundation.network_file import NetworkCard

__all__ = ["is_checkpoint", "load"]

#: Names on the hub of Video Depth Anything.
PUBLIC_VIDEO = re.compile(r"depth-anything/(Metric-)?Video-Depth-Anything-(Small|Base|Large)")
CHECKPOINT = ".safetensors"


def load(
    spec: str | os.PathLike[str],
    *,
    card: str | os.PathLike[str] | NetworkCard | None = None,
    device: str = "cpu",
    threads: int | None = None,
    kind: str | Kind | None = None,
    runtime: str | None = None,
) -> DepthModel:
    """The depth model that ``spec`` names.

    Args:
        spec: a leadline checkpoint (.safetensors file, a folder that holds one, or the name of a bundled one), a
            network file (.onnx, .tflite, OpenVINO .xml, .pt2, or the name of a bundled one), a folder of a transformers
            model, a public checkpoint of Video Depth Anything (.pth), or the hub's name of a checkpoint, transformers
            model or Video Depth Anything.
        card: what a network file takes and gives, or the YAML file that says so; by default the one inside or
            beside it.
        device: where it runs; network files run on the CPU.
        threads: for network files; None lets the engine choose.
        kind: of the output, for transformers models that do not tell.
        runtime: for network files, ``openvino`` (the default) or ``onnx``, none for .pt2; a checkpoint opens in torch
            whatever is asked for, and ``leadline.export.opening`` exports it.

    Raises:
        InputError: nothing usable there; the message says what is possible.
        ConfigError: an option does not belong to this kind of model, or the kind is not known and was not
            given.
    """
    path = Path(spec)
    if not path.exists():
        path = locate(path)
    suffix = path.suffix.lower()
    if path.is_file() and suffix in NETWORK_FILES:
        from leadline.foundation.exported import open_network

        if kind is not None:
            raise ConfigError(f"{path}: the kind of a network file is said in its card, not by an option")
        return open_network(path, card, threads, runtime)
    if card is not None:
        raise ConfigError(f"{spec}: a card is for network files ({', '.join(NETWORK_FILES)}); this is not one")
    if PUBLIC_VIDEO.fullmatch(str(spec)) or (path.is_file() and suffix == ".pth"):
        from leadline.foundation.video_depth_anything import PublicVideoDepth

        return PublicVideoDepth.open(str(spec)).to(device)
    on_hub = not path.exists() and _like_hub_name(str(spec))
    if on_hub:
        from leadline.foundation.transformers_depth import fetch

        path = fetch(str(spec))
    if is_checkpoint(path):
        from leadline.foundation.leadline_model import LeadlineModel

        if kind is not None:
            raise ConfigError(f"{spec}: a leadline checkpoint says its kind itself")
        model = LeadlineModel.open(path, device)
        if on_hub:
            model.name = str(spec)
        return model
    if on_hub or (path / "config.json").is_file():
        from leadline.foundation.transformers_depth import load_transformers

        if runtime is not None:
            raise ConfigError(f"{spec}: a transformers model runs in torch, not in {runtime!r}")
        return load_transformers(str(spec), kind).to(device)
    raise InputError(_nothing(path))


def is_checkpoint(path: Path) -> bool:
    """A .safetensors file, a folder whose model.safetensors is leadline's and not a hub model's, or a bundled name."""
    if not path.is_dir():
        return locate(path).is_file() and locate(path).suffix.lower() == CHECKPOINT
    if not locate(path).is_file():
        return False
    if not (path / "config.json").is_file():
        return True
    try:
        read_card(path)
    except InputError:
        return False
    return True


def _like_hub_name(spec: str) -> bool:
    """owner/name, where owner is no folder here: a misspelt path deserves its own message."""
    parts = spec.split("/")
    known = Path(spec).suffix.lower() in (*NETWORK_FILES, CHECKPOINT)
    return len(parts) == 2 and all(parts) and parts[0] not in (".", "..", "~") and not known


def _nothing(path: Path) -> str:
    possible = (
        f"a model is a leadline checkpoint ({CHECKPOINT} or a folder with model{CHECKPOINT}), a bundled one "
        f"({', '.join(bundled() | bundled_exports())}), a network file "
        f"({', '.join(NETWORK_FILES)}), a folder with a transformers config.json, or a hub name such as "
        "depth-anything/Depth-Anything-V2-Small-hf"
    )
    if path.is_dir():
        return f"{path}: no model in this folder; {possible}"
    if path.is_file():
        return f"{path}: not a model file; {possible}"
    names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    names += bundled() | bundled_exports()
    return f"{path}: no such file or folder{suggest(path.name, names)}; {possible}"
