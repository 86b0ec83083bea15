"""Pictures of a diagnosis: distances of eigenvalues, energies, sensitivities."""

import os
from collections.abc import Mapping

import numpy as np

from bod_keras.errors import UserError
from bod_keras.evaluation.plots import _GREY, _NAMED, _figure, _save, _tidy

_BINS = 48
_TO = 2.5  # the histogram's last bin holds all that is farther
_CHANGES = {"shuffled": "frames shuffled", "background": "another background"}


def plot_distances(
    eigenvalues: Mapping[str, np.ndarray], threshold: float, png: str | os.PathLike
) -> None:
    """Draw histograms of |lambda - 1|, with the threshold within which an eigenvalue is static.

    Args:
        eigenvalues: from a name to complex (N,), as `operator_eigenvalues` returns them.
        threshold: distance to mark.
        png: the picture to write; missing folders are made.

    Raises:
        ValueError: a name has no eigenvalue.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation.diagnose_plots import plot_distances
        >>> import pathlib, tempfile
        >>> png = pathlib.Path(tempfile.mkdtemp()) / "distances.png"
        >>> plot_distances({"embedding": np.array([1.0, 1j, -1j])}, 0.1, png)
        >>> png.exists()
        True
    """
    if not eigenvalues or any(len(values) == 0 for values in eigenvalues.values()):
        sizes = {name: len(values) for name, values in eigenvalues.items()}
        raise UserError(f"eigenvalues must hold at least one of each name, received {sizes}.")
    figure = _figure(6.4, 3.6)
    axis = figure.subplots()
    edges = np.linspace(0, _TO, _BINS + 1)
    for name, values in eigenvalues.items():
        color = _NAMED.get(name.removesuffix(" part"), _GREY)
        distance = np.minimum(np.abs(values - 1), _TO)
        share = np.full(len(distance), 1 / len(distance))
        style = {"weights": share, "color": color}
        axis.hist(distance, edges, histtype="stepfilled", alpha=0.35, label=name, **style)
        axis.hist(distance, edges, histtype="step", lw=1.3, **style)
    axis.axvline(threshold, color="black", lw=1.3, label=f"threshold {threshold:g}")
    axis.set(xlabel="|eigenvalue - 1|", ylabel="share of eigenvalues", xlim=(0, _TO))
    ticks = np.arange(0, _TO + 0.1, 0.5)
    axis.set_xticks(ticks, [*(f"{tick:g}" for tick in ticks[:-1]), f"{_TO:g} or more"])
    axis.legend(frameon=False)
    _tidy(axis)
    _save(figure, png)


def plot_energy(shares: Mapping[str, np.ndarray], png: str | os.PathLike) -> None:
    """Draw how the share of a part in the energy is spread over clips, with its mean.

    Args:
        shares: from a part to the shares of the clips (N,), in [0, 1].
        png: the picture to write; missing folders are made.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation.diagnose_plots import plot_energy
        >>> import pathlib, tempfile
        >>> png = pathlib.Path(tempfile.mkdtemp()) / "energy.png"
        >>> plot_energy({"static": np.array([0.8, 0.9]), "dynamic": np.array([0.2, 0.1])}, png)
        >>> png.exists()
        True
    """
    figure = _figure(6.4, 3.0)
    axis = figure.subplots()
    edges = np.linspace(0, 1, 41)
    for part, values in shares.items():
        color = _NAMED.get(part, _GREY)
        weights = np.full(len(values), 1 / len(values))
        axis.hist(values, edges, weights=weights, color=color, alpha=0.45, label=f"{part} part")
        axis.axvline(
            np.mean(values), color=color, ls="--", lw=1.3, label=f"mean {np.mean(values):.2f}"
        )
    axis.set(xlabel="share of the energy", ylabel="share of clips", xlim=(0, 1))
    axis.legend(frameon=False)
    _tidy(axis)
    _save(figure, png)


def plot_sensitivity(
    moved: Mapping[str, Mapping[str, float]],
    levels: tuple[float, float],
    png: str | os.PathLike,
) -> None:
    """Draw how far each part moves by each change of the clip, with the levels of the verdicts.

    Args:
        moved: from a change to part to its `sensitivity`; NaN gets no bar.
        levels: up to which a part counts as unchanged, and from which on as changed.
        png: the picture to write; missing folders are made.

    Example:
        >>> from bod_keras.evaluation.diagnose_plots import plot_sensitivity
        >>> import pathlib, tempfile
        >>> png = pathlib.Path(tempfile.mkdtemp()) / "sensitivity.png"
        >>> plot_sensitivity({"shuffled": {"static": 0.1, "dynamic": 0.9}}, (0.25, 0.5), png)
        >>> png.exists()
        True
    """
    figure = _figure(6.4, 3.6)
    axis = figure.subplots()
    parts = list(next(iter(moved.values())))
    width = 0.8 / len(parts)
    for place, part in enumerate(parts):
        at = np.arange(len(moved)) + (place - (len(parts) - 1) / 2) * width
        values = [of[part] for of in moved.values()]
        axis.bar(at, values, 0.92 * width, color=_NAMED.get(part, _GREY), label=part)
        for x, value in zip(at, values):
            if np.isfinite(value):
                axis.text(x, value + 0.01, f"{value:.2f}", ha="center", va="bottom", fontsize=8)
    for level, name, dashes in zip(levels, ("unchanged below", "changed above"), (":", "--")):
        axis.axhline(level, color="black", ls=dashes, lw=1.1, label=f"{name} {level:g}")
    axis.set_xticks(range(len(moved)), [_CHANGES.get(change, change) for change in moved])
    axis.set_ylabel("moved by, in distances between videos")
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _tidy(axis)
    _save(figure, png)
