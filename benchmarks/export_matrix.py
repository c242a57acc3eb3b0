"""Which model can be exported in which form: everything is written, loaded again and compared with torch.

    python benchmarks/export_matrix.py [--only swift litenet] [--again] [--write]

Every network, with weights that let every part show in the answer, is written for any size, for one size, and with
resizing and normalising inside (raw), in every form. A cell is ``ok`` and the largest difference to torch, as a part of
the output's range, over the bundled frames in several sizes and batches; or the number of the reason below the table.
Cells are kept in ``benchmarks/results/export_matrix.json`` and not made again unless ``--again`` says so; ``--write``
puts the table into ``docs/export.md``.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import warnings
from pathlib import Path

import torch

from leadline.checkpoint import Card
from leadline.errors import LeadlineError
from leadline.export.parity import bundled_frames, shown
from leadline.export.targets import TARGETS
from leadline.export.writing import write
from leadline.foundation.leadline_model import LeadlineModel
from leadline.io.atomic import write_json, write_text
from leadline.networks import create
from leadline.networks.student import Student

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "export_matrix.json"
PAGE = ROOT / "docs" / "export.md"
MARKS = ("<!-- made by benchmarks/export_matrix.py -->\n", "<!-- end -->\n")

SIZE = (128, 160)
#: Name in the table, architecture, options, (height, width).
MODELS: dict[str, tuple[str, dict[str, object], tuple[int, int]]] = {
    "litenet-tiny": ("litenet-tiny", {}, SIZE),
    "litenet": ("litenet", {}, SIZE),
    "swift": ("swift", {}, SIZE),
    "swift-video": ("swift-video", {}, SIZE),
    "swift-bins": ("swift-bins", {}, SIZE),
    "swift-bins, neighbours": ("swift-bins", {"neighbours": True}, SIZE),
    "vda-tiny": ("vda-tiny", {}, (56, 84)),
}
#: Whether for one size, and raw.
VARIANTS: dict[str, tuple[bool, bool]] = {
    "any size": (False, False),
    "one size": (True, False),
    "raw, any size": (False, True),
    "raw, one size": (True, True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS), help="models")
    parser.add_argument("--to", nargs="+", choices=TARGETS, default=list(TARGETS), help="forms")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--again", action="store_true", help="make cells that are there already, too")
    parser.add_argument("--write", action="store_true", help="put the table into docs/export.md")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    cells: dict[str, str] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in options.only:
        for variant in options.variants:
            for target in options.to:
                key = f"{name} | {variant} | {target}"
                if key not in cells or options.again:
                    cells[key] = tried(name, variant, target)
                    print(f"{key}: {cells[key]}", flush=True)
                    write_json(RESULTS, cells)
    text = table(cells)
    print(text)
    if options.write:
        write_text(PAGE, placed(PAGE.read_text(), text))


def made(name: str) -> LeadlineModel:
    """A model with weights under which every part shows in the answer."""
    architecture, settings, size = MODELS[name]
    torch.manual_seed(0)
    network = create(architecture, **settings)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(0, 0.1)
        for head in network.heads():
            head.weight.normal_(0, 0.5)
        norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
        if norms:  # without statistics of their own, random features fade and what is said is all but constant
            for norm in norms:
                norm.momentum = 1.0
            network.train()(shown(bundled_frames(), size))
    focal = 80.0 if architecture == "swift-bins" else None
    card = Card(architecture, "metric-depth", "m", size, (0.5, 200.0), settings, licence="apache-2.0", focal=focal)
    return LeadlineModel(Student(network, card.kind, card.unit, card.depth_range), card, architecture)


def tried(name: str, variant: str, target: str) -> str:
    """A cell: ``ok`` and the difference, or why not."""
    fixed, raw = VARIANTS[variant]
    model = made(name)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"model{TARGETS[target].suffix}"
        try:
            difference = write(TARGETS[target], model, out, MODELS[name][2] if fixed else None, raw)
        except LeadlineError as error:
            # without the names of temporary files, and of this model
            return re.sub(rf"{re.escape(folder)}\S*: ", "", str(error)).replace(f"{model.name}: ", "")
    return f"ok {difference:.0e}"


def table(cells: dict[str, str]) -> str:
    """The table, with numbers for reasons, and the reasons below it."""
    lines = [f"| model | | {' | '.join(TARGETS)} |", f"|---|---|{'---|' * len(TARGETS)}"]
    reasons: list[str] = []

    def shown(cell: str) -> str:
        if cell.startswith("ok ") or cell == "not run":
            return cell
        if cell not in reasons:
            reasons.append(cell)
        return f"no ({reasons.index(cell) + 1})"

    for name in MODELS:
        for variant in VARIANTS:
            row = [shown(cells.get(f"{name} | {variant} | {target}", "not run")) for target in TARGETS]
            lines.append(f"| {name} | {variant} | {' | '.join(row)} |")
    return "\n".join([*lines, "", *(f"{number}. {reason}" for number, reason in enumerate(reasons, 1)), ""])


def placed(page: str, text: str) -> str:
    """The page with the table between its marks."""
    first, last = map(re.escape, MARKS)
    found = re.compile(f"(?<={first}).*(?={last})", re.DOTALL)
    if not found.search(page):
        raise SystemExit(f"{PAGE} has no place for the table: the lines {' and '.join(map(str.strip, MARKS))}")
    return found.sub(lambda _: text, page)


if __name__ == "__main__":
    main()
