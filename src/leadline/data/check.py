"""Whether a data set lies on disk as its loader expects: what is missing, what is there besides."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from leadline.data.dataset import NONE, DataSet, dataset_class
from leadline.data.images import walk
from leadline.errors import InputError


@dataclass
class Report:
    """What was found.

    Args:
        data: name of the data set.
        root: its folder.
        splits: frames of each split that can be listed.
        problems: of each split that cannot be listed or read, or has fewer frames than a complete download, in a line.
        missing: files that should be there, each with the number of frames it is missed by.
        surprising: files that fit nothing the layout knows.
        checked: files that were looked for.
    """

    data: type[DataSet]
    root: Path
    splits: dict[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    missing: dict[Path, int] = field(default_factory=dict)
    surprising: list[Path] = field(default_factory=list)
    checked: int = 0

    @property
    def usable(self) -> bool:
        """Whether any split is there, and those that are have all their frames and files."""
        return bool(self.splits) and not self.missing and not set(self.splits) & set(self.problems)


def check(name: str, root: Path, split: str | None = None, truth: str | None = None) -> Report:
    """Look for every file of every frame of the splits, and read one frame of each.

    Args:
        name: of the data set.
        root: its folder.
        split: look at this one only.
        truth: with the depth of this kind; by default the data set's first.

    Raises:
        ConfigError: there is no such data set, split or truth.
        InputError: there is no such folder.
    """
    kind = dataset_class(name)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    report = Report(kind, root)
    seen: dict[Path, bool] = {}
    for each in [split] if split else kind.splits:
        try:
            data = kind(root, split=each, truth=truth)
        except InputError as error:
            report.problems[each] = str(error)
            continue
        report.splits[each] = len(data)
        if data.incomplete:
            report.problems[each] = f"incomplete: {data.incomplete}"
        whole = None
        for id in data.ids:
            lacking = 0
            for file in data.files(id):
                if file not in seen:
                    seen[file] = file.is_file()
                if not seen[file]:
                    report.missing[file] = report.missing.get(file, 0) + 1
                    lacking += 1
            whole = id if whole is None and not lacking else whole
        if whole is not None:
            try:
                frame = data.load(whole)
                if frame.depth is not None and not frame.depth.valid.any():
                    report.problems[each] = f"{data.image(whole)}: none of its depth is valid"
            except InputError as error:
                report.problems[each] = str(error)
    report.checked = len(seen)
    known = [re.compile(_regex(pattern)) for pattern in (*kind.tree, "splits/*.txt")]
    for folder, names in walk(root):
        for path in (folder / name for name in names):
            relative = path.relative_to(root).as_posix()
            if path not in seen and not any(pattern.fullmatch(relative) for pattern in known):
                report.surprising.append(path)
    return report


def lines(report: Report, most: int = 20) -> list[str]:
    """The report, to be printed: the layout expected, what each split finds, then what is wrong, ``most`` of a kind."""
    kind = report.data
    text = [f"{kind.name}: {kind.source}; {kind.licence}", f"expected below {report.root}:"]
    width = max(len(pattern) for pattern in kind.tree)
    text += [f"  {pattern:<{width}}  {what}" for pattern, what in kind.tree.items()]
    text.append("depth: " + "; ".join(f"{truth}: {what}" for truth, what in kind.truths.items() if truth != NONE))
    text.append("splits:")
    for split in dict.fromkeys([*kind.splits, *report.splits, *report.problems]):
        if split in report.splits or split in report.problems:
            count = f"{report.splits[split]} frames" if split in report.splits else "not there"
            text.append(f"  {split}: {count}; {kind.splits.get(split, 'a list of frames')}")
            if split in report.problems:
                text.append(f"    {report.problems[split]}")
    text += _some(f"missing files ({report.checked} looked for)", [
        f"{path}" + (f" (needed by {count} frames)" if count > 1 else "") for path, count in report.missing.items()
    ], most)  # fmt: skip
    text += _some("surprising files", [str(path) for path in report.surprising], most)
    if report.usable:
        text.append(f"all {report.checked} files of {', '.join(report.splits)} are there")
    return text


def _some(what: str, found: list[str], most: int) -> list[str]:
    if not found:
        return []
    rest = [f"  ... and {len(found) - most} more"] if len(found) > most else []
    return [f"{what}: {len(found)}", *(f"  {line}" for line in found[:most]), *rest]


def _regex(pattern: str) -> str:
    """Of a glob in which ``**/`` is any number of folders, none included."""
    signs = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]*\])", pattern)
    return "".join(signs.get(part) or (part if part.startswith("[") else re.escape(part)) for part in parts)
