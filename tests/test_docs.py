from __future__ import annotations

import ast
import dataclasses
import importlib
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadline import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", ["data.md", "models.md", "protocols.md"])
def test_the_pages_list_what_the_code_knows(page):
    pages = runpy.run_path(str(DOCS / "tables.py"))["PAGES"]
    assert (DOCS / page).read_text() == pages[page](), "run: python docs/tables.py"


def test_the_book_is_written_and_its_links_lead_somewhere(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    written = "".join(page.read_text() for page in (tmp_path / "site").rglob("*.html"))
    assert re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"?(?:https?:)?//[^\" >]+", written) == []


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert len(links) > 10
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def blocks(page: Path, language: str) -> Iterator[str]:
    """What stands between fences of this language."""
    parts = re.split(r"^```(.*)\n", page.read_text(), flags=re.MULTILINE)  # text, opened, code, closed, text, ...
    for opened, code in zip(parts[1::4], parts[2::4], strict=True):
        if opened == language:
            yield code


def commands(page: Path) -> list[str]:
    """Lines of unmarked code that call leadline, those that go on after a backslash as one, without comments."""
    lines = "\n".join(blocks(page, "")).replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+#.*", "", line.strip()) for line in lines if line.strip().startswith("leadline ")]


class Understood(Exception):
    """A command got as far as its options being right."""


LINES = [(page.relative_to(ROOT), line) for page in PAGES for line in commands(page)]


@pytest.mark.parametrize(("page", "line"), LINES, ids=[f"{page}: {line[:60]}" for page, line in LINES])
def test_commands_of_the_docs_are_understood(page, line, monkeypatch):
    command, *rest = shlex.split(line)[1:]
    module = importlib.import_module(f"leadline.cli.{command}")
    parse = module.parse

    def only_parsed(parser, arguments):
        parse(parser, arguments)
        raise Understood

    monkeypatch.setattr(module, "parse", only_parsed)
    with pytest.raises(Understood):
        cli.main([command, *rest])


def test_there_are_commands_in_the_docs():
    assert {shlex.split(line)[1] for _, line in LINES} == set(cli.COMMANDS) - {"demo"}


def test_tables_of_the_book_hold_what_its_scripts_printed():
    command = [sys.executable, str(ROOT / "benchmarks/all.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_a_figure_that_no_script_printed_is_named():
    book = (DOCS / "benchmarks.md").read_text()
    sections = runpy.run_path(str(ROOT / "benchmarks/all.py"))["sections"]
    logged = [section for section in sections(book) if all(command.log.is_file() for command in section.commands)]
    assert len(logged) > 5
    for section in logged:
        right = re.search(r"\| (\d\.\d{3})\b", section.text)
        if right:
            changed = section.text.replace(right[1], "98.765", 1)
            again = {each.commands[0]: each for each in sections(book.replace(section.text, changed))}
            assert again[section.commands[0]].unlogged() == ["98.765"]
    told = dataclasses.replace(logged[0], text=f"{logged[0].text}\nIn the end it was 98.765, after 12 steps.\n")
    assert told.unlogged() == ["98.765"]


def test_so_is_one_of_another_page_but_not_in_code():
    unlogged = runpy.run_path(str(ROOT / "benchmarks/all.py"))["unlogged"]
    assert unlogged("It has `98.766` of them.\n\n```\n98.767\n```\n\nWe found 98.765, on two cores.\n") == ["98.765"]


SCRIPTS = sorted({name for page in PAGES for name in re.findall(r"(?:benchmarks|docs)/\w+\.py", page.read_text())})


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_that_the_docs_name_are_there(script):
    assert (ROOT / script).is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_of_the_docs_imports_what_there_is(page):
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Import):
                for each in node.names:
                    importlib.import_module(each.name)
            elif isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                for each in node.names:
                    assert hasattr(module, each.name) or importlib.import_module(f"{node.module}.{each.name}")
