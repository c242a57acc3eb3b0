"""Every table of the book: what was logged is printed again and drawn; what was not is said, or run.

    python benchmarks/all.py                      # each logged table, each plot, and what has no log yet
    python benchmarks/all.py --run [WORD ...]     # run what has no log, or the commands that hold a word; keep the logs
    python benchmarks/all.py --check              # figures of the book that no log holds; of docs/benchmarks.md, which
                                                  # the log of their section does not hold

The commands are those that head the sections of ``docs/benchmarks.md``; further options that head a part of a section
are the same command with them. A log, ``benchmarks/results/logs/NAME.txt``, is what the command printed, below a line
with the command, the day and the machine. Ablations keep a result file a run beside it (``benchmarks/results``), so
that printing their tables again takes seconds; from those files the plots of ``docs/plots`` are drawn: a point a seed,
the ratio to the base of the same seed.
"""

from __future__ import annotations

import argparse
import functools
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from matplotlib.figure import Figure

from leadline.io.atomic import write_text, writing
from leadline.io.reading import read_json

ROOT = Path(__file__).parents[1]
BOOK, RESULTS, PLOTS = ROOT / "docs/benchmarks.md", ROOT / "benchmarks/results", ROOT / "docs/plots"
#: Pages whose figures come from elsewhere: papers, and the cards of the bundled models (docs/tables.py).
QUOTING = ("protocols.md", "models.md")
HEADING = re.compile(r"^## .*`python benchmarks/([^`]+)`", re.MULTILINE)
TABLE = re.compile(r"^\|[-|: ]+\|\n((?:\|.*\n)+)", re.MULTILINE)  # below its head
PART = re.compile(r"^### .*", re.MULTILINE)
OPTIONS = re.compile(r"`(--[^`]+)`")
CODE = re.compile(r"^```.*?^```|`[^`]*`", re.MULTILINE | re.DOTALL)
RESULT = re.compile(r"(?<![\w.])\d+\.\d{3}\b")
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
#: Of every folder of results the row that the others are compared with, and the figure.
COMPARED = {
    "litenet/quick/leadline-tract": ("../tract/base", "abs_rel"),
    "litenet/quick/sensor": ("../room/base", "abs_rel"),
    "intrinsic/quick/room/litenet": ("base", "reflective"),
    "intrinsic/quick/room/monodepth2-resnet18": ("base", "reflective"),
    "surround/quick/rig": ("plain", "abs_rel"),
    "unified/quick/leadline-tract": ("LiteNet", "abs_rel"),
    "unified/quick/sensor": ("LiteNet", "abs_rel"),
}


@dataclass(frozen=True)
class Command:
    """What prints figures of the book, as it follows ``python benchmarks/``."""

    call: str

    @property
    def log(self) -> Path:
        words = [word.strip("-.").replace("/", "-") for word in shlex.split(self.call.replace(".py", ""))]
        return RESULTS / "logs" / f"{'-'.join(words)}.txt"

    def run(self) -> None:
        """Run it from the root of the project, and keep what it prints.

        Raises:
            SystemExit: it fails.
        """
        script, *arguments = shlex.split(self.call)
        call = [sys.executable, str(Path(__file__).parent / script), *arguments]
        done = subprocess.run(call, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{self.call}: ended with {done.returncode}")
        head = f"python benchmarks/{self.call}  # {date.today()}, {platform.machine()}, {os.cpu_count()} cores"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.log, f"{head}\n{done.stdout}")


@dataclass(frozen=True)
class Section:
    """A section of the book, and the commands that print its figures."""

    commands: list[Command]
    text: str

    def unlogged(self) -> list[str]:
        """Figures of its tables, and those of three decimals of its text, that are in none of the logs, rounded as they
        stand there; none are looked for while a log is missing."""
        if not all(command.log.is_file() for command in self.commands):
            return []
        known = _numbers([command.log for command in self.commands])
        rows = [row for table in TABLE.findall(self.text) for row in table.splitlines()]
        cells = (cell for row in rows for cell in row.strip("| ").split("|")[1:])
        found = [number for cell in cells for number in NUMBER.findall(cell)]
        found += RESULT.findall(TABLE.sub("", self.text))
        return [number for number in found if not _printed(number, known)]


def unlogged(page: str) -> list[str]:
    """Figures of three decimals of a page's text that are in no log at all."""
    return [number for number in RESULT.findall(CODE.sub("", page)) if not _printed(number, _all_numbers())]


@functools.cache
def _all_numbers() -> list[float]:
    return _numbers(sorted((RESULTS / "logs").glob("*.txt")))


def _numbers(logs: Sequence[Path]) -> list[float]:
    return [float(number.replace(",", "")) for log in logs for number in NUMBER.findall(log.read_text())]


def _printed(number: str, known: Sequence[float]) -> bool:
    """Whether a number is one of those known, or one of them rounded."""
    number = number.replace(",", "")
    digits = len(number.partition(".")[2])
    return any(abs(other - float(number)) <= 0.5000001 * 10**-digits for other in known)


def sections(book: str) -> Iterator[Section]:
    """Those of the book that a command heads, in its order."""
    for heading in HEADING.finditer(book):
        end = book.find("\n## ", heading.end())
        text = book[heading.end() : end if end > 0 else None]
        parts = [options for part in PART.findall(text) for options in OPTIONS.findall(part)]
        yield Section([Command(" ".join([heading[1], *more])) for more in [[], *([part] for part in parts)]], text)


def draw(folder: str) -> Path | None:
    """Points of the seeds of every row of a folder of results; nothing where there are none."""
    base, figure = COMPARED[folder]
    rows: dict[str, dict[int, float]] = {}
    for file in sorted((RESULTS / folder).glob("*-seed*.json")):
        name, _, seed = file.stem.rpartition("-seed")
        rows.setdefault(name.replace("-", " "), {})[int(seed)] = read_json(file)[figure]
    if not rows:
        return None
    beside = RESULTS / folder / base
    bases = {
        int(f.stem.rpartition("seed")[2]): read_json(f)[figure] for f in beside.parent.glob(f"{beside.name}-seed*.json")
    }
    picture = Figure(figsize=(7, 0.6 + 0.32 * len(rows)), layout="constrained")
    axes = picture.subplots()
    for place, values in enumerate(rows.values()):
        ratios = [value / bases[seed] for seed, value in values.items() if seed in bases]
        axes.plot(ratios, [place] * len(ratios), "o", color="tab:blue", alpha=0.7)
        axes.plot([sum(ratios) / len(ratios)], [place], "|", color="black", markersize=14)
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set_xlabel(f"{figure} / {base.rpartition('/')[2]} of the same seed; below 1 is better")
    out = PLOTS / f"{folder.replace('/quick', '').replace('/', '-')}.png"
    out.parent.mkdir(parents=True, exist_ok=True)
    with writing(out) as temporary:
        picture.savefig(temporary, dpi=110, format="png", metadata={"Software": None})
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", nargs="*", metavar="WORD", help="run commands and keep their logs")
    parser.add_argument("--check", action="store_true", help="name figures that no log holds; fail if there are any")
    options = parser.parse_args()
    every = list(sections(BOOK.read_text()))
    commands = [command for section in every for command in section.commands]
    if options.run is not None:
        for command in commands:
            chosen = any(word in command.call for word in options.run) if options.run else not command.log.is_file()
            if chosen:
                print(f"running {command.call}", flush=True)
                command.run()
    if options.check:
        wrong = {section.commands[0].call: found for section in every if (found := section.unlogged())}
        pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
        for page in pages:
            if page != BOOK and page.name not in QUOTING and (found := unlogged(page.read_text())):
                wrong[str(page.relative_to(ROOT))] = found
        for place, numbers in wrong.items():
            print(f"{place}: not printed: {', '.join(numbers)}")
        raise SystemExit(bool(wrong))
    for command in commands:
        if command.log.is_file():
            print(f"\n{command.log.read_text()}")
    for folder in COMPARED:
        if out := draw(folder):
            print(f"drawn: {out.relative_to(ROOT)}")
    if missing := [command.call for command in commands if not command.log.is_file()]:
        print("no log yet:", *missing, sep="\n  ")


if __name__ == "__main__":
    main()
