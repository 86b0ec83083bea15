"""Plots: a picture of the right size with something in it, and the errors."""

import math
import sys

import cv2
import keras
import numpy as np
import pytest
from matplotlib.figure import Figure

import bod_keras
from bod_keras.evaluation import (
    chosen_eigenvalues,
    plot_factors,
    plot_history,
    plot_monitors,
    plot_online,
    plot_spectrum,
)
from bod_keras.evaluation.pictures import plots as plots_module
from tests.tiers import slow
from tests.tiny_models import make_moving_views


def read_picture(png):
    picture = cv2.imread(str(png))
    assert picture is not None and min(picture.shape[:2]) > 300
    assert picture.std() > 10 and np.mean(picture == 255) > 0.3  # ink on white
    return picture


def count_color(picture, hexadecimal):
    rgb = [int(hexadecimal[i : i + 2], 16) for i in (1, 3, 5)]
    return int(np.all(np.abs(picture[..., ::-1].astype(int) - rgb) < 6, axis=-1).sum())


def write_history(path, header, rows):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def test_history(tmp_path):
    rows = [(i, 8 - i / 20, 4, 4 - i / 20, 0.01 * 0.9**i, 3.0) for i in range(60)]
    header = "step,loss,static_loss,dynamic_loss,prediction_loss,seconds"
    source = write_history(tmp_path / "history.csv", header, rows)
    plot_history(source, tmp_path / "new" / "losses.png")
    picture = read_picture(tmp_path / "new" / "losses.png")
    for label in ("static", "dynamic", "prediction"):
        assert count_color(picture, plots_module.NAMED_COLORS[label]) > 200


def test_history_panels_group_scales():
    flat = {"loss": 8.0, "static_loss": 4.0, "prediction_loss": 0.01, "dynamic_loss": 4.0}
    losses = {name: np.full(3, value) for name, value in flat.items()}
    losses["loss"][1] = np.nan
    groups = plots_module.group_by_scale(losses)
    assert groups == [["loss", "static_loss", "dynamic_loss"], ["prediction_loss"]]


def test_history_with_gaps_one_row_and_no_step(tmp_path):
    source = write_history(tmp_path / "h.csv", "loss,val_loss", [(1.0, ""), (2.0, 0.5), ("nan", 1)])
    plot_history(source, tmp_path / "gaps.png")
    read_picture(tmp_path / "gaps.png")
    source = write_history(tmp_path / "h.csv", "epoch,total", [(0, 2.0)])
    plot_history(source, tmp_path / "one.png")
    read_picture(tmp_path / "one.png")


@pytest.mark.parametrize("rows", [[], [(1, 2.0)]])
def test_history_without_losses(tmp_path, rows):
    source = write_history(tmp_path / "h.csv", "step,seconds", rows)
    with pytest.raises(ValueError, match=rf"Received: {len(rows)} rows of \['step', 'seconds'\]"):
        plot_history(source, tmp_path / "h.png")


def test_monitors(tmp_path):
    columns = ["positive_similarity", "negative_similarity", "effective_rank", "gradient_norm"]
    header = [f"{part}_{name}" for part in ("static", "dynamic") for name in columns]
    rows = [
        (i, 3.0, 0.9, 0.1, 5.0, 10.0**-i, 0.5, 0.0, "nan" if i == 2 else 8.0, 0.3, -0.2, 0.4)
        for i in range(1, 9)
    ]
    header = ",".join(["step", "loss", *header, "gradient_cosine", "no_static"])
    source = write_history(tmp_path / "history.csv", header, rows)
    plot_monitors(source, tmp_path / "new" / "monitors.png")
    picture = read_picture(tmp_path / "new" / "monitors.png")
    for label in ("static", "dynamic"):
        assert count_color(picture, plots_module.NAMED_COLORS[label]) > 1000
    assert count_color(picture, plots_module.GRAY) > 1000


@pytest.mark.parametrize("name", ["static_eigenvalues", "no_static", "spectral_radius"])
def test_statistics_of_two_heads_have_the_colors_of_their_parts(tmp_path, name):
    """The static head's columns have no prefix; without a dynamic head they belong to no part."""
    rows = [(step, 0.5, 0.7) for step in range(1, 9)]
    for header, static, gray in (
        (f"{name},dynamic_{name}", True, False),
        (f"{name},x", False, True),
    ):
        source = write_history(tmp_path / "h.csv", f"step,{header}", rows)
        plot_monitors(source, tmp_path / "m.png")
        picture = read_picture(tmp_path / "m.png")
        assert (count_color(picture, plots_module.NAMED_COLORS["static"]) > 300) == static
        assert (count_color(picture, plots_module.GRAY) > 300) == gray


def test_monitors_of_one_kind_and_none(tmp_path):
    source = write_history(tmp_path / "h.csv", "epoch,spectral_radius", [(1, 1.0), (2, 0.9)])
    plot_monitors(source, tmp_path / "one.png")
    read_picture(tmp_path / "one.png")
    source = write_history(tmp_path / "h.csv", "step,loss", [(1, 2.0)])
    with pytest.raises(ValueError, match=r"column of monitors .* 1 rows of \['step', 'loss'\]"):
        plot_monitors(source, tmp_path / "h.png")


def test_spectrum(tmp_path):
    rng = np.random.default_rng(0)
    moving = np.exp(1j * rng.uniform(-3, 3, 500)) * 0.9
    plot_spectrum(np.concatenate([moving, np.ones(40), [9.0]]), 0.1, tmp_path / "s.png")
    picture = read_picture(tmp_path / "s.png")
    # Forty points on top of each other are opaque: the static ones reach their full color.
    assert count_color(picture, plots_module.NAMED_COLORS["static"]) > 30


@pytest.mark.parametrize(
    "eigenvalues, threshold, message",
    [
        (np.ones(0), 0.1, r"Received: shape \(0,\)"),
        (np.ones((2, 3)), 0.1, r"Received: shape \(2, 3\)"),
        (np.array([1.0, np.nan]), 0.1, "with 1 not finite"),
        (np.ones(2), 0.0, "threshold must be positive .* Received: 0.0"),
    ],
)
def test_spectrum_errors(tmp_path, eigenvalues, threshold, message):
    with pytest.raises(ValueError, match=message):
        plot_spectrum(eigenvalues, threshold, tmp_path / "s.png")


def test_factors(tmp_path):
    parts = {"pooled": (0.3, 0.1), "static": (0.2, None), "dynamic": (0.9, 0.02)}
    table = {"plain": {"motion": {"pooled": (0.2, 0.0)}}, "ours": {"motion": parts, "shape": parts}}
    plot_factors(table, {"motion": 0.125, "shape": 0.1}, tmp_path / "f.png")
    picture = read_picture(tmp_path / "f.png")
    tall, short = (
        count_color(picture, plots_module.NAMED_COLORS[p]) for p in ("dynamic", "static")
    )
    assert 2.5 < tall / short < 6  # areas are as 0.9 to 0.2, plus equal legend entries


def test_factors_errors(tmp_path):
    with pytest.raises(ValueError, match=r"Factors without: \['motion'\]"):
        plot_factors({"a": {"motion": {"pooled": (0.2, 0.0)}}}, {}, tmp_path / "f.png")
    with pytest.raises(ValueError, match=r"Received: factors \[\], parts \[\]"):
        plot_factors({}, {}, tmp_path / "f.png")


def test_no_global_state(tmp_path):
    plot_spectrum(np.ones(3), 0.1, tmp_path / "s.png")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_online_curves_have_a_panel_each_and_their_chance(tmp_path):
    names = [
        f"{m}_{c}_{p}"
        for m in ("linear", "knn")
        for c in ("digit", "side")
        for p in ("static", "dynamic")
    ]
    names += ["rankme_static", "static_loss"]
    rows = [(e, *(0.2 + 0.05 * e + 0.01 * i for i in range(9)), 4.0) for e in range(1, 8)]
    rows.insert(3, (4, *["nan"] * 9, 4.0))  # an epoch that was not measured
    source = write_history(tmp_path / "h.csv", ",".join(["epoch", *names]), rows)
    plot_online(source, tmp_path / "online.png", {"digit": 0.1, "side": 0.5})
    with_chance = read_picture(tmp_path / "online.png")
    for part in ("static", "dynamic"):
        assert count_color(with_chance, plots_module.NAMED_COLORS[part]) > 200
    plot_online(source, tmp_path / "bare.png")
    bare = read_picture(tmp_path / "bare.png")
    assert count_color(with_chance, "#000000") > count_color(bare, "#000000") + 100
    empty = write_history(tmp_path / "e.csv", "epoch,loss", [(1, 2.0)])
    with pytest.raises(ValueError, match="one column of online evaluation"):
        plot_online(empty, tmp_path / "e.png")


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are written, in order, nothing clipped; the files are coarse, which is faster."""
    figures, write = [], Figure.savefig

    def savefig(figure, path, dpi, **kwargs):
        figures.append(figure)
        write(figure, path, dpi=dpi / 3, **kwargs)
        picture = cv2.imread(str(path))
        for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
            assert edge.min() > 250

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures


def lines_of(axis):
    return {line.get_label(): line for line in axis.lines}


def tiny_model(framework="VSimCLR", decoupling=True, **kwargs):
    keras.utils.set_random_seed(0)
    encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 8, 8, 3), widths=(4,))
    return getattr(bod_keras, framework)(encoder, decoupling=decoupling, **kwargs)


def test_losses_have_their_chance_and_the_trained_sum_its_weights(tmp_path, drawn):
    header = "step,loss,static_loss,dynamic_loss,val_static_loss"
    rows = [(i, 12.0, 4.0, 4.0, 4.2) for i in range(9)]
    source = write_history(tmp_path / "h.csv", header, rows)
    model = tiny_model(decoupling=bod_keras.Decoupling(dynamic_weight=2.0))
    levels = model.chance_losses(64)
    plot_history(source, tmp_path / "h.png", levels, model.loss_weights)
    lines = lines_of(drawn[0].axes[0])
    assert set(lines) == {
        "trained: static + 2 dynamic",
        "static",
        "dynamic",
        "static, validation",
        "chance of static and dynamic, 4.84",
    }
    chance = lines["chance of static and dynamic, 4.84"]
    np.testing.assert_allclose(chance.get_ydata(), math.log(127))
    named = [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()]
    assert sorted(named) == sorted(lines)
    assert lines["static, validation"].get_color() == lines["static"].get_color()
    plot_history(source, tmp_path / "h.png")
    assert not any("chance" in label for label in lines_of(drawn[1].axes[0]))


def test_every_monitor_says_what_is_good(tmp_path, drawn):
    endings = [ending for group, _ in plots_module.MONITORS.values() for ending in group]
    source = write_history(
        tmp_path / "h.csv", ",".join(["step", *endings]), [(1, *[0.5] * len(endings))]
    )
    plot_monitors(source, tmp_path / "m.png")
    titles = dict(axis.get_title().split("\n") for axis in drawn[0].axes)
    assert len(titles) == 9
    assert all(
        said.startswith(("good: ", "\u2191 higher", "\u2193 lower")) for said in titles.values()
    )
    assert titles["alignment"] == "\u2193 lower is better"
    assert titles["effective rank"].startswith("\u2191 higher is better")


def test_logarithmic_axes_have_plain_numbers(tmp_path, drawn):
    source = write_history(tmp_path / "h.csv", "step,loss", [(i, 10.0**-i) for i in range(4)])
    plot_history(source, tmp_path / "h.png")
    ticks = [tick.get_text() for tick in drawn[0].axes[0].get_yticklabels()]
    assert "0.1" in ticks and not any("$" in tick for tick in ticks)


@pytest.mark.parametrize(
    "threshold, rule", [(None, "closest of a clip"), pytest.param(0.4, "within 0.4", marks=slow)]
)
def test_the_spectrum_shows_the_choice_of_the_split(tmp_path, drawn, threshold, rule):
    """As many are static as the trace of the split's own projector says."""
    model = tiny_model(decoupling=bod_keras.Decoupling(threshold=threshold))
    views = make_moving_views(videos=5, frames=4, size=8)[:, :1]
    values, static = chosen_eigenvalues(model, [{"views": views}])
    z = model(views[:, 0])
    for name, part in zip(("static part", "dynamic part"), model.part_embeddings(z)):
        projector = keras.ops.convert_to_numpy(model.split.split(part).projector)
        assert static[name].sum() == pytest.approx(
            np.trace(projector, axis1=1, axis2=2).sum(), abs=0.05
        )
    plot_spectrum(values, threshold, tmp_path / "s.png", static)
    for axis, name in zip(drawn[0].axes, values):
        assert axis.get_title().endswith(name)
        (label,) = (label for label in lines_of(axis) if label.startswith("rule: "))
        assert rule in label
        circle = lines_of(axis)[label].get_xydata()
        radius = threshold or np.median(np.abs(values[name][static[name]] - 1))
        np.testing.assert_allclose(np.hypot(circle[:, 0] - 1, circle[:, 1]), radius, atol=1e-9)
        others, own = (group.get_offsets() for group in axis.collections)
        assert len(own) == static[name].sum() and len(others) == (~static[name]).sum()
    with pytest.raises(ValueError, match="static must say which"):
        plot_spectrum(values, None, tmp_path / "s.png")
