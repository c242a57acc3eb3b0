"""The errors leadline raises on purpose: one line that names the file or key and says what would be right."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable

#: Of a disk that takes no more, or no file as large; not every system has all.
FULL = {number for name in ("ENOSPC", "EDQUOT", "EFBIG") if (number := getattr(errno, name, None))}


class LeadlineError(Exception):
    """Base of every error a user can cause; commands print it as one line and exit with a non-zero code."""


class InputError(LeadlineError):
    """A file or folder is missing, unreadable, or does not hold what it should."""


class KindError(LeadlineError):
    """A depth map's kind, unit or camera does not allow what was asked of it."""


class ConfigError(LeadlineError):
    """An option, recipe key or name is unknown or has an impossible value."""


def suggest(word: str, choices: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the choice closest to ``word``, or ``""`` where none is close."""
    near = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def disk_full(error: BaseException) -> str | None:
    """The system's words for it where an error means that a disk takes no more, or no file as large; else None.

    Libraries that are not Python's say it in their own words.

    Example:
        >>> disk_full(OSError(errno.ENOSPC, "")), disk_full(OSError(errno.EACCES, ""))
        ('No space left on device', None)
    """
    said = re.search(r"\(os error (\d+)\)", str(error))
    number = int(said[1]) if said else getattr(error, "errno", None)
    return os.strerror(number) if isinstance(number, int) and number in FULL else None
