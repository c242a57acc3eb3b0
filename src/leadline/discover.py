"""Find the classes a package's files define, so that adding one is adding one file."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TypeVar

T = TypeVar("T")


def find(package: str, base: type[T]) -> list[type[T]]:
    """The concrete subclasses of ``base`` that the modules of ``package`` define and its packages show, in order of
    module and name."""
    folder = importlib.import_module(package)
    found: list[type[T]] = []
    for info in pkgutil.iter_modules(folder.__path__, f"{package}."):
        module = importlib.import_module(info.name)
        found += [
            member
            for _, member in inspect.getmembers(module, inspect.isclass)
            if issubclass(member, base)
            and (member.__module__ + ".").startswith(info.name + ".")
            and not inspect.isabstract(member)
        ]
    return found


def find_objects(package: str, kind: type[T]) -> list[T]:
    """The objects of a type that the modules of ``package`` name, in order of module and place, each once."""
    folder = importlib.import_module(package)
    found: list[T] = []
    for info in pkgutil.iter_modules(folder.__path__, f"{package}."):
        module = importlib.import_module(info.name)
        found += [value for value in vars(module).values() if isinstance(value, kind) and value not in found]
    return found
