"""`OnlineEvaluation`: known answers, nothing changed, and a bounded share of the time."""

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.evaluation import OnlineEvaluation, knn_accuracy, linear_probe
from bod_keras.training.predict_filled_up import predict_filled_up
from tests.tiny_models import (
    assert_same_state,
    make_moving_views,
    make_views,
    simple,
)
from tests.tiny_models import make_model as make_tiny

pytestmark = pytest.mark.usefixtures("eagerly")  # what is compiled is not what is tested here

PARTS = ("pooled", "static", "dynamic")


def make_model():
    return make_tiny(bod_keras.Decoupling(static_view="frame_shuffle"))


def labeled(videos=8, seed=0):
    """Clips of two grays with a little noise, and which gray."""
    y = np.arange(videos) % 2
    noise = np.random.default_rng(seed).random((videos, 4, 8, 8, 3), "float32")
    return (0.2 + 0.5 * y[:, None, None, None, None] + 0.1 * noise).astype("float32"), y


def fit(model, *probes, epochs=2, views=None):
    views = make_moving_views(4) if views is None else views
    settings = {"batch_size": 4, "epochs": epochs, "shuffle": False, "verbose": 0}
    return model.fit(views, callbacks=list(probes), **settings).history


def test_the_numbers_are_those_of_the_probes_after_the_last_epoch():
    model, first, second = make_model(), labeled(), labeled(6, seed=1)
    history = fit(model, OnlineEvaluation(first, second))
    x, y = model.embed(first[0]), model.embed(second[0])
    for part in PARTS:
        expected = linear_probe(x[part], first[1], y[part], second[1])
        assert history[f"linear_{part}"][-1] == pytest.approx(expected)
        expected = knn_accuracy(x[part], first[1], y[part], second[1])
        assert history[f"knn_{part}"][-1] == pytest.approx(expected)
        rows = np.concatenate([x[part], y[part]])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        values = np.linalg.svd(rows, compute_uv=False)
        share = values[values > 0] / values.sum()
        rank = np.exp(-np.sum(share * np.log(share)))
        assert history[f"rankme_{part}"][-1] == pytest.approx(rank, rel=1e-3)
    assert history["linear_pooled"][-1] == 1.0  # two grays are told apart


def test_several_columns_and_bytes():
    clips, y = labeled()
    columns = {"gray": y, "half": np.arange(8) // 4}
    split = (np.rint(255 * clips).astype("uint8"), columns)
    history = fit(make_model(), OnlineEvaluation(split, split))
    assert {f"{m}_{c}_{p}" for m in ("linear", "knn") for c in columns for p in PARTS} <= set(
        history
    )


def test_without_labels_there_are_ranks_alone():
    split = (labeled()[0], None)
    history = fit(make_model(), OnlineEvaluation(split, split))
    assert all(1 <= history[f"rankme_{part}"][-1] <= 16 for part in PARTS)
    assert not [name for name in history if name.startswith(("linear", "knn"))]


def test_the_model_trains_as_without_it():
    """Weights, statistics, optimizer and random numbers: a dropout and the views draw."""
    models = [make_model() for _ in range(2)]
    probes = OnlineEvaluation(labeled(), labeled(), held_out=make_moving_views(3))
    history = fit(models[0], probes)
    fit(models[1])
    assert_same_state(*models)
    assert len(history["val_loss"]) == 2 and np.isfinite(history["val_dynamic_loss"]).all()


def test_the_loss_of_held_out_videos_is_that_of_the_model():
    model, views = make_tiny(simple()), make_views(3)
    history = fit(model, OnlineEvaluation(labeled(), labeled(), held_out=views))
    expected = model.evaluate(views, verbose=0, return_dict=True)
    for name in ("loss", "static_loss", "dynamic_loss"):
        assert history[f"val_{name}"][-1] == pytest.approx(expected[name], rel=1e-5)


class Count(keras.callbacks.Callback):
    """In which epochs something was measured."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_end(self, epoch, logs=None):
        if "rankme_static" in logs:
            self.epochs.append(epoch)


@pytest.mark.parametrize(("every", "expected"), [(1, [0, 1, 2, 3, 4]), (2, [0, 1, 3]), (9, [0])])
def test_the_first_epoch_and_every_nth_are_measured(every, expected):
    count, split = Count(), (labeled()[0], None)
    fit(make_tiny(simple()), OnlineEvaluation(split, split, every=every), count, epochs=5)
    assert count.epochs == expected


@pytest.mark.parametrize(("most", "expected"), [(0.1, [0, 1, 3]), (0.5, [0, 1, 2, 3, 4])])
def test_measurements_take_no_more_than_their_share(monkeypatch, most, expected):
    """By a clock of its own: an epoch takes 5 s, a measurement 1 s, of which the first is not counted."""
    now = [0.0]
    monkeypatch.setattr("bod_keras.evaluation.online.time.perf_counter", lambda: now[0])
    split, count = (labeled()[0], None), Count()
    probes = OnlineEvaluation(split, split, most=most)
    probes.set_model(make_tiny(simple()))

    def predict(*arguments):  # once for train, once for test
        now[0] += 0.5
        return predict_filled_up(*arguments)

    monkeypatch.setattr("bod_keras.evaluation.online.predict_filled_up", predict)
    probes.on_train_begin()
    for epoch in range(5):
        now[0] += 5.0
        logs = {}
        probes.on_epoch_end(epoch, logs)
        count.on_epoch_end(epoch, logs)
    assert count.epochs == expected


def test_the_names_are_those_that_are_logged():
    clips, y = labeled()
    split = (clips, {"label": y, "half": np.arange(8) // 4})
    probes = OnlineEvaluation(split, split)
    history = fit(make_tiny(simple()), probes, epochs=1)
    found = [name for name in history if name.startswith(("linear", "knn", "rankme"))]
    assert sorted(probes.columns) == sorted(found)


def test_an_epoch_that_is_cut_short_is_not_measured():
    """A process that is told to stop has little time."""
    stop = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: setattr(stop.model, "stop_training", True)
    )
    history = fit(make_tiny(simple()), stop, OnlineEvaluation(labeled(), labeled()))
    assert not [name for name in history if name.startswith(("linear", "knn", "rankme"))]


def test_a_part_that_is_not_finite_is_named_and_left_out(capsys):
    """Features can be, in the low precision of a training whose losses are finite."""
    model = make_tiny(simple())
    clips, y = labeled()
    clips = np.where(y[:, None, None, None, None] > 0, np.float32(np.inf), clips)
    history = fit(model, OnlineEvaluation((clips, y), (clips, y)), epochs=1)
    assert "The pooled features are not finite, and are not probed." in capsys.readouterr().out
    assert "linear_pooled" not in history and np.isfinite(history["loss"]).all()


def test_it_tells_what_each_part_has_learned(capsys):
    fit(make_model(), OnlineEvaluation(labeled(), labeled()), epochs=1)
    said = capsys.readouterr().out
    assert said.startswith("epoch 1: linear_pooled 1.000, linear_static ")
    assert " s)" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every": 0}, "every must be at least 1 epoch. Received: 0"),
        ({"most": 0.0}, r"most must be a share in \(0, 1\]. Received: 0.0"),
        ({"train": (np.zeros((4, 8, 8, 3)), None)}, r"train must begin with clips.*\(4, 8, 8, 3\)"),
        ({"test": (labeled()[0], None)}, "must have the same columns of labels"),
        (
            {"test": (labeled()[0], np.zeros(3))},
            r"one class a video, \(8,\).*'label' of shape \(3,\)",
        ),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(bod_keras.UserError, match=message):
        OnlineEvaluation(**{"train": labeled(), "test": labeled(), **arguments})


def test_a_model_without_parts_is_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    probes = OnlineEvaluation(labeled(), labeled())
    probes.set_model(model)
    with pytest.raises(bod_keras.UserError, match="reads the parts of a ContrastiveModel"):
        probes.on_train_begin()
