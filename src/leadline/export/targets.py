"""All forms that a model is written in."""

from __future__ import annotations

from leadline.errors import ConfigError, suggest
from leadline.export.executorch import EXECUTORCH
from leadline.export.onnx import ONNX
from leadline.export.openvino import OPENVINO
from leadline.export.program import PROGRAM
from leadline.export.tensorrt import TENSORRT
from leadline.export.writing import Target

TARGETS: dict[str, Target] = {each.name: each for each in (ONNX, OPENVINO, PROGRAM, EXECUTORCH, TENSORRT)}
"""By name."""


def target_of(name: str, more: tuple[str, ...] = ()) -> Target:
    """The target of a name.

    Args:
        name: of it.
        more: other names that would have been right, for the message.

    Raises:
        ConfigError: there is none.
    """
    if name not in TARGETS:
        names = [*TARGETS, *more]
        raise ConfigError(f"to: '{name}' is none of {', '.join(names)}{suggest(name, names)}")
    return TARGETS[name]
