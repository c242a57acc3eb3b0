"""The page's table is one that the benchmark made."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_has_the_table_of_what_was_run():
    matrix = runpy.run_path(str(ROOT / "benchmarks" / "export_matrix.py"))
    cells = json.loads(matrix["RESULTS"].read_text())
    page = matrix["PAGE"].read_text()
    text = matrix["table"](cells)
    assert page == matrix["placed"](page, text), "run: python benchmarks/export_matrix.py --write"
    shown = set(re.findall(r"(?<=\| )(?:ok|no|not run)[^|]*(?= \|)", text))
    assert all(re.fullmatch(r"ok \de[-+]\d\d|no \(\d+\)|not run", cell) for cell in shown)
    differences = [float(cell.removeprefix("ok ")) for cell in cells.values() if cell.startswith("ok ")]
    assert differences
    assert max(differences) <= 1e-3


def test_reasons_are_numbered_below_the_table():
    matrix = runpy.run_path(str(ROOT / "benchmarks" / "export_matrix.py"))
    name, variant, target = (next(iter(matrix[part])) for part in ("MODELS", "VARIANTS", "TARGETS"))
    text = matrix["table"]({f"{name} | {variant} | {target}": "needs a thing"})
    assert f"| {name} | {variant} | no (1) | not run |" in text
    assert text.rstrip().endswith("1. needs a thing")
