"""DCI, swap retrieval and their protocol: parts that are apart, mixed, exchanged or noise."""

import types
from pathlib import Path

import numpy as np
import pytest

import bod_keras
from bod_keras.evaluation import dci, swap_retrieval
from bod_keras.evaluation.protocols import (
    change_protocol,
    read_protocol,
    result_tables,
    run_protocol,
)

FOLDER = Path(__file__).parents[2] / "configs" / "protocols"


def test_a_swap_finds_what_has_both():
    looks, motions = (grid.ravel() for grid in np.mgrid[:7, :5])
    s, d = np.eye(7)[looks], np.eye(5)[motions]
    assert swap_retrieval(s, d, looks, motions, 200) == 1.0
    assert swap_retrieval(d, s, looks, motions, 200) == 0.0
    # Scale and place of a number do not count; the motion alone leaves a choice of seven looks.
    assert swap_retrieval(1e4 + 1e3 * s, d, looks, motions, 200) == 1.0
    nothing = np.zeros((35, 2))
    assert swap_retrieval(nothing, d, looks, motions, 200) < 0.5


def test_importances_tell_which_part_holds_which_factor():
    looks, motions = (np.tile(grid.ravel(), 10) for grid in np.mgrid[:4, :4])
    noise = np.random.default_rng(0).normal(size=(2, 160, 3))
    s, d = np.eye(4)[looks], np.eye(4)[motions]
    factors = {"looks": looks, "motion": motions}

    def scores(first, second):
        return dci({"static": first, "dynamic": second}, factors, trees=10)

    assert min(scores(s, d).values()) > 0.99 and min(scores(d, s).values()) > 0.99
    both = np.concatenate([s, d], axis=1)
    one = scores(both, noise[0])  # a part that holds all of both is compact, not modular
    assert one["modularity"] < 0.1 and one["compactness"] > 0.95 and one["explicitness"] > 0.99
    # Each part holds half of each factor.
    half = scores(np.c_[s[:, :2], d[:, :2]], np.c_[s[:, 2:], d[:, 2:]])
    assert half["modularity"] < 0.1 and half["compactness"] < 0.2 and half["explicitness"] > 0.99
    assert scores(*noise)["explicitness"] < 0.8  # of training, which is learned by heart, and test


def test_wrong_arguments_are_named():
    x, y = np.zeros((4, 2)), np.arange(4) % 2
    with pytest.raises(bod_keras.UserError, match="at least two parts and two factors.*lengths"):
        dci({"static": x, "dynamic": x[:3]}, {"a": y, "b": y})
    with pytest.raises(bod_keras.UserError, match="at least two parts"):
        dci({"static": x}, {"a": y, "b": y})
    with pytest.raises(bod_keras.UserError, match="2 looks, 2 motions, 2 combinations"):
        swap_retrieval(x, x, y, y)  # the looks give the motion away


def subject_of(static, dynamic, **labels):
    """A run whose test videos have these parts and labels."""
    features = {"pooled": static, "static": static, "dynamic": dynamic}
    if static is None:
        features = {"pooled": dynamic}
    answer = features, labels, np.arange(len(dynamic))
    return types.SimpleNamespace(test=None, seed=0, labeled=lambda *args, **kwargs: answer)


def protocol(*changes):
    return change_protocol(read_protocol("disentangle", FOLDER), list(changes))


@pytest.mark.parametrize(
    ("clips", "motions", "message"),
    [(4, 2, "at least 5 clips and two classes.*4 clips"), (20, 1, "'motion' with 1 class")],
)
def test_too_few_clips_or_classes_are_named(clips, motions, message):
    y = np.arange(clips)
    parts = {"static": np.eye(clips), "dynamic": np.eye(clips)}
    with pytest.raises(bod_keras.UserError, match=message):
        dci(parts, {"looks": y % 2, "motion": y % motions})


def test_parts_that_never_change_are_not_apart():
    """Collapsed features, which no tree can split by."""
    y = np.arange(40)
    found = dci(
        dict.fromkeys(("static", "dynamic"), np.ones((40, 3))), {"a": y % 2, "b": y // 2 % 2}
    )
    assert found["modularity"] == 0.0 and found["compactness"] == pytest.approx(0.0, abs=1e-9)


def test_a_column_that_became_the_label_is_told():
    y, d = np.arange(8) % 2, np.zeros((8, 3))
    chosen = protocol("static_factors=('shape',)", "dynamic_factors=('action',)")
    with pytest.raises(
        bod_keras.UserError, match="action; .* shape, label .label: whatever a list"
    ):
        run_protocol(subject_of(d, d, shape=y, label=y), chosen)


def test_the_protocol_knows_who_sees_what():
    shape, hue, motion = (np.tile(grid.ravel(), 6) for grid in np.mgrid[:3, :2, :4])
    looks = np.c_[np.eye(3)[shape], np.eye(2)[hue]]
    labels = {"shape": shape, "hue": hue, "motion": motion}
    chosen = protocol("static_factors=('shape','hue')", "dynamic_factors=('motion',)")
    apart = run_protocol(subject_of(looks, np.eye(4)[motion], **labels), chosen)
    assert apart["swap"] == 1.0 and apart["explicitness"] > 0.99 and apart["compactness"] > 0.95
    assert apart["swap_chance"] == pytest.approx(1 / 24)
    still = run_protocol(subject_of(looks, looks, **labels), chosen)  # no part sees the motion
    assert still["swap"] < 0.5 and still["explicitness"] < 0.9
    table = result_tables([("run", [apart])], "disentangle")
    assert table.splitlines()[0].split() == [
        "run",
        "runs",
        "modularity",
        "compactness",
        "explicitness",
        "swap",
        "swap_chance",
    ]


def test_what_the_protocol_cannot_use_is_named():
    y, d = np.arange(8) % 2, np.zeros((8, 3))
    with pytest.raises(bod_keras.UserError, match="compares a static and a dynamic part.*pooled"):
        run_protocol(subject_of(None, d, digit=y, direction=y), protocol())
    with pytest.raises(bod_keras.UserError, match="columns of these videos are label: name them"):
        run_protocol(subject_of(d, d, label=y), protocol())
