"""A progress bar that writes few lines where nobody watches."""

from __future__ import annotations

import sys

from tqdm import tqdm


def progress_bar(total: int, what: str, unit: str = "video") -> tqdm:
    """Return a bar with the time left; into a file it writes a line every ten seconds."""
    live = sys.stderr.isatty()
    return tqdm(
        total=total,
        disable=not total,
        desc=what,
        unit=unit,
        mininterval=0.5 if live else 10.0,
        dynamic_ncols=live,
        ncols=None if live else 120,
    )
