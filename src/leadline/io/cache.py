"""What is kept between runs because it can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder: ``LEADLINE_CACHE``, by default ``~/.cache/leadline``."""
    return Path(os.environ.get("LEADLINE_CACHE") or Path.home() / ".cache" / "leadline")
