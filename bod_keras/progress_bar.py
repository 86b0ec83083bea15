"""A bar with the time left, for commands."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(total: int, what: str | None = None, unit: str = "video", **options: Any) -> tqdm:
    """Return a bar with the time left; into a file it writes a line every ten seconds."""
    live = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=what,
        unit=unit,
        mininterval=0.5 if live else 10.0,
        dynamic_ncols=live,
        ncols=None if live else 120,
        **{"disable": not total, **options},
    )
