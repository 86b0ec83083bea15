"""Pictures of a diagnosis: distances of eigenvalues, energies, sensitivities."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from bod_keras.errors import UserError
from bod_keras.evaluation.pictures.plots import (
    GRAY,
    NAMED_COLORS,
    draw_bars,
    new_figure,
    save_figure,
    tidy_axes,
)

_TO = 2.5  # the histogram's last bin holds all that is farther
_CHANGES = {"shuffled": "frames shuffled", "background": "another background"}


def plot_distances(
    eigenvalues: Mapping[str, np.ndarray], threshold: float, png: str | os.PathLike
) -> None:
    """Draw histograms of |lambda - 1|, with the threshold within which an eigenvalue is static.

    `eigenvalues` maps a name to complex (N,), as `operator_eigenvalues` returns them.
    """
    if not eigenvalues or any(len(values) == 0 for values in eigenvalues.values()):
        sizes = {name: len(values) for name, values in eigenvalues.items()}
        raise UserError(f"eigenvalues must hold at least one of each name. Received: {sizes}.")
    figure = new_figure(6.4, 3.6)
    axis = figure.subplots()
    for name, values in eigenvalues.items():
        _draw_shares(axis, name, np.minimum(np.abs(values - 1), _TO), np.linspace(0, _TO, 49))
    axis.axvline(threshold, color="black", lw=1.3, label=f"threshold {threshold:g}")
    axis.set(xlabel="|eigenvalue - 1|", ylabel="share of eigenvalues", xlim=(0, _TO))
    ticks = np.arange(0, _TO + 0.1, 0.5)
    axis.set_xticks(ticks, [*(f"{tick:g}" for tick in ticks[:-1]), f"{_TO:g} or more"])
    axis.legend(frameon=False)
    tidy_axes(axis)
    save_figure(figure, png)


def plot_energy(shares: Mapping[str, np.ndarray], png: str | os.PathLike) -> None:
    """Draw how the share of a part in the energy is spread over clips, with its mean.

    `shares` maps a part to the shares of the clips (N,), in [0, 1].
    """
    figure = new_figure(6.4, 3.0)
    axis = figure.subplots()
    for part, values in shares.items():
        color = _draw_shares(axis, f"{part} part", values, np.linspace(0, 1, 41))
        mean = np.mean(values)
        axis.axvline(mean, color=color, ls="--", lw=1.3, label=f"mean {mean:.2f}")
    axis.set(xlabel="share of the energy", ylabel="share of clips", xlim=(0, 1))
    axis.legend(frameon=False)
    tidy_axes(axis)
    save_figure(figure, png)


def plot_sensitivity(
    moved: Mapping[str, Mapping[str, float]], levels: tuple[float, float], png: str | os.PathLike
) -> None:
    """Draw how far each part moves by each change of the clip, with the levels of the verdicts.

    `moved` maps a change to part to its `sensitivity`; NaN gets no bar. `levels` are up to which a part counts
    as unchanged, and from which on as changed.
    """
    figure = new_figure(6.4, 3.6)
    axis = figure.subplots()
    parts = next(iter(moved.values()))
    values = {part: [(of[part], None) for of in moved.values()] for part in parts}
    draw_bars(axis, [_CHANGES.get(change, change) for change in moved], values)
    for level, name, dashes in zip(levels, ("unchanged below", "changed above"), (":", "--")):
        axis.axhline(level, color="black", ls=dashes, lw=1.1, label=f"{name} {level:g}")
    axis.set_ylabel("moved by, in distances between videos")
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    save_figure(figure, png)


def _draw_shares(axis, name: str, values: np.ndarray, edges: np.ndarray) -> str:
    """Draw a histogram of shares; return its color."""
    color = NAMED_COLORS.get(name.removesuffix(" part"), GRAY)
    style = {"weights": np.full(len(values), 1 / len(values)), "color": color}
    axis.hist(values, edges, histtype="stepfilled", alpha=0.4, label=name, **style)
    axis.hist(values, edges, histtype="step", lw=1.3, **style)
    return color
