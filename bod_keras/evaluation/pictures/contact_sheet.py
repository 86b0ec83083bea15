"""Queries and their nearest neighbors, one picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from bod_keras.errors import UserError
from bod_keras.evaluation.pictures.plots import new_figure, save_figure, shortened

_RIGHT, _WRONG = "#009E73", "#D55E00"  # green and red that color-blind readers can tell apart
_LONGEST_CAPTION = 24


def contact_sheet(
    frames: Sequence[Sequence[np.ndarray]],
    captions: Sequence[Sequence[str]],
    right: Sequence[Sequence[bool]],
    png: str | os.PathLike,
) -> None:
    """Draw queries and their neighbors, one query a row: right ones green, wrong ones red.

    A tick or a cross before the caption says the same to whoever sees no colors.

    Args:
        frames: for each query 1 + k pictures (H, W, 3), RGB, uint8 or floats in [0, 1]: the
            query's, then its neighbors', the nearest first.
        captions: for each query 1 + k texts, shown below the pictures; each of their lines is shortened.
        right: for each query k truth values, whether the neighbor shares the query's class.
        png: the picture to write; missing folders are made.

    Raises:
        ValueError: if there is no query, or the three do not fit each other.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation import contact_sheet
        >>> import pathlib, tempfile
        >>> png = pathlib.Path(tempfile.mkdtemp()) / "neighbors.png"
        >>> gray = np.full((8, 8, 3), 128, np.uint8)
        >>> contact_sheet([[gray, gray]], [["run", "jump"]], [[False]], png)
    """
    figure, _ = draw_sheet(frames, captions, right)
    save_figure(figure, png)


def draw_sheet(frames: Sequence, captions: Sequence, right: Sequence) -> tuple[Any, Any]:
    """Return the figure of a `contact_sheet`, and its axes (queries, 1 + k)."""
    sizes = [(len(f), len(c), len(r) + 1) for f, c, r in zip(frames, captions, right)]
    counts = {len(frames), len(captions), len(right)}
    if not sizes or len(counts) > 1 or len({n for row in sizes for n in row}) > 1:
        raise UserError(
            "frames and captions must hold 1 + k entries for each query, right k. Received: "
            f"{len(frames)}, {len(captions)} and {len(right)} queries with {sizes[:3]} entries "
            "(right counted with the query)."
        )
    down, across = len(frames), len(frames[0])
    height, width = np.shape(frames[0][0])[:2]
    lines = 1 + max(caption.count("\n") for row in captions for caption in row)
    figure = new_figure(
        0.3 + 1.45 * across, 0.4 + (1.4 * height / width + 0.15 + 0.15 * lines) * down
    )
    axes = figure.subplots(down, across, squeeze=False)
    for row in range(down):
        for column in range(across):
            axis = axes[row][column]
            axis.imshow(frames[row][column])
            axis.set_xticks([])
            axis.set_yticks([])
            good = column and right[row][column - 1]
            mark = "" if column == 0 else "✓ " if good else "✗ "
            text = [shortened(line, _LONGEST_CAPTION) for line in captions[row][column].split("\n")]
            axis.set_xlabel(mark + "\n".join(text), fontsize=7, parse_math=False)
            axis.spines[:].set(
                color="black" if column == 0 else _RIGHT if good else _WRONG,
                linewidth=1.0 if column == 0 else 3.0,
            )
    axes[0][0].set_title("query", fontsize=9)
    for column in range(1, across):
        axes[0][column].set_title(f"neighbor {column}", fontsize=9)
    return figure, axes
