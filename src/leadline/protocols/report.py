"""A page about what was judged: figures, and the best, the median and the worst images of every model."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from leadline.data.dataset import DataSet
from leadline.depth import LENGTHS
from leadline.io.atomic import write_json, write_text
from leadline.page import Page
from leadline.protocols.candidate import Candidate
from leadline.protocols.evaluation import Result
from leadline.protocols.protocol import Protocol
from leadline.view import SPARSE, colourise, contact_sheet, robust_range, thickened

#: Columns of tables, with their headings; the files have all of them.
COLUMNS = {
    "abs_rel": "AbsRel", "sq_rel": "SqRel", "rmse": "RMSE", "rmse_log": "RMSElog", "silog": "SILog", "log10": "log10",
    "delta1": "delta1", "delta2": "delta2", "delta3": "delta3", "boundary_f1": "boundaryF1",
    "pseudo_texture": "pseudoTex", "l1": "L1", "median_rel": "medianRel", "rmse_log10": "RMSElog10",
    "accuracy": "accuracy", "tae": "TAE", "tas": "TAS", "tae_depthcrafter": "TAE(dc)", "opw": "OPW", "tgm": "TGM",
    "cross_view": "cross-view", "cross_view_relative": "cross-rel", "overlap_abs_rel": "overlapRel",
    "unanswered": "unanswered", "images": "images", "pairs": "pairs",
}  # fmt: skip


def headings(results: Sequence[Result]) -> list[str]:
    """The columns that a table of these results has."""
    there = [name for name in COLUMNS if any(name in result.means for result in results)]
    answered = all(result.means.get("unanswered", 0) == 0 for result in results)
    return [name for name in there if name != "unanswered" or not answered]


def cells(means: Mapping[str, float], columns: Sequence[str]) -> list[str]:
    """Figures as text, nothing where there is none."""
    return [
        "" if name not in means else f"{int(means[name])}" if name in ("images", "pairs") else f"{means[name]:.4f}"
        for name in columns
    ]


def table(rules: Protocol, results: Sequence[Result]) -> list[list[str]]:
    """Head and rows: the results, what they are apart, then what others published under these rules."""
    columns = headings(results)
    rows = [["model", "alignment", *(COLUMNS[name] for name in columns)]]
    for result in results:
        rows.append([result.model, result.protocol["alignment"], *cells(result.means, columns)])
        rows += [[f"  {name}", "", *cells(means, columns)] for name, means in result.groups.items()]
    rows += [[f"published: {each.model}", "", *cells(each.figures, columns)] for each in rules.published]
    return rows


def write_report(
    out: Path, rules: Protocol, results: Sequence[Result], candidates: Sequence[Candidate], data: DataSet, count: int
) -> Path:
    """Write ``result.json`` (everything), ``MODEL.csv`` (a line an image) and, with pictures, ``index.html``.

    Args:
        out: the folder.
        rules: they were judged by.
        results: of the candidates.
        candidates: in the same order; asked again for the images that are shown.
        data: that was judged.
        count: how many images of each end, and of the middle, are shown; 0 writes no page.

    Returns:
        The page, or ``result.json`` where there is none.

    Raises:
        InputError: a file cannot be written.
    """
    write_json(out / "result.json", [_plain(vars(result)) for result in results])
    for result in results:
        write_text(out / f"{_safe(result.model)}.csv", _csv(result.images))
        if result.pairs:
            write_text(out / f"{_safe(result.model)}-pairs.csv", _csv(result.pairs))
    if not count:
        return out / "result.json"
    made = results[0].protocol
    page = Page(out, f"{rules.name}: {', '.join(result.model for result in results)}", rules.about)
    head, *rows = table(rules, results)
    page.table(head, rows)
    if rules.published:
        page.text("Published by: " + "; ".join(f"{each.model}: {each.source}" for each in rules.published))
    page.heading("How the figures were made")
    settings = {key: value for key, value in made.items() if key not in ("name", "about", "versions")}
    settings["versions"] = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    page.table(["", ""], [[key, str(value)] for key, value in settings.items()])
    for result, candidate in zip(results, candidates, strict=True):
        page.heading(result.model)
        if "scale_median" in result.means:
            page.text(
                f"Fitted scale: median {result.means['scale_median']:.4g}, spread {result.means['scale_spread']:.3f} "
                "(standard deviation over median)."
            )
        unit = result.protocol["unit"]
        judged_by = replace(rules, unit=unit if unit in LENGTHS else None)
        for what, chosen in _chosen(result, count).items():
            sheet = _pictures(judged_by, candidate, data, chosen)
            page.picture(f"{_safe(result.model)}-{what}.png", sheet, _caption(what, chosen))
        if result.without_truth:
            page.text(f"Without truth in range, {len(result.without_truth)}: {', '.join(result.without_truth[:20])}")
        if result.failures:
            page.text(f"Could not be judged, {len(result.failures)}: {'; '.join(result.failures[:20])}")
    return page.write()


def _chosen(result: Result, count: int) -> dict[str, list[dict[str, Any]]]:
    """Rows of the worst, the median and the best images; none twice, none where images have no depth error."""
    rows = [row for row in result.images if "abs_rel" in row]
    rows.sort(key=lambda row: (math.isnan(row["abs_rel"]), row["abs_rel"]), reverse=True)
    if len(rows) <= count:
        return {"all": rows} if rows else {}
    middle = max(count, (len(rows) - count) // 2)
    parts = {"worst": rows[:count], "median": rows[middle : middle + count], "best": rows[middle + count :][-count:]}
    return {name: part for name, part in parts.items() if part}


def _caption(what: str, rows: Sequence[Mapping[str, Any]]) -> str:
    names = ", ".join(f"{row['name']} ({row['abs_rel']:.3f})" for row in rows)
    return f"{what.capitalize()} by AbsRel: {names}"


def _pictures(rules: Protocol, candidate: Candidate, data: DataSet, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """(H, W, 3) uint8, a row an image: image, truth, aligned answer, error."""
    sheet = []
    for row in rows:
        id = data.ids[row["index"]]
        view = rules.seen(data, id)
        truth = rules.truth_of(data, id, view.frame)
        answer, kind = rules.answer(candidate, id, view, truth)
        aligned = rules.aligned(answer, kind, row["scale"], row["shift"])
        low, high = robust_range(truth.values, truth.valid)
        values, valid = truth.values, truth.valid
        error = np.abs(aligned - values) / np.where(valid, values, 1)
        if valid.mean() < SPARSE:
            radius = max(1, truth.shape[1] // 400)
            (values, _), (error, valid) = thickened(values, valid, radius), thickened(error, valid, radius)
        sheet.append([
            (view.frame.image * 255).astype(np.uint8),
            colourise(values, valid, low, high, quantity="depth"),
            colourise(aligned, np.ones_like(valid), low, high, quantity="depth"),
            colourise(error, valid, 0, 0.5, colormap="magma"),
        ])  # fmt: skip
    return contact_sheet(sheet, ["image", "truth", "aligned prediction", "|error| / truth, 0..0.5"], height=200)


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _safe(name: str) -> str:
    """As a file name."""
    return "".join(character if character.isalnum() or character in "-_." else "_" for character in name)


def _plain(value: Any) -> Any:
    """JSON knows neither infinity nor NaN: they become text."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)
