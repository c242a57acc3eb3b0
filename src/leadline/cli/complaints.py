"""What the parser says is wrong with arguments or a recipe, in words that name the key and what would be right.

jsonargparse tells of every type that a value was tried as, of the classes on the way, and repeats all that was given.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import typing
from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Any

from leadline.errors import suggest

KEY = re.compile(r'Parser key "([^"]+)": ?')
CLASS = re.compile(r"Problem with given class_path '([^']+)': ?")
UNION = re.compile(r"Does not validate against any of the Union subtypes Subtypes: \[(.*?)\] Errors: ")
VALUE = re.compile(r" Given value type: .*? Given value: (.*?)(?= - Expected a <class 'NoneType'>|$)")
ARGUMENT = re.compile(r"unrecognized arguments: --(?P<option>[^\s=]+)")
UNKNOWN = (
    re.compile(r"Group '(?P<group>[^']+)' does not accept option '(?P<option>[^']+)'"),
    re.compile(r"Option '(?P<option>[^']+)' is not accepted"),
    ARGUMENT,
)
MISSING = re.compile(r"the following arguments are required: (.*)")
EXPECTED = re.compile(r"Expected an? (?P<type>.*?)\. Got value: (?P<value>.*)")
NO_CLASS = re.compile(r"Expected a dot import path string: (\S+)")


def plain(message: str, options: Sequence[str]) -> str:
    """One line for a message of jsonargparse.

    Args:
        message: what it says.
        options: the keys the parser knows, without dashes.
    """
    text = " ".join(message.split())
    unions, values = UNION.findall(text), VALUE.findall(text)
    keys, classes = KEY.findall(text), CLASS.findall(text)
    text = VALUE.sub("", text)
    for pattern in (KEY, CLASS, UNION):
        text = pattern.sub("", text)
    parts = [part.strip() for part in re.split(r"(?:^|(?<= ))- ", text)]
    said = [part for part in parts if part and part != "Expected a <class 'NoneType'>"]
    said = [part for part in said if not part.startswith("Expected a path")] or said
    where, reason = ".".join(keys), said[-1] if said else text
    owner = _imported(classes[-1]) if classes else None
    for pattern in UNKNOWN:
        if found := pattern.search(reason):
            groups = found.groupdict()
            option = ".".join(filter(None, (groups.get("group"), groups["option"]))).replace(".init_args", "")
            if owner is None and pattern is ARGUMENT:
                return f"{reason}{_nearest(f'--{option}', [f'--{name}' for name in options])}"
            if owner is None:
                return f"there is no key '{option}'{_nearest(option, options)}"
            return f"{where}: {owner.__name__} has no key '{option}'{_nearest(option, list(_keys(owner)))}"
    if found := MISSING.search(reason):
        return f"{where}: {owner.__name__} needs {found[1]}" if owner else reason
    if found := NO_CLASS.search(reason):
        near = suggest(found[1], _subclasses(unions[-1]) if unions else ())
        whole = near or "; give its whole path, such as leadline.data.folder.Folder"
        return f"{where}: no class '{found[1]}' is loaded{whole}"
    if found := EXPECTED.search(reason):
        return f"{where}: is {found['value']}, and should be {_type(found['type'])}"
    if unions and values and re.fullmatch(r"Expected a <class '\w+'>", reason):
        types = _type(unions[-1].replace(", <class 'NoneType'>", " or null"))
        return f"{where}: is {values[0]}, and should be {types}" + (", such as [1, 2]" if "tuple[" in types else "")
    return f"{where}: {reason}" if where else reason


def _nearest(option: str, known: Sequence[str]) -> str:
    """A suggestion: a key as a whole, or its first word where that is wrong already."""
    groups = {name.rpartition(".")[0] for name in known}
    whole, first = suggest(option, [name for name in known if name not in groups]), option.partition(".")[0]
    words = sorted({name.partition(".")[0] for name in known})
    return whole or ("" if first in words else suggest(first, words))


def _type(text: str) -> str:
    text = re.sub(r"<class '(?:[\w.]*\.)?(\w+)'>", r"\1", text)
    return re.sub(r"typing\.Literal\[(.*?)\]", r"one of \1", text)


def _imported(path: str) -> Any:
    """A class by its path; nothing where there is none."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return None


def _keys(owner: Any) -> Iterator[str]:
    """What a class can be told, and of options in a dataclass each."""
    hints = typing.get_type_hints(owner if dataclasses.is_dataclass(owner) else owner.__init__)
    for name in inspect.signature(owner).parameters:
        yield name
        hint = hints.get(name)
        for kind in typing.get_args(hint) if isinstance(hint, UnionType) else (hint,):
            if dataclasses.is_dataclass(kind):
                yield from (f"{name}.{below}" for below in _keys(kind))


def _subclasses(types: str) -> list[str]:
    """Names of the classes of which one is wanted, those that are loaded."""
    wanted = re.search(r"<class '([\w.]+)'>", types)
    found, names = [_imported(wanted[1])] if wanted else [], []
    while found:
        kind = found.pop()
        if isinstance(kind, type):
            names.append(kind.__name__)
            found += kind.__subclasses__()
    return names
