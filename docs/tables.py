"""Write the pages that list what the code knows: data.md, models.md and protocols.md.

python docs/tables.py
"""

from __future__ import annotations

import math
from pathlib import Path

from leadline.checkpoint import bundled, bundled_exports, caveat, read_card
from leadline.data.dataset import NONE, datasets
from leadline.foundation import load
from leadline.foundation.exported import ExportedModel
from leadline.io.atomic import write_text
from leadline.protocols import protocols
from leadline.protocols.protocol import Protocol

DATA = """# Data sets

What `leadline data check NAME PATH`, `leadline data show NAME PATH` and `leadline data pack NAME PATH` know, and what
protocols judge on. Written by `python docs/tables.py`; the docstrings of `src/leadline/data/NAME.py` have the quirks.
The first split and the first truth are used where none is named. A list of frames of your own, as the field writes them
for that data set, can be given as `--split FILE`. Terms are in short; read those of the data set.
"""

PROTOCOLS = """# Protocols

What `leadline evaluate --protocol NAME --data PATH` knows. Written by `python docs/tables.py`. Figures of two protocols
cannot be compared, nor those of one protocol on other frames: every result holds the rules, the number of frames and a
hash of their names.

In this order: the model sees the image, or the *view* of it, and answers at its size; truth inside the range (edges
left out) and inside the *judged* part counts; the answer is aligned to it, then clamped to the range; errors are those
of each image, and their mean is taken over images, or over the means of the cameras. A pixel without an answer counts
as the end of the range that 0 would be clamped to, and their share is a column; an image without truth is counted and
named.

| alignment | what is fitted | to |
|---|---|---|
| none | nothing | |
| median | ratio of medians | each image |
| median-video | ratio of medians | each video |
| mad-video | scale by the mean deviation from the median, shift by the median | each video |
| lsq-disparity, lsq-depth (and -video) | scale and shift by least squares, in disparity or depth | each image (video) |
| least-median | scale of the least median of squares | each image |
| mean-lsq | scale by least squares of the frames' mean depths | each video |
"""


MODELS = """# Models that come along

What `leadline predict --model NAME` finds without a download. Written by `python docs/tables.py` from the card inside
each; `leadline info NAME` prints it. Any other model is a file of yours, or a name on the Hugging Face hub.

What a card's figures mean: frames were kept apart from training, from places it never saw, and the error on them stands
beside two baselines that cost nothing, the mean of all training labels and the label of the nearest training frame.
"""

#: How the exported ones were written, which they do not say themselves.
EXPORTED = {
    "leadline-general-int8": "`leadline export --model leadline-general --to openvino --int8 --calibration FRAMES`, "
    "106 frames of the rendered rooms and streets it learned from"
}


def models_page() -> str:
    """Every bundled model: its card, and its limits."""
    parts = [MODELS]
    for name, file in sorted(bundled().items()):
        card = read_card(file)
        size = "x".join(map(str, card.input_size or ()))
        rows = [
            ("architecture", card.architecture),
            ("gives", f"{card.kind}" + (f", {card.unit}" if card.unit != "arbitrary" else "")),
            ("trained at", f"{size} (height x width)"),
            ("trained on", card.data),
            ("taught by", card.teacher.get("name", "true depth")),
            ("licence", card.licence),
            ("size", f"{file.stat().st_size / 1e6:.1f} MB"),
            *((key, f"{value:g}" if isinstance(value, float) else str(value)) for key, value in card.metrics.items()),
        ]
        parts.append(_model(name, rows))
    for name, file in sorted(bundled_exports().items()):
        model = load(name)
        assert isinstance(model, ExportedModel)
        rows = [
            ("architecture", model.card.architecture),
            ("gives", str(model.kind)),
            ("written by", EXPORTED[name]),
            ("layers in float", ", ".join(model.interface.floats)),
            ("licence", model.licence),
            ("size", f"{sum(one.stat().st_size for one in (file, file.with_suffix('.bin'))) / 1e6:.1f} MB"),
        ]
        parts.append(_model(name, rows))
    return "\n".join(parts)


def _model(name: str, rows: list[tuple[str, str]]) -> str:
    """The section of a model."""
    return f"\n## {name}\n\n{caveat(name)}\n\n{_table(('', ''), rows)}"


def data_page() -> str:
    """Every data set: source, terms, splits, truths, files."""
    parts = [DATA]
    for name, data in sorted(datasets().items()):
        parts.append(f"\n## {name}\n\n{data.source}. Terms: {data.licence}.\n")
        rows = [*data.splits.items(), *((split, f"list: {where}") for split, where in data.elsewhere.items()
                                        if split not in data.splits)]  # fmt: skip
        parts.append(_table(("split", "frames"), rows))
        truths = [(truth, what) for truth, what in data.truths.items() if truth != NONE]
        if truths:
            parts.append(_table(("truth", "depth"), truths))
        parts.append(_table(("files", "what"), [(f"`{glob}`", what) for glob, what in data.tree.items()]))
    return "\n".join(parts)


def protocols_page() -> str:
    """Every protocol, and figures others published for it."""
    rows = [
        (name, f"{rules.data}, {rules.split or 'all'}", rules.alignment or "by kind", _range(rules), rules.about)
        for name, rules in sorted(protocols().items())
    ]
    parts = [PROTOCOLS, _table(("protocol", "data, split", "alignment", "range", "rules"), rows)]
    parts.append("## Published figures\n\nThey stand beside one's own in the table of a result.\n")
    published = [
        (name, each.model, ", ".join(f"{key} {value:g}" for key, value in each.figures.items()), each.source)
        for name, rules in sorted(protocols().items())
        for each in rules.published
    ]
    parts.append(_table(("protocol", "model", "figures", "source"), published))
    return "\n".join(parts)


def _range(rules: Protocol) -> str:
    high = "" if math.isinf(rules.max_depth) else f"{rules.max_depth:g}"
    return f"{rules.min_depth:g}..{high} {rules.unit or ''}".strip()


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


PAGES = {"data.md": data_page, "models.md": models_page, "protocols.md": protocols_page}

if __name__ == "__main__":
    for file, page in PAGES.items():
        write_text(Path(__file__).parent / file, page())
