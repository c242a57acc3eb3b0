"""How numbers are made: one object for each benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.discover import find_objects
from leadline.errors import ConfigError, suggest

if TYPE_CHECKING:
    from leadline.protocols.protocol import Protocol


def protocols() -> dict[str, Protocol]:
    """Every protocol there is, by name."""
    from leadline.protocols.protocol import Protocol

    return {rules.name: rules for rules in find_objects(__name__, Protocol)}


def open_protocol(name: str) -> Protocol:
    """The protocol called ``name``.

    Raises:
        ConfigError: there is none.
    """
    every = protocols()
    if name not in every:
        raise ConfigError(f"protocol: '{name}' is not known{suggest(name, every)}; there is {', '.join(sorted(every))}")
    return every[name]
