"""Networks that leadline trains. A new architecture is one file here whose class names its ``variants``."""

from __future__ import annotations

import inspect
from typing import Any

from leadline.discover import find
from leadline.errors import ConfigError, suggest
from leadline.networks.base import DepthNetwork

__all__ = ["DepthNetwork", "create", "family", "has_pretrained", "names"]


def names() -> list[str]:
    """The architectures there are, in alphabetical order."""
    return sorted(_families())


def create(name: str, **overrides: Any) -> DepthNetwork:
    """Make the network called ``name``, randomly initialised unless an option says otherwise.

    Args:
        name: an architecture, one of ``names()``.
        overrides: arguments of its constructor to replace, such as ``decoder="litemono"`` or ``pretrained=True``.

    Raises:
        ConfigError: the name or an option is unknown, or an option has an impossible value.
    """
    return family(name).build(name, **overrides)


def has_pretrained(name: str) -> bool:
    """Whether the architecture takes ``pretrained=True``: features that were learned before and can be had here."""
    return "pretrained" in inspect.signature(_families()[name]).parameters if name in _families() else False


def family(name: str) -> type[DepthNetwork]:
    """The class that makes the network called ``name``.

    Raises:
        ConfigError: there is no such network.
    """
    families = _families()
    if name not in families:
        raise ConfigError(f"no network '{name}', there are {', '.join(sorted(families))}{suggest(name, families)}")
    return families[name]


def _families() -> dict[str, type[DepthNetwork]]:
    # mypy's type-abstract rule is about instances made from the argument; find only compares with it.
    classes = find(__name__, DepthNetwork)  # type: ignore[type-abstract]
    return {variant: family for family in classes for variant in family.variants}
