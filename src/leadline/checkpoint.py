"""A checkpoint is one safetensors file: the weights, and a card that says what they are.

The card travels inside the file (metadata key ``leadline``), so a model can never lose its kind, unit, camera or
licence, and nothing in it can run code.
"""

from __future__ import annotations

import functools
import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.depth import Kind, check_unit
from leadline.errors import ConfigError, InputError, suggest
from leadline.io.atomic import writing

if TYPE_CHECKING:
    import torch

#: The metadata key, here and in exported ONNX and OpenVINO files.
KEY = "leadline"
#: The file a folder or hub repository holds.
FILE = "model.safetensors"
#: How files of networks for other runtimes end.
NETWORK_FILES = (".onnx", ".tflite", ".xml", ".pt2")
#: Where the models lie that come with leadline.
WEIGHTS = Path(__file__).parent / "weights"


#: Pixels of the longest side of images that a network is trained at.
LARGEST = 16_384


@dataclass
class Card:
    """What a model is, where it comes from and what it may be used for.

    Args:
        architecture: a name ``leadline.networks.create`` knows, such as ``swift``.
        kind: what the output is, such as ``affine-invariant-disparity``.
        unit: of the output.
        input_size: (height, width) it was trained at; predictions are made near this size.
        depth_range: (min, max) depth in ``unit`` the output spans; None for affine kinds.
        options: constructor arguments that differ from the architecture's.
        licence: what the weights may be used for.
        teacher: name, licence and kind of the teacher; empty where there was none.
        recipe: how it was trained: every setting that made it.
        data: what it was trained on, in words.
        metrics: figures with the protocol that made them.
        version: of leadline.
        focal: focal length, in pixels of images of ``input_size``, that depth is told for; depth in the images of a
            camera with another one is depth times the ratio. None where the camera does not matter.
    """

    architecture: str
    kind: str
    unit: str
    input_size: tuple[int, int]
    depth_range: tuple[float, float] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    licence: str = "unknown"
    teacher: dict[str, str] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    data: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    version: str = ""
    focal: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.architecture, str) or not isinstance(self.options, dict):
            raise ConfigError("architecture is to be a name, and options its arguments by name")
        check_unit(Kind.parse(self.kind), self.unit)
        self.input_size = (int(self.input_size[0]), int(self.input_size[1]))
        if not all(0 < side <= LARGEST for side in self.input_size):
            raise ConfigError(f"input_size {self.input_size} is none of images; sides are 1 to {LARGEST} pixels")
        if self.depth_range is not None:
            self.depth_range = (float(self.depth_range[0]), float(self.depth_range[1]))

    def to_json(self) -> str:
        """One line of JSON, the form it has inside a file."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: str = "card") -> Card:
        """The card of that JSON text.

        Raises:
            InputError: it is not a card; the message names ``where``.
        """
        try:
            entries = json.loads(text)
            known = [entry.name for entry in fields(cls)]
            if unknown := [key for key in entries if key not in known]:
                # A newer leadline may say more; what is known must not be guessed from half a card.
                raise ConfigError(
                    f"unknown key {unknown[0]!r}{suggest(unknown[0], known)}; written by leadline "
                    f"{entries.get('version', '?')}, which may be newer than this one"
                )
            return cls(**entries)
        except (ValueError, TypeError, AttributeError, ConfigError) as error:
            raise InputError(f"{where}: its leadline card cannot be read ({error})") from None


def save(path: str | os.PathLike[str], weights: dict[str, torch.Tensor], card: Card) -> None:
    """Write one safetensors file, whole or not at all.

    Raises:
        InputError: ``path`` does not end in .safetensors, or its folder cannot be written to.
    """
    from safetensors.torch import save_file

    if Path(path).suffix != ".safetensors":
        raise InputError(f"{path}: a leadline checkpoint ends in .safetensors")
    with writing(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, temporary, {KEY: card.to_json()})


@functools.cache
def bundled() -> dict[str, Path]:
    """The checkpoints that come with leadline, by name."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}


@functools.cache
def bundled_exports() -> dict[str, Path]:
    """The exported networks that come with leadline, by name."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.xml"))}


def caveat(model: str | os.PathLike[str]) -> str:
    """What a bundled model is not good for, by its name, as one line; empty for any other model."""
    file = locate(model)
    if file.parent != WEIGHTS:
        return ""
    return " ".join(file.with_suffix(".txt").read_text(encoding="utf-8").split())


def locate(path: str | os.PathLike[str]) -> Path:
    """The model at ``path``: itself, ``model.safetensors`` in that folder, or the bundled one so named."""
    file = Path(path)
    if file.is_dir():
        return file / FILE
    return file if file.exists() else (bundled() | bundled_exports()).get(str(path), file)


def read_card(path: str | os.PathLike[str]) -> Card:
    """The card inside a checkpoint file or folder, without reading the weights.

    Raises:
        InputError: no such file, not a safetensors file, or not one of leadline's.
    """
    from safetensors import SafetensorError, safe_open

    file = locate(path)
    if not file.is_file():
        raise InputError(f"{file}: no such checkpoint")
    if file.suffix.lower() in NETWORK_FILES:
        raise InputError(f"{file}: a network for another runtime; give the checkpoint it was made from (.safetensors)")
    try:
        with safe_open(file, framework="np") as opened:
            metadata = opened.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file}: not a readable safetensors file ({error})") from None
    if KEY not in metadata:
        raise InputError(
            f"{file}: a safetensors file, but not a leadline checkpoint (its metadata has no '{KEY}' card); "
            "a model in the hub's format is loaded by its folder"
        )
    return Card.from_json(metadata[KEY], str(file))


def load(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], Card]:
    """Weights (on the CPU) and card of a checkpoint file or folder.

    Raises:
        InputError: see :func:`read_card`.
    """
    from safetensors.torch import load_file

    card = read_card(path)
    return load_file(locate(path)), card
