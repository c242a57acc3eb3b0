"""From what a user typed after a command to the pictures and videos that are meant."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from leadline.errors import InputError, suggest
from leadline.io.images import IMAGE_SUFFIXES

VIDEO_SUFFIXES = frozenset((
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts",
    ".webm", ".wmv",
))  # fmt: skip
"""Suffixes (lower case, with the dot) of files that are taken for videos."""

URL_SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "srt")

TRUTH_WORDS = frozenset(("depth", "disp", "disparity", "mask", "normal", "normals"))
"""Words in a file name that mark depth maps and masks lying beside the pictures they belong to."""


@dataclass(frozen=True)
class ImageInput:
    """One picture.

    Attributes:
        path: the file.
        name: name without suffix for outputs; different for every input of one `find_inputs` call.
    """

    path: Path
    name: str


@dataclass(frozen=True)
class VideoInput:
    """One video file, webcam or network stream.

    Attributes:
        source: a file, the number of a webcam, or a URL; what `leadline.io.video.VideoReader` takes.
        name: name without suffix for outputs; different for every input of one `find_inputs` call.
    """

    source: Path | int | str
    name: str


Input = ImageInput | VideoInput


def find_inputs(specs: Sequence[str | os.PathLike[str]]) -> list[Input]:
    """Resolve what a user named to pictures and videos, in the order named and without repeats.

    Each item of ``specs`` is one of:

    - a picture or a video file;
    - a folder: the pictures and videos directly in it (not in its subfolders), sorted as people count (``9``
      before ``10``). Hidden files are left out, and so are pictures with ``depth``, ``disp``, ``disparity``,
      ``mask`` or ``normal`` as a word of their name (``frame-000000.depth.png``): data sets keep them beside
      the colour pictures;
    - a pattern with ``*``, ``?`` or ``[]``, where ``**`` means any subfolders: every picture and video it
      matches;
    - a ``.txt`` file that lists pictures and videos one a line, relative to its own folder; lines that are
      empty or begin with ``#`` are skipped;
    - the number of a webcam, such as ``0`` (a file or folder of that name comes first);
    - a URL of a network stream.

    Raises:
        InputError: an item names nothing, or nothing that is a picture or a video.
    """
    found: list[Input] = []
    for spec in specs:
        found += _resolve(os.fspath(spec))
    unique: dict[str, Input] = {}
    for item in found:
        unique.setdefault(_identity(item), item)
    if not unique:
        raise InputError("no input given: name a picture, a video, a folder, a pattern, a webcam or a URL")
    return _name_apart(list(unique.values()))


def natural_key(text: str | os.PathLike[str]) -> tuple[list[str | int], str]:
    """Sort key under which numbers inside names count as numbers: ``f9 < f10``, ties settled by the plain
    text."""
    plain = os.fspath(text)
    parts = re.split(r"([0-9]+)", plain.lower())
    # Odd places hold the digits, so that two keys always compare like with like.
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], plain


def _resolve(spec: str) -> list[Input]:
    path = Path(spec).expanduser()
    if path.is_dir():
        return _from_folder(path)
    if path.is_file():
        return _from_list(path) if path.suffix.lower() == ".txt" else [_from_file(path)]
    if spec.isascii() and spec.isdigit():
        return [VideoInput(int(spec), f"webcam{int(spec)}")]
    if "://" in spec:
        return [_from_url(spec)]
    if any(character in spec for character in "*?["):
        return _from_pattern(spec)
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    raise InputError(f"{spec}: no such file or folder{suggest(path.name, siblings)}")


def _from_file(path: Path) -> Input:
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return ImageInput(path, path.stem)
    if suffix in VIDEO_SUFFIXES:
        return VideoInput(path, path.stem)
    raise InputError(
        f"{path}: '{suffix}' is not a suffix of a picture ({_listed(IMAGE_SUFFIXES)}), of a video "
        f"({_listed(VIDEO_SUFFIXES)}) or of a list (.txt)"
    )


def _from_folder(folder: Path) -> list[Input]:
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: natural_key(entry.name))
    except PermissionError:
        raise InputError(f"{folder}: no permission to read this folder") from None
    media = [entry for entry in entries if _is_media(entry) and not entry.name.startswith(".")]
    kept = [_from_file(entry) for entry in media if not _is_truth(entry)]
    if kept:
        return kept
    if media:
        raise InputError(
            f"{folder}: all {len(media)} pictures in it are named as depth maps or masks; to use them "
            f"all the same give a pattern such as '{folder}/*{media[0].suffix}'"
        )
    hint = f"; for its subfolders give '{folder}/**/*.png'" if any(entry.is_dir() for entry in entries) else ""
    raise InputError(f"{folder}: no picture or video in this folder{hint}")


def _from_pattern(pattern: str) -> list[Input]:
    matches = sorted(_glob(pattern), key=natural_key)
    kept = [_from_file(Path(match)) for match in matches if _is_media(Path(match))]
    if not kept:
        what = f"none of the {len(matches)} matches is a picture or a video" if matches else "nothing matches"
        raise InputError(f"{pattern}: {what}")
    return kept


def _glob(pattern: str) -> list[str]:
    # Path.glob takes no absolute pattern.
    return glob.glob(str(Path(pattern).expanduser()), recursive=True)  # noqa: PTH207


def _from_list(listing: Path) -> list[Input]:
    try:
        lines = listing.read_text(encoding="utf-8-sig").splitlines()
    except (UnicodeDecodeError, PermissionError):
        raise InputError(f"{listing}: not a readable list of paths (UTF-8 text, one path a line)") from None
    found: list[Input] = []
    for number, line in enumerate(lines, start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        path = listing.parent / Path(entry).expanduser()
        if not path.is_file():
            raise InputError(f"{listing}, line {number}: no such file: {path}")
        if not _is_media(path):
            raise InputError(f"{listing}, line {number}: neither a picture nor a video: {path}")
        found.append(_from_file(path))
    if not found:
        raise InputError(f"{listing}: this list names no files")
    return found


def _from_url(url: str) -> VideoInput:
    parts = urlsplit(url)
    if parts.scheme.lower() not in URL_SCHEMES:
        raise InputError(f"{url}: streams are read by {', '.join(URL_SCHEMES)}{suggest(parts.scheme, URL_SCHEMES)}")
    # Only host and path make the name: a URL may carry a password.
    words = re.findall(r"[A-Za-z0-9-]+", f"{parts.hostname or ''} {parts.path}")
    return VideoInput(url, "_".join(words) or "stream")


def _is_media(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES and path.is_file()


def _is_truth(path: Path) -> bool:
    words = re.split(r"[._\-\s]+", path.stem.lower())
    return path.suffix.lower() in IMAGE_SUFFIXES and not TRUTH_WORDS.isdisjoint(words)


def _identity(item: Input) -> str:
    place = item.path if isinstance(item, ImageInput) else item.source
    # Not resolve(): two links to one file are two inputs.
    return os.path.abspath(place) if isinstance(place, Path) else repr(place)  # noqa: PTH100


def _name_apart(items: list[Input]) -> list[Input]:
    """Give inputs that share a name longer ones: suffix first, then parent folders, at last a number."""
    names = [item.name for item in items]
    paths = [Path(_identity(item)) for item in items]

    def lengthen(candidates: Iterable[str]) -> None:
        shared = {name for name, count in Counter(names).items() if count > 1}
        names[:] = [new if old in shared else old for old, new in zip(names, candidates, strict=True)]

    if len({str(path.with_suffix("")) for path in paths}) < len(paths):
        same = Counter(path.with_suffix("") for path in paths)
        names = [
            f"{name}_{path.suffix[1:]}" if same[path.with_suffix("")] > 1 and path.suffix else name
            for name, path in zip(names, paths, strict=True)
        ]
    for level in range(max(len(path.parts) for path in paths) - 2):
        if len(set(names)) == len(names):
            break
        lengthen(
            f"{path.parts[-2 - level]}_{name}" if len(path.parts) > level + 2 else name
            for name, path in zip(names, paths, strict=True)
        )
    taken: set[str] = set()
    for place, name in enumerate(names):
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name}-{number}", number + 1
        taken.add(unique)
        names[place] = unique
    return [replace(item, name=name) for item, name in zip(items, names, strict=True)]


def _listed(suffixes: Iterable[str]) -> str:
    return " ".join(sorted(suffixes))
