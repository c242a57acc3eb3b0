"""What a model's weights may be used for, and what that means for a student distilled from them.

A student learned what its teacher knows, so leadline passes a teacher's terms on and says so in the student's
card. This is a reading of what model pages state, not legal advice.
"""

from __future__ import annotations

import re
from pathlib import Path

UNKNOWN = "unknown"

#: Hub models whose pages state a licence, by pattern of the full name, the first match counts.
KNOWN = (
    (r"depth-anything/Depth-Anything-V2-(Metric-\w+-)?Small(-hf)?", "apache-2.0"),
    (r"depth-anything/Depth-Anything-V2-(Metric-\w+-)?(Base|Large)(-hf)?", "cc-by-nc-4.0"),
    (r"LiheYoung/depth-anything-(small|base|large)-hf", "apache-2.0"),
    (r"Intel/dpt-(large|hybrid-midas)", "apache-2.0"),
    (r"Intel/dpt-(beit|swinv2)-.+", "mit"),
    (r"Intel/zoedepth-.+", "mit"),
    (r"apple/DepthPro(-hf)?", "apple-amlr"),
    (r"vinvino02/glpn-(nyu|kitti)", "apache-2.0"),
    (r"facebook/dinov2-.+", "apache-2.0"),
    (r"facebook/dinov3-.+", "dinov3-license"),
    (r"facebook/sam-vit-.+", "apache-2.0"),
    (r"microsoft/swin-.+", "apache-2.0"),
)

COMMERCIAL = {
    "apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "isc", "cc0-1.0", "cc-by-3.0", "cc-by-4.0",
    "cc-by-sa-3.0", "cc-by-sa-4.0", "unlicense", "zlib", "mpl-2.0", "lgpl-3.0", "gpl-2.0", "gpl-3.0",
    "agpl-3.0",
}  # fmt: skip
#: Words that restrict to research or non-commercial use, in names (cc-by-nc-4.0) and in sentences.
RESTRICTING = re.compile(r"(^|[^a-z])(nc|amlr|non-?commercial|research)([^a-z]|$)")
#: Sentences that name a licence: those of :func:`student_licence`, and of what is needed beside the weights.
NAMING = re.compile(r"(?:distilled from a teacher under|needs .+?, whose licence is) (.+?)(?:: |$)")


def licence_of(folder: Path | None, name: str) -> str:
    """The licence of a model: what its README's front matter says, else what is known of its name, else
    ``unknown``.

    Args:
        folder: where its files are, if anywhere.
        name: on the hub.
    """
    stated = _front_matter(folder / "README.md") if folder is not None else None
    if stated:
        return stated
    for pattern, licence in KNOWN:
        if re.fullmatch(pattern, name, re.IGNORECASE):
            return licence
    return UNKNOWN


def permits_commercial(licence: str) -> bool | None:
    """Whether the licence (or sentence of :func:`student_licence`, or several of either as :func:`joined` writes them)
    permits commercial use; None where not known.

    Example:
        >>> permits_commercial("MIT"), permits_commercial("mit; cc-by-nc-4.0"), permits_commercial("unknown")
        (True, False, None)
    """
    parts = licence.strip().lower().split("; ")
    if len(parts) > 1:
        each = [permits_commercial(part) for part in parts]
        return False if False in each else None if None in each else True
    if named := NAMING.match(parts[0]):
        return permits_commercial(named[1])
    if parts[0] in COMMERCIAL:
        return True
    return False if RESTRICTING.search(parts[0]) else None


def joined(*terms: str) -> str:
    """All of these terms, each once.

    Example:
        >>> joined("mit", "cc-by-4.0; mit")
        'mit; cc-by-4.0'
    """
    return "; ".join(dict.fromkeys(part for each in terms for part in each.split("; ")))


def is_restricted(licence: str) -> bool:
    """Whether to treat the licence as restricted: unless it is known to permit commercial use, it is."""
    return permits_commercial(licence) is not True


def student_licence(teacher: str) -> str:
    """What the card of a student distilled from a teacher under that licence says; of several, or of a sentence, of
    each licence that is named.

    Example:
        >>> student_licence("cc-by-nc-4.0")
        'distilled from a teacher under cc-by-nc-4.0: non-commercial use only'
    """
    named = ((part, NAMING.match(part)) for part in teacher.split("; "))
    return joined(*(_taught(match[1] if match else part) for part, match in named))


def _taught(licence: str) -> str:
    permitted = permits_commercial(licence)
    if permitted is None:
        terms = "its terms are not known, so treat as restricted to non-commercial use"
        if licence.strip() in ("", UNKNOWN):
            return f"distilled from a teacher under unknown terms: {terms}"
    else:
        terms = "commercial use permitted under its conditions" if permitted else "non-commercial use only"
    return f"distilled from a teacher under {licence}: {terms}"


def _front_matter(readme: Path) -> str | None:
    """The ``license`` of a hub README (``license_name`` where that says ``other``)."""
    import yaml

    try:
        text = readme.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    block = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    if not block:
        return None
    try:
        entries = yaml.safe_load(block[1])
    except yaml.YAMLError:
        return None
    if not isinstance(entries, dict):
        return None
    licence = entries.get("license")
    if licence == "other":
        licence = entries.get("license_name") or "other"
    return str(licence).lower() if licence else None
