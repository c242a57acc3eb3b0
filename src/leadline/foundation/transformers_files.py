"""Model folders of transformers, from disk or the hub: read with all their weights, and nothing run."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from leadline.errors import InputError

HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")
#: What is fetched of a hub repository.
FILES = [
    "config.json",
    "preprocessor_config.json",
    "README.md",
    "model*.safetensors",
    "model.safetensors.index.json",
]


def fetch(spec: str) -> Path:
    """The files of a hub repository, on disk: downloaded once, then from the hub's own cache.

    Raises:
        InputError: not a hub's name, no such repository, or it cannot be reached.
    """
    if not HUB_NAME.fullmatch(spec):
        raise InputError(f"{spec}: no such folder, and not a hub name (owner/name)")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(spec, allow_patterns=FILES))
    except Exception as error:  # the hub's errors and those of several network libraries share no base class
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise InputError(
            f"{spec}: no such folder here, and the hub gives no such model: none there, login needed, or "
            f"cannot be reached ({reason[0][:160]})"
        ) from None


def read_config(path: Path) -> dict[str, Any]:
    """A JSON file of a model folder.

    Raises:
        InputError: it is missing, or not a JSON object.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{path.parent}: no {path.name} in it; a model folder of transformers has one") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(entries, dict):
        raise InputError(f"{path}: not a JSON object")
    return entries


def load_network(
    kind: Any, folder: Path, spec: str, unused: Callable[[str], object] = lambda key: None, **options: Any
) -> torch.nn.Module:
    """A network with all its weights: transformers would fill gaps with random numbers.

    Args:
        kind: transformers' Auto class.
        folder: of the model.
        spec: what the user called it, for errors.
        unused: whether a name is of a weight the network owns but that is not needed.
        options: further ones of ``from_pretrained``.

    Raises:
        InputError: weights are missing or of another shape, or the folder cannot be read.
    """
    from safetensors import SafetensorError

    try:
        with _quiet():
            network, report = kind.from_pretrained(
                folder,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are reported, and raised below
                dtype=torch.float32,
                **options,
            )
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, SafetensorError, ImportError) as error:
        raise InputError(f"{spec}: its weights cannot be loaded ({first_line(error)})") from None
    wrong = [*report["missing_keys"], *(key if isinstance(key, str) else key[0] for key in report["mismatched_keys"])]
    if wrong := sorted(key for key in wrong if not unused(key)):
        raise InputError(
            f"{spec}: its weights do not fit its config.json: {len(wrong)} missing or of another shape, "
            f"such as {wrong[0]}"
        )
    loaded: torch.nn.Module = network
    return loaded


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """transformers prints progress and a table of weights; what matters of it is raised as an error."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def first_line(error: BaseException) -> str:
    """What an error says, in a line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
