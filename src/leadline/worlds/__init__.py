"""Procedural places with exact truth. A new one is one folder here that shows a subclass of World."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from leadline.discover import find
from leadline.errors import ConfigError, suggest
from leadline.worlds.base import Place, World, each_clip

__all__ = ["Place", "World", "create", "each_clip", "kind", "names"]


def names() -> list[str]:
    """The worlds there are."""
    return sorted(_worlds())


def create(name: str, **options: Any) -> World:
    """The world called ``name``.

    Args:
        name: one of ``names()``.
        options: fields of its class, such as ``height``, ``width`` and ``sensor``.

    Raises:
        ConfigError: there is no such world, or no such option, or an option is impossible.
    """
    known = [field.name for field in fields(kind(name))]
    for key in options:
        if key not in known:
            raise ConfigError(f"world {name} has no '{key}', but {', '.join(known)}{suggest(key, known)}")
    return kind(name)(**options)


def kind(name: str) -> type[World]:
    """The class of the world called ``name``.

    Raises:
        ConfigError: there is no such world.
    """
    worlds = _worlds()
    if name not in worlds:
        raise ConfigError(f"world: no world '{name}'{suggest(name, worlds)}; there is {', '.join(sorted(worlds))}")
    return worlds[name]


def _worlds() -> dict[str, type[World]]:
    return {world.name: world for world in find(__name__, World)}  # type: ignore[type-abstract]
