"""Results to a table and a page of plots."""

import numpy as np

from bod_keras.evaluation import format_table, summarize
from bod_keras.evaluation.pictures.plots import (
    NAMED_COLORS,
    log_scale,
    new_figure,
    save_figure,
    tidy_axes,
)

_KEYS = ("regime", "encoder", "framework", "rho", "variant")
# Of a factor: accuracy from each part, chance, and how far the other factor's part is above it.
_READINGS = ("pooled", "static", "dynamic", "chance", "excess")
_FACTORS = ("static", "dynamic")


def rows_of(results):
    """One row a case, mean and deviation over its seeds."""
    known = all("chance" in result for result in results)  # older runs have not measured it
    runs = []
    for result in results:
        scores = {factor: max(parts.values()) for factor, parts in result["probes"].items()}
        scores["min"] = min(scores.values())
        for factor, parts in result["probes"].items():
            scores |= {f"{factor}: {part}": value for part, value in parts.items()}
        if known:
            for factor, other in (("static", "dynamic"), ("dynamic", "static")):
                level = scores[f"{factor}: chance"] = result["chance"][factor]
                if other in result["probes"][factor]:
                    scores[f"{factor}: excess"] = result["probes"][factor][other] - level
        if "swap" in result:
            scores |= {"swap": result["swap"], **result["dci"]}
        if "seconds_per_step" in result:
            scores["s/step"] = result["seconds_per_step"]
        name = "|".join(str(result["case"][key]) for key in _KEYS)
        runs.append({"name": name, **scores})
    rows = []
    for row in summarize(runs):
        rows.append({**row, **dict(zip(_KEYS, row["name"].split("|")))})
    return rows


def table(results):
    """Of the columns that name a case, those in which the cases differ."""
    rows = rows_of(results)
    columns = {key: key for key in _KEYS if len({row[key] for row in rows}) > 1 or key == "variant"}
    columns |= {"runs": "seeds", "static": "static", "dynamic": "dynamic", "min": "min"}
    parts = [f"{f}: {p}" for f in _FACTORS for p in _READINGS]
    parts += ["swap", "modularity", "compactness", "explicitness"]
    columns |= {part: part for part in parts if any(part in row for row in rows)}
    columns |= {"s/step": "s/step"} if any("s/step" in row for row in rows) else {}
    return format_table(rows, columns)


def plot(study, results, png):
    figure = {"rho": _plot_rho, "gradients": _plot_gradients}.get(study, _plot_bars)(results)
    save_figure(figure, png)


def show_clips(clips, png):
    """A picture of some clips (N, T, H, W, 3) of each regime, a row a clip: ``{regime: clips}``."""
    height = sum(map(len, clips.values()))
    figure = new_figure(6, 0.78 * height)
    axes = figure.subplots(len(clips), squeeze=False)[:, 0]
    for axis, (regime, rows) in zip(axes, clips.items()):
        axis.imshow(np.concatenate([np.concatenate(list(clip), axis=1) for clip in rows]))
        axis.set_title(regime, fontsize=9)
        axis.axis("off")
    save_figure(figure, png)


def _plot_bars(results):
    """A panel for each regime, encoder and framework: both factors of every variant."""
    rows = rows_of(results)
    panels = {}
    for row in rows:
        panels.setdefault(tuple(row[key] for key in _KEYS[:4]), []).append(row)
    height = max(map(len, panels.values()))
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    size = (6.5 * columns, (1.6 + 0.32 * height) * lines)
    figure = new_figure(*size)
    axes = figure.subplots(lines, columns, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (name, members) in zip(axes.flat, panels.items()):
        places = np.arange(len(members))[::-1]
        for shift, factor in ((0.18, "static"), (-0.18, "dynamic")):
            means, errors = np.array([[x or 0.0 for x in row[factor]] for row in members]).T
            label = f"{factor} factor"
            axis.barh(
                places + shift, means, 0.34, color=NAMED_COLORS[factor], label=label, zorder=2
            )
            bars = {"fmt": "none", "ecolor": "black", "elinewidth": 1.1, "capsize": 3, "zorder": 4}
            axis.errorbar(means, places + shift, xerr=errors, **bars)
            levels = [row[f"{factor}: chance"][0] for row in members if f"{factor}: chance" in row]
            if levels:
                dashes = "--" if factor == "static" else ":"
                line = {"color": "black", "ls": dashes, "lw": 1.3, "zorder": 3}
                axis.axvline(np.mean(levels), label=f"chance, {factor} factor", **line)
        axis.set_yticks(places, [row["variant"] for row in members])
        axis.set_xlim(0, 1)
        axis.set_title(f"{name[0]}, {name[1]}, {name[2]}, rho = {name[3]}", fontsize=10)
        axis.set_xlabel("accuracy of the linear probe, best part")
        tidy_axes(axis)
        axis.grid(axis="y", visible=False)
        axis.grid(axis="x", color="0.9", lw=0.8, zorder=0)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    place = {"loc": "outside lower center", "ncols": len(labels), "frameon": False}
    figure.legend(handles, labels, **place)
    return figure


def _plot_rho(results):
    """Both factors against rho, a panel a regime."""
    rows = rows_of(results)
    regimes = list(dict.fromkeys(row["regime"] for row in rows))
    figure = new_figure(5.5 * len(regimes), 4.4)
    axes = figure.subplots(1, len(regimes), squeeze=False)
    for axis, regime in zip(axes.flat, regimes):
        for variant, style in (("plain", "--"), ("default", "-")):
            members = [r for r in rows if (r["regime"], r["variant"]) == (regime, variant)]
            x = [float(row["rho"]) for row in members]
            for factor in _FACTORS:
                means, errors = np.array([[v or 0.0 for v in row[factor]] for row in members]).T
                label = f"{factor}, {variant}"
                line = {"fmt": f"o{style}", "lw": 1.6, "ms": 3.5, "capsize": 3}
                axis.errorbar(x, means, errors, color=NAMED_COLORS[factor], label=label, **line)
        axis.set(title=regime, xlabel="rho", ylabel="linear probe, best part", ylim=(0, 1))
        tidy_axes(axis)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _plot_gradients(results):
    """Along training: above the gradient norms on the encoder, below the probes; a column a variant."""
    first = [r for r in results if r["case"]["seed"] == min(x["case"]["seed"] for x in results)]
    figure = new_figure(4 * len(first), 6.6)
    axes = figure.subplots(2, len(first), squeeze=False, sharex=True, sharey="row")
    lines = {}
    for column, result in zip(axes.T, first):
        steps = [point["step"] for point in result["curve"]]
        norms = {
            name: [point["monitors"][name] for point in result["curve"]]
            for name in result["curve"][0]["monitors"]
            if name.endswith("gradient_norm")
        }
        for name, values in norms.items():
            part = name.removesuffix("gradient_norm").strip("_") or "total"
            color = NAMED_COLORS.get(part, NAMED_COLORS["total"])
            (lines[f"{part} loss"],) = column[0].plot(steps, values, "-", lw=1.6, color=color)
        log_scale(column[0])
        column[0].set_title(f"{result['case']['regime']}: {result['case']['variant']}", fontsize=10)
        for factor in _FACTORS:
            best = [max(point["probes"][factor].values()) for point in result["curve"]]
            (line,) = column[1].plot(steps, best, "o--", lw=1.6, ms=3.5, color=NAMED_COLORS[factor])
            lines[f"{factor} factor"] = line
        column[1].set(xlabel="step", ylim=(0, 1))
        for axis in column:
            tidy_axes(axis)
    axes[0, 0].set_ylabel("gradient norm on the encoder")
    axes[1, 0].set_ylabel("linear probe, best part")
    place = {"loc": "outside lower center", "ncols": len(lines), "frameon": False}
    figure.legend(list(lines.values()), list(lines), **place)
    return figure
