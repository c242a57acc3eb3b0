from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", ["data.md", "protocols.md"])
def test_the_pages_list_what_the_code_knows(page):
    pages = runpy.run_path(str(DOCS / "tables.py"))["PAGES"]
    assert (DOCS / page).read_text() == pages[page](), "run: python docs/tables.py"
