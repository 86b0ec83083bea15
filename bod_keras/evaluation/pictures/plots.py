"""Pictures of a run: losses, monitors, eigenvalues of the operators, factor accuracies."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bod_keras.errors import UserError
from bod_keras.storage.regular_file import regular_file

# Colors that color-blind readers can tell apart; the usual names keep theirs in every picture.
_COLORS = ("#E69F00", "#56B4E9", "#882255", "#999933", "#44AA99")
NAMED_COLORS = {
    "total": "#000000",
    "static": "#0072B2",
    "dynamic": "#D55E00",
    "prediction": "#009E73",
    "base": "#CC79A7",
    "pooled": "#8C8C8C",
}
# Title of a panel, how the names of its columns end (`training.Monitors`, `KoopmanSplit.statistics`), and
# what is good.
MONITORS = {
    "cosine similarity of two clips": (
        ("positive_similarity", "negative_similarity"),
        "good: solid ↑ to 1, dashed near 0",
    ),
    "alignment": (("alignment",), "↓ lower is better"),
    "uniformity": (("uniformity",), "↓ lower is better"),
    "effective rank": (("effective_rank",), "↑ higher is better; 1 is collapse"),
    "gradient norm on the backbone": (("gradient_norm",), "good: both of one size"),
    "cosine of both gradients": (("gradient_cosine",), "good: 0 or ↑ above"),
    "static eigenvalues of a clip": (("static_eigenvalues",), "good: a few, neither 0 nor all"),
    "clips without an eigenvalue near 1": (("no_static",), "↓ lower is better; a share"),
    "spectral radius": (("spectral_radius",), "good: near 1"),
}
# What `OnlineEvaluation` logs, and the titles of its panels.
_ONLINE = {
    "linear": "linear probe, accuracy",
    "knn": "nearest neighbors, accuracy",
    "rankme": "effective rank (higher is better)",
}
GRAY = "#404040"  # of what belongs to no part
_POSITIONS = ("step", "batch", "epoch")
_SCALE_GAP = 8.0  # losses whose medians differ by more do not share a panel
_FARTHEST = (
    2.5  # an eigenvalue beyond is counted, not shown, or it would shrink all others to a dot
)


def plot_history(
    history_csv: str | os.PathLike,
    png: str | os.PathLike,
    chance: Mapping[str, float] | None = None,
    weights: Mapping[str, float] | None = None,
) -> None:
    r"""Draw the losses of a training history, one panel per scale.

    The losses are the columns whose name contains "loss", and those named "total", "static",
    "dynamic", "prediction" or "base". Sorted by their median size, a loss more than eight times as
    large as the one before starts a new panel; a panel whose values span more than a factor of
    100, all positive, has a logarithmic axis. A validation loss is dashed, in the color of the loss.

    Args:
        history_csv: a CSV file with a header; its column "step", "batch" or "epoch" (the first
            that is there) is the horizontal axis, else the row number. Empty cells are skipped.
        png: the picture to write; missing folders are made.
        chance: column to the loss where all embeddings are alike, drawn as a dotted line; of a framework
            `ContrastiveModel.chance_losses`.
        weights: part to its weight in the column "loss", which the legend then spells out; of a framework
            `ContrastiveModel.loss_weights`.

    Raises:
        ValueError: if the file has no row or no loss.

    Example:
        >>> from bod_keras.evaluation import plot_history
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "h.csv").write_text("step,loss,prediction_loss\n1,5.0,0.1\n2,4.0,0.05\n")
        >>> plot_history(folder / "h.csv", folder / "h.png")
    """
    axis_name, position, losses = _read_columns(
        Path(history_csv),
        lambda name: "loss" in name or _loss_label(name) in NAMED_COLORS,
        "losses (named *loss*, total, static, dynamic, prediction or base)",
    )
    panels = group_by_scale(losses)
    terms = [f"{weight:g} {part}" for part, weight in (weights or {}).items() if weight]
    trained = f"trained: {' + '.join(terms)}".replace(" 1 ", " ")
    figure = new_figure(8.6, 1.0 + 2.6 * len(panels))
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    fallback = iter(_COLORS * (1 + len(losses)))
    for axis, names in zip(axes, panels):
        for name in names:
            label = _loss_label(name)
            validated = label.startswith("val_") or name == "val_loss"
            part = _loss_label(name.removeprefix("val_"))
            color = NAMED_COLORS.get(part) or next(fallback)
            if validated:
                label = f"{part}, validation"
            elif name == "loss" and terms:
                label = trained
            dashes = "--" if validated else "-"
            _draw_line(axis, position, losses[name], dashes, color=color, label=label)
        _draw_chance(axis, {name: (chance or {})[name] for name in names if name in (chance or {})})
        values = np.concatenate([losses[name][np.isfinite(losses[name])] for name in names])
        if values.min() > 0 and values.max() > 100 * values.min():
            log_scale(axis)
        axis.set_ylabel("loss")
        axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        tidy_axes(axis)
    axes[-1].set_xlabel(axis_name)
    save_figure(figure, png)


def plot_monitors(history_csv: str | os.PathLike, png: str | os.PathLike) -> None:
    r"""Draw everything but the losses of a training history, a panel for each kind.

    The columns are those of `bod_keras.training.Monitors` (similarities, alignment, uniformity,
    effective rank, gradients) and of `KoopmanSplit.statistics` (eigenvalues), in the colors of their parts,
    and gray where both parts are read from one embedding. Below its title a panel says what is good. Panels
    without a column are left out; one whose values span more than a factor of 10, all
    positive, has a logarithmic axis (that of the rank has not).

    Args:
        history_csv: as for `plot_history`.
        png: the picture to write; missing folders are made.

    Raises:
        ValueError: if the file has no row or no such column.

    Example:
        >>> from bod_keras.evaluation import plot_monitors
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "h.csv").write_text("step,static_effective_rank\n1,5.0\n2,4.0\n")
        >>> plot_monitors(folder / "h.csv", folder / "h.png")
    """
    endings = tuple(ending for group, _ in MONITORS.values() for ending in group)
    axis_name, position, columns = _read_columns(
        Path(history_csv), lambda name: name.endswith(endings), "monitors (*effective_rank, ...)"
    )
    panels = {
        title: [(name, ending) for ending in group for name in columns if name.endswith(ending)]
        for title, (group, _) in MONITORS.items()
    }
    panels = {title: lines for title, lines in panels.items() if lines}
    across = min(3, len(panels))
    down = math.ceil(len(panels) / across)
    figure = new_figure(0.6 + 3.8 * across, 0.8 + 2.7 * down)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    parts: dict = {}
    for axis, (title, lines) in zip(axes, panels.items()):
        for name, ending in lines:
            part = name.removesuffix(ending).strip("_")
            if not part and f"dynamic_{ending}" in columns:
                part = "static"  # of two heads, the statistics of the static one have no prefix
            dashes = "--" if ending == "negative_similarity" else "-"
            color = NAMED_COLORS.get(part, GRAY)
            line = _draw_line(axis, position, columns[name], dashes, color=color)
            if part and dashes == "-":
                parts.setdefault(part, line)
        _finish_monitor(axis, title, np.concatenate([columns[name] for name, _ in lines]))
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    for axis in axes[len(panels) - across : len(panels)]:
        axis.set_xlabel(axis_name)
    place = {"loc": "outside lower center", "ncols": max(1, len(parts)), "frameon": False}
    figure.legend(list(parts.values()), list(parts), **place)
    save_figure(figure, png)


def plot_online(
    history_csv: str | os.PathLike,
    png: str | os.PathLike,
    chance: Mapping[str, float] | None = None,
) -> None:
    r"""Draw what `OnlineEvaluation` found in the course of a run, a panel per measure and column of labels.

    Args:
        history_csv: as for `plot_history`; its columns are ``linear_PART``, ``linear_COLUMN_PART`` and the
            same of ``knn`` and ``rankme``.
        png: the picture to write; missing folders are made.
        chance: column of labels ("label") to the accuracy of the best constant answer, drawn as a dashed line.

    Raises:
        ValueError: if the file has no row or no such column.

    Example:
        >>> from bod_keras.evaluation import plot_online
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "h.csv").write_text("epoch,linear_static\n1,0.5\n2,0.8\n")
        >>> plot_online(folder / "h.csv", folder / "h.png", {"label": 0.25})
    """
    axis_name, position, columns = _read_columns(
        Path(history_csv),
        lambda name: name.split("_")[0] in _ONLINE and name.split("_")[-1] in NAMED_COLORS,
        "online evaluation (linear_*, knn_*, rankme_*)",
    )
    panels: dict = {}
    for name in columns:
        measure, *column, part = name.split("_")
        panels.setdefault((measure, "_".join(column)), []).append((part, name))
    across = min(2, len(panels))
    down = math.ceil(len(panels) / across)
    figure = new_figure(0.6 + 4.4 * across, 0.8 + 2.6 * down)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    lines: dict = {}
    for axis, ((measure, column), parts) in zip(axes, panels.items()):
        for part, name in parts:
            lines[part] = _draw_line(axis, position, columns[name], color=NAMED_COLORS[part])
        axis.set_title(f"{_ONLINE[measure]}{f': {column}' if column else ''}", fontsize=10)
        if measure != "rankme":
            axis.set_ylim(0, 1.02)
            level = (chance or {}).get(column or "label")
            if level is not None:
                lines["chance"] = axis.axhline(level, color="black", ls="--", lw=1.1)
        tidy_axes(axis)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    for axis in axes[max(0, len(panels) - across) : len(panels)]:
        axis.set_xlabel(axis_name)
    place = {"loc": "outside lower center", "ncols": len(lines), "frameon": False}
    figure.legend(list(lines.values()), list(lines), **place)
    save_figure(figure, png)


def plot_spectrum(
    eigenvalues: np.ndarray | Mapping[str, np.ndarray],
    threshold: float | None,
    png: str | os.PathLike,
    static: np.ndarray | Mapping[str, np.ndarray] | None = None,
) -> None:
    """Draw eigenvalues of Koopman operators in the complex plane, a panel for each part.

    The unit circle (no growth, no decay) is dashed. Static eigenvalues are in the color of the static part, and
    the solid circle is the rule that chose them: of a split by threshold |lambda - 1| = threshold; of one by
    count, which takes the closest of each clip, that around half of these. Points are translucent, so that
    darkness shows how many lie in a place. Those farther than 2.5 from an axis are counted in the title.

    Args:
        eigenvalues: complex (N,), of any number of clips together; or such arrays by the name of their
            panel, as `operator_eigenvalues` returns them.
        threshold: of the split, None: it takes the closest eigenvalue of each clip.
        png: the picture to write; missing folders are made.
        static: which of them the split chose, truth values of the same form, as `chosen_eigenvalues` returns
            them; None: all within the threshold.

    Raises:
        ValueError: if there is no eigenvalue, one is not finite, the threshold is not positive, or both
            threshold and `static` are None.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation import plot_spectrum
        >>> import pathlib, tempfile
        >>> png = pathlib.Path(tempfile.mkdtemp()) / "spectrum.png"
        >>> plot_spectrum({"static part": np.array([1.0, 1j, -1j])}, threshold=0.1, png=png)
    """
    if not isinstance(eigenvalues, Mapping):
        eigenvalues = {"": eigenvalues}
    panels = {name: np.asarray(x, dtype=np.complex128) for name, x in eigenvalues.items()}
    if static is not None and not isinstance(static, Mapping):
        static = {"": static}
    for values in panels.values():
        if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
            raise UserError(
                "eigenvalues must be finite, of shape (N,) with N at least 1. Received: shape "
                f"{values.shape} with {int((~np.isfinite(values)).sum())} not finite. "
                "Flatten those of several clips with .reshape(-1)."
            )
    if threshold is None and static is None:
        raise UserError(
            "static must say which eigenvalues are the closest of a clip where threshold is None. Received: "
            "None. Pass those of chosen_eigenvalues, or the split's own threshold."
        )
    if threshold is not None and not threshold > 0:
        raise UserError(
            f"threshold must be positive (a distance from 1). Received: {threshold!r}. "
            "Use the split's own threshold."
        )
    figure = new_figure(6.4 * len(panels), 7.6)
    figure.set_layout_engine("compressed")  # made for panels that stay square
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (name, values) in zip(axes, panels.items()):
        near = np.abs(values - 1) <= threshold if static is None else np.asarray(static[name], bool)
        _draw_spectrum(axis, name, values, near, threshold)
    save_figure(figure, png)


def plot_factors(
    table: Mapping[str, Mapping[str, Mapping[str, tuple[float, float | None]]]],
    chance: Mapping[str, float],
    png: str | os.PathLike,
) -> None:
    """Draw probe accuracies as grouped bars, one panel per factor, one group per run.

    Args:
        table: run name to factor to part to `(mean, deviation)` of the accuracy; the deviation may
            be None (a single run), and what a run lacks gets no bar.
        chance: factor to the accuracy of the best constant answer, drawn as a dashed line.
        png: the picture to write; missing folders are made.

    Raises:
        ValueError: if the table holds no accuracy, or a factor of it has no chance level.

    Example:
        >>> from bod_keras.evaluation import plot_factors
        >>> import pathlib, tempfile
        >>> png = pathlib.Path(tempfile.mkdtemp()) / "factors.png"
        >>> plot_factors({"plain": {"motion": {"pooled": (0.3, 0.1)}}}, {"motion": 0.125}, png)
    """
    factors = list(dict.fromkeys(factor for run in table.values() for factor in run))
    cells = [of_parts for run in table.values() for of_parts in run.values()]
    parts = list(dict.fromkeys(part for of_parts in cells for part in of_parts))
    missing = [factor for factor in factors if factor not in chance]
    if not parts or missing:
        raise UserError(
            f"table must hold accuracies and chance a level for each factor. Received: factors "
            f"{factors}, parts {parts}, chance for {list(chance)}. Factors without: {missing}."
        )
    figure = new_figure(1.6 + len(factors) * max(3.2, 0.45 * len(parts) * len(table)), 4.2)
    axes = figure.subplots(1, len(factors), sharey=True, squeeze=False)[0]
    for axis, factor in zip(axes, factors):
        runs = [run.get(factor, {}) for run in table.values()]
        draw_bars(axis, list(table), {part: [run.get(part) for run in runs] for part in parts})
        axis.axhline(chance[factor], color="black", ls="--", lw=1.1, label="chance", zorder=3)
        axis.set_title(f"{factor} factor")
    axes[0].set_ylabel("probe accuracy")
    axes[0].set_ylim(0, 1.14)
    entries: dict = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        entries.update(zip(labels, handles))
    # "chance" last, whatever the first panel lacks.
    entries["chance"] = entries.pop("chance")
    place = {"loc": "outside lower center", "ncols": len(entries), "frameon": False}
    figure.legend(list(entries.values()), list(entries), **place)
    save_figure(figure, png)


def draw_bars(
    axis: Any,
    groups: Sequence[str],
    values: Mapping[str, Sequence[tuple[float, float | None] | None]],
) -> None:
    """Draw grouped bars with their values above them.

    Args:
        axis: of matplotlib.
        groups: names of the groups.
        values: from the name of a part to its `(mean, deviation)` in each group; None gets no bar.
    """
    fallback = iter(_COLORS * (1 + len(values)))
    width = 0.8 / len(values)
    for place, (part, of_groups) in enumerate(values.items()):
        color = NAMED_COLORS.get(part) or next(fallback)
        bars = [(group, *pair) for group, pair in enumerate(of_groups) if pair is not None]
        for number, (group, mean, deviation) in enumerate(bars):
            x = group + (place - (len(values) - 1) / 2) * width
            label = part if number == 0 else None
            axis.bar(x, mean, 0.92 * width, color=color, label=label, zorder=2)
            if deviation:
                axis.errorbar(x, mean, deviation, color="black", capsize=3, lw=1.1, zorder=4)
            if math.isfinite(mean):
                top = mean + (deviation or 0.0) + 0.012
                axis.text(x, top, f"{mean:.2f}", ha="center", va="bottom", fontsize=8)
    axis.set_xticks(range(len(groups)), groups)
    axis.set_xlim(-0.6, len(groups) - 0.4)
    tidy_axes(axis)


def _read_columns(
    path: Path, wanted: Callable[[str], bool], what: str
) -> tuple[str, np.ndarray, dict[str, np.ndarray]]:
    """Return the horizontal axis' name and values, and each wanted column with NaN for empty cells."""
    with open(regular_file(path), newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows, header = list(reader), list(reader.fieldnames or ())
    columns = {
        name: np.array([float(row[name]) if row[name] else math.nan for row in rows])
        for name in header
        if name in _POSITIONS or wanted(name)
    }
    axis_name = next((name for name in _POSITIONS if name in columns), "row")
    position = columns.get(axis_name, np.arange(len(rows), dtype=float))
    found = {
        name: values
        for name, values in columns.items()
        if name not in _POSITIONS and np.isfinite(values).any()
    }
    if not found:
        raise UserError(
            f"{path} must have at least one row and one column of {what}. Received: {len(rows)} rows of "
            f"{header}. Check that training wrote its history."
        )
    return axis_name, position, found


def _draw_line(axis, x: np.ndarray, y: np.ndarray, dashes: str = "-", **style):
    """Draw the finite values, with a dot each if they are few and the line is solid; returns the line."""
    shown = np.isfinite(y)
    marker = "o" if dashes == "-" and shown.sum() < 40 else ""
    return axis.plot(x[shown], y[shown], marker + dashes, lw=1.6, ms=3.5, **style)[0]


def _loss_label(column: str) -> str:
    """Return "static" for "static_loss" or "loss_static", "total" for "loss"."""
    return column.replace("loss", "").strip("_/ .") or "total"


def _draw_chance(axis, levels: Mapping[str, float]) -> None:
    """Draw a dotted line for each level, named after the losses that share it."""
    for level in dict.fromkeys(levels.values()):
        parts = [_loss_label(name) for name, own in levels.items() if own == level]
        color = NAMED_COLORS.get(parts[0], GRAY) if len(parts) == 1 else GRAY
        label = f"chance of {' and '.join(parts)}, {level:.2f}"
        axis.axhline(level, color=color, ls=":", lw=1.6, label=label)


def group_by_scale(losses: Mapping[str, np.ndarray]) -> list[list[str]]:
    """Return the names in groups of similar median size, the largest first, each in file order."""
    sizes = {name: float(np.nanmedian(np.abs(values))) for name, values in losses.items()}
    groups: list[list[str]] = []
    previous = math.inf
    for name in sorted(sizes, key=sizes.get, reverse=True):
        if not groups or sizes[name] * _SCALE_GAP < previous:
            groups.append([])
        groups[-1].append(name)
        previous = sizes[name]
    order = list(losses)
    return [sorted(group, key=order.index) for group in groups]


def _finish_monitor(axis, title: str, values: np.ndarray) -> None:
    """Set title and scale of a panel of monitors, and say what its dashes mean."""
    axis.set_title(f"{title}\n{MONITORS[title][1]}", fontsize=10)
    tidy_axes(axis)
    values = values[np.isfinite(values)]
    if "cosine" in title:
        axis.axhline(0, color="0.6", lw=0.8, zorder=0)
        axis.set_ylim(-1.05, 1.05)
    elif "share" in MONITORS[title][1]:
        axis.set_ylim(-0.05, 1.05)
    elif "rank" not in title and values.min() > 0 and values.max() > 10 * values.min():
        log_scale(axis)
    elif values.max() > 0:
        axis.set_ylim(0, 1.15 * values.max())
    if "similarity" in title:
        axis.plot([], [], "-", color=GRAY, lw=1.6, label="of one video")
        axis.plot([], [], "--", color=GRAY, lw=1.6, label="of different videos")
        axis.legend(frameon=False, fontsize=8, loc="lower right")


def _draw_spectrum(
    axis, name: str, eigenvalues: np.ndarray, near: np.ndarray, threshold: float | None
) -> None:
    """Draw the points of both groups, the unit circle and the circle of the rule."""
    angle = np.linspace(0, 2 * np.pi, 361)
    axis.axhline(0, color="0.85", lw=0.8, zorder=0)
    axis.axvline(0, color="0.85", lw=0.8, zorder=0)
    axis.plot(np.cos(angle), np.sin(angle), ls="--", color="0.45", lw=1.0, label="unit circle")
    alpha = float(np.clip(7.5 / math.sqrt(eigenvalues.size), 0.1, 0.8))
    for mask, part in ((~near, "dynamic"), (near, "static")):
        x, y = eigenvalues.real[mask], eigenvalues.imag[mask]
        label = f"{part}: {mask.sum()} ({mask.mean():.0%})"
        axis.scatter(
            x, y, s=16, alpha=alpha, color=NAMED_COLORS[part], linewidths=0, label=label, zorder=3
        )
    chosen = np.abs(eigenvalues[near] - 1)
    if threshold is None:
        threshold = float(np.median(chosen)) if chosen.size else 0.0
        rule = f"rule: closest of a clip (half within {threshold:.2g})"
    else:
        beyond = int((chosen > threshold).sum())
        rule = f"rule: within {threshold:g} of 1"
        rule += f" (else the closest: {beyond})" if beyond else ""
    x, y = 1 + threshold * np.cos(angle), threshold * np.sin(angle)
    axis.plot(x, y, color="black", lw=1.3, label=rule)
    axis.set_aspect("equal")
    distance = np.maximum(np.abs(eigenvalues.real), np.abs(eigenvalues.imag))
    reach = max(1.1 + 1.1 * threshold, min(_FARTHEST, 1.1 * distance.max()))
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="real", ylabel="imaginary")
    outside = int((distance > reach).sum())
    note = f"\n({outside} outside the picture)" if outside else ""
    of = name and f", {name}"
    axis.set_title(f"eigenvalues of the Koopman operators{of}{note}")
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.1), "ncols": 2}
    legend = axis.legend(frameon=False, **place)
    for handle in legend.legend_handles:
        handle.set_alpha(1.0)
    tidy_axes(axis)


def new_figure(width: float, height: float):
    """Return an empty figure that touches no global state; matplotlib loads only when drawing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def log_scale(axis: Any) -> None:
    """Make the vertical axis of a panel logarithmic, with plain numbers: `save_figure` draws no formulas."""
    from matplotlib.ticker import LogFormatter

    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))


def tidy_axes(axis) -> None:
    """Remove the frame's upper and right side and adds a faint horizontal grid."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="0.9", lw=0.8, zorder=0)
    axis.set_axisbelow(True)


def shortened(name: object, longest: int) -> str:
    """A name on one line and no longer than that; what has no glyph is escaped."""
    text = " ".join(str(name).encode(errors="backslashreplace").decode().split())
    if not (text.isascii() and text.isprintable()):
        from matplotlib.font_manager import findfont, get_font

        known = get_font(findfont("DejaVu Sans")).get_char_index
        text = "".join(
            c if c.isprintable() and known(ord(c)) else c.encode("unicode_escape").decode()
            for c in text
        )
    return text if len(text) <= longest else text[: longest - 1] + "…"


def save_figure(figure, png: str | os.PathLike) -> None:
    """Write the figure as PNG; names stand in it as they are, dollar signs make no formula."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    Path(png).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png, format="png", dpi=150)
