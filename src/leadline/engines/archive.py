"""What is in a .pt2 archive of torch.export, before torch reads it.

torch trusts such a file: it unpickles what the file asks it to, looks operators up by name among all that it imports,
evaluates sizes as expressions, executes guards on sizes as Python and writes names into Python that it compiles. Here
everything is held against the little that a program on tensors needs, and an archive with anything else is refused.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from leadline.engines.session import first_line
from leadline.errors import InputError

#: Files of an archive: the program, its tensors, one set of inputs, and text beside.
FILES = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/\w+|\.format_version|\.storage_alignment"
    r"|models/\w+\.json|data/weights/(weight_\d+|\w+_config\.json)|data/constants/(tensor_\d+|\w+_config\.json)"
    r"|data/sample_inputs/\w+\.pt|extra/[\w.-]+"
)
#: Of tensors, nodes and parameters; a device may have a number.
NAME = re.compile(r"[\w.]*(:\d+)?")
#: Those of ATen that neither write nor map files, and arithmetic on sizes.
OPERATOR = re.compile(
    r"torch\.ops\.aten\.(?!__|save\.|from_file\.)\w+\.(?!_)\w+"
    r"|torch\.sym_\w+|math\.(?!_)\w+"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|not_)"
)
#: Of sizes, as sympy prints them.
EXPRESSION = re.compile(
    r"(?:Symbol\('\w+'(?:, \w+=(?:True|False))*\)|Float\('[-+.\de]+', precision=\d+\)"
    r"|\b(?:[su]\d+|int_oo|Integer|Rational|Add|Mul|Pow|Max|Min|Mod|PythonMod|FloorDiv|CeilDiv|CleanDiv|IntTrueDiv"
    r"|FloatTrueDiv|ToFloat|TruncToInt|FloorToInt|CeilToInt|floor|ceiling|Eq|Ne|Lt|Le|Gt|Ge)\b"
    r"|\d+(?:\.\d+)?|[-+*/(),<>=&|~ ])*"
)
#: The names of sizes, or of arithmetic on them.
SIZE = re.compile(r"[\w*/+() -]*")
#: On sizes, as Python.
GUARD = re.compile(
    r"(?:L(?:\['\w+'\]|\[\d+\])+\.size\(\)\[\d+\]|\b(?:min|max|and|or|not|math\.(?:floor|ceil|trunc))\b"
    r"|\d+(?:\.\d+)?|[-+*/%(),<>=! ])*"
)
#: Operators' words, such as ``reflect`` or an einsum's equation.
WORD = re.compile(r"[^'\"\\\n]*")

#: Entry of a program, what its text must look like, what it is if it does not.
RULES = {
    "expr_str": (EXPRESSION, "a size is no plain arithmetic"),
    "range_constraints": (SIZE, "a size is no plain arithmetic"),
    "guards_code": (GUARD, "a guard is no plain arithmetic on sizes"),
    "target": (OPERATOR, "calls what is no operator on tensors"),
    "as_operator": (OPERATOR, "calls what is no operator on tensors"),
    "as_string": (WORD, "a word is none"),
    "as_strings": (WORD, "a word is none"),
}
OTHERS = (NAME, "a name is none")
#: Entries that are only shown, by torch, in messages.
SHOWN = {"metadata", "torch_version"}
#: Entries that are JSON inside JSON: how inputs and outputs are nested.
NESTED = ("in_spec", "out_spec", "context")


def check_archive(path: Path) -> None:
    """Refuse an archive that holds more than a program and its tensors.

    Raises:
        InputError: it does, or it is no archive of torch.export.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            files = [name.partition("/") for name in archive.namelist()]
            if "archive_version" not in [name for _, _, name in files]:
                raise InputError(f"{path}: not a file of torch.export")
            # torch's reader does not tell "A" from "a", and looks below one folder only.
            if len({folder for folder, _, _ in files}) > 1 or len({name.lower() for _, _, name in files}) < len(files):
                raise InputError(f"{path}: holds two files of the same name")
            for folder, _, name in files:
                if not FILES.fullmatch(name):
                    raise InputError(f"{path}: holds more than a program and tensors ({name}), which is not run")
                _check_file(name, archive.read(f"{folder}/{name}"), path)
    except InputError:
        raise
    except Exception as error:  # of zipfile, json, torch: damaged in one way or another
        raise InputError(f"{path}: not a file of torch.export that can be read ({first_line(error)})") from None


def _check_file(name: str, data: bytes, path: Path) -> None:
    if name.endswith("_config.json"):
        if any(entry["use_pickle"] for entry in json.loads(data)["config"].values()):
            raise InputError(f"{path}: holds pickled weights, which are not read")
    elif name.startswith("data/sample_inputs/"):
        torch.load(io.BytesIO(data), weights_only=True)
    elif name.startswith("models/"):
        for key, text in _texts(json.loads(data), ""):
            rule, what = RULES.get(key, OTHERS)
            if not rule.fullmatch(text):
                raise InputError(f"{path}: {what}: {first_line(text)[:80]}")


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """All texts in a program, each with the entry it stands in; names of entries are texts, too."""
    if isinstance(value, str):
        if key in NESTED:
            yield from _texts(json.loads(value), "")
        else:
            yield key, value
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield key if key == "range_constraints" else "", name
            # Only texts are just shown: a tensor may be called "metadata", too.
            if not (isinstance(entry, str) and SHOWN & {key, name}):
                yield from _texts(entry, name)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry, key)
