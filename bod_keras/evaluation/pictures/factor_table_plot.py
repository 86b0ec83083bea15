"""Which factors the parts predict, as a heat map."""

from __future__ import annotations

import os
from collections.abc import Mapping

from bod_keras.errors import UserError
from bod_keras.evaluation.pictures.plots import new_figure, save_figure


def plot_factor_table(
    table: Mapping[str, Mapping[str, Mapping[str, float]]],
    own: Mapping[str, str],
    png: str | os.PathLike,
) -> None:
    """Draw the excess over chance of each part and factor, a panel for each measure.

    The cells in which a part should predict the factor have a frame; in the others it should not.

    Args:
        table: as `factor_table` returns it.
        own: from factor to the part that should predict it.
        png: the picture to write; missing folders are made.

    Raises:
        ValueError: if the table is empty, or `own` lacks one of its factors.

    Example:
        >>> from bod_keras.evaluation import plot_factor_table
        >>> import pathlib, tempfile
        >>> png = pathlib.Path(tempfile.mkdtemp()) / "table.png"
        >>> row = {"digit": 0.9, "motion": 0.0}
        >>> plot_factor_table({"linear": {"static": row}}, {"digit": "static", "motion": "dynamic"}, png)
    """
    from matplotlib.patches import Rectangle

    rows = next(iter(table.values()), {})
    factors = list(next(iter(rows.values()), {}))
    if not factors or not set(factors) <= set(own):
        raise UserError(
            f"table must hold measures, parts and factors, each of which `own` gives to a part. Received: "
            f"the factors {factors}, and parts for {list(own)}."
        )
    width = 1.15 * len(factors) + 0.9
    figure = new_figure(width * len(table) + 1.5, 1.0 * len(rows) + 1.1)
    axes = figure.subplots(1, len(table), sharey=True, squeeze=False)[0]
    for axis, (measure, parts) in zip(axes, table.items()):
        values = [[cells[factor] for factor in factors] for cells in parts.values()]
        picture = axis.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axis.set_xticks(range(len(factors)), factors)
        axis.set_yticks(range(len(parts)), [f"{part} part" for part in parts])
        axis.tick_params(length=0)
        axis.set_title(f"{measure} probe", fontsize=10)
        for y, part in enumerate(parts):
            for x, factor in enumerate(factors):
                value = values[y][x]
                color = "white" if value > 0.6 else "black"
                axis.text(x, y, f"{value:.2f}", ha="center", va="center", color=color)
                if own[factor] == part:
                    frame = Rectangle(
                        (x - 0.46, y - 0.46), 0.92, 0.92, fill=False, ec="#D55E00", lw=2
                    )
                    axis.add_patch(frame)
    bar = figure.colorbar(picture, ax=list(axes), fraction=0.046, pad=0.02, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["chance", "0.5", "all right"])
    save_figure(figure, png)
