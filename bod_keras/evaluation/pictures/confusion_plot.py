"""A confusion matrix as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bod_keras.errors import UserError
from bod_keras.evaluation.pictures.plots import new_figure, save_figure, shortened

_NUMBERS_UP_TO = 25  # classes; in more of them the cells are too small for a number
_NAMES_UP_TO = 120  # classes; beyond, names would be smaller than print
_LONGEST_NAME = 32


def plot_confusion(
    confusion: ArrayLike, class_names: Sequence[str], png: str | os.PathLike
) -> None:
    """Draw a confusion matrix: rows are true classes, columns are answers, values are shares of the row.

    The colors go by the root of the share, so that rare answers are seen. A class without videos is gray.
    Up to 25 classes the cells hold their share in per cent; up to 120 the classes are named.

    Args:
        confusion: counts (C, C).
        class_names: C names.
        png: the picture to write; missing folders are made.

    Raises:
        ValueError: if shapes disagree.

    Example:
        >>> from bod_keras.evaluation import plot_confusion
        >>> import pathlib, tempfile
        >>> png = pathlib.Path(tempfile.mkdtemp()) / "confusion.png"
        >>> plot_confusion([[3, 1], [0, 4]], ["run", "jump"], png)
    """
    from matplotlib.colors import PowerNorm

    confusion = np.asarray(confusion)
    classes = len(class_names)
    if confusion.shape != (classes, classes):
        raise UserError(
            f"confusion must have shape ({classes}, {classes}), as there are {classes} names. "
            f"Received: {confusion.shape}."
        )
    total = confusion.sum(axis=1, keepdims=True)
    share = confusion / np.maximum(total, 1)
    inch = 0.62 if classes <= _NUMBERS_UP_TO else 0.145 if classes <= _NAMES_UP_TO else 0.03
    names = [shortened(name, _LONGEST_NAME) for name in class_names]
    margin = 0.09 * max(map(len, names)) if classes <= _NAMES_UP_TO else 0.3
    side = max(3.0, inch * classes) + margin
    figure = new_figure(side + 1.4, side + 0.6)
    axis = figure.subplots()
    picture = axis.imshow(
        np.ma.masked_where(np.broadcast_to(total == 0, share.shape), share),
        cmap="Blues",
        norm=PowerNorm(0.5, vmin=0, vmax=1),
        interpolation="nearest",
    )
    axis.set_facecolor("0.85")
    if classes <= _NAMES_UP_TO:
        size = 9 if classes <= _NUMBERS_UP_TO else 6.5
        ticks = range(classes)
        axis.set_xticks(ticks, names, rotation=90, fontsize=size)
        axis.set_yticks(ticks, names, fontsize=size)
        axis.tick_params(length=0)
    if classes <= _NUMBERS_UP_TO:
        for row, column in zip(*np.nonzero(confusion)):
            axis.text(
                column,
                row,
                f"{100 * share[row, column]:.0f}",
                ha="center",
                va="center",
                fontsize=9,
                color="white" if share[row, column] > 0.35 else "black",
            )
    axis.set_xlabel("answer")
    axis.set_ylabel("true class")
    numbers = ", shares in per cent" if classes <= _NUMBERS_UP_TO else ""
    axis.set_title(f"{int(confusion.sum())} videos{numbers}", fontsize=10)
    figure.colorbar(picture, ax=axis, fraction=0.046, pad=0.02, label="share of the true class")
    save_figure(figure, png)
