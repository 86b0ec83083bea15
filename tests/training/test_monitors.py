"""`Monitors`: its values, that it leaves the model alone, and that a collapse is said, once."""

import csv

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras.backend import autodiff, replicas
from bod_keras.training import HistoryFile, Monitors
from bod_keras.training.embedding_statistics import embedding_statistics
from tests.tiers import slow, slow_unless
from tests.tiny_models import (
    assert_same_state,
    gradients_of,
    in_training,
    make_clips,
    make_framework,
    make_model,
    make_moving_views,
    make_views,
    numpy,
    simple,
    train,
)

CASES = [
    ("vsimclr", {"decoupling": {"base_weight": 0.5, "dynamic_weight": 0.2}, "dropout": 0.3}),
    ("vsimclr", {"decoupling": True}),
    ("vmoco", {"queue_size": 10}),
    ("vbyol", {"decoupling": None}),
    ("vswav", {"queue_size": 10}),
    ("vswav", {"decoupling": None}),
]
EVERY_CASE = pytest.mark.parametrize(("name", "arguments"), CASES)
JAX = autodiff.BACKEND == "jax"  # compiles every operation of an eager step
EITHER = pytest.mark.parametrize(
    "eager",
    [pytest.param(True, marks=slow_unless(not JAX)), pytest.param(False, marks=slow_unless(JAX))],
)
STATISTICS = list(embedding_statistics([np.eye(2)] * 2))


def make(name, arguments, **kwargs):
    """A fresh model of a case: no two share a read-out."""
    arguments = dict(arguments)
    if isinstance(arguments.get("decoupling"), dict):
        arguments["decoupling"] = simple(**arguments["decoupling"])
    return make_framework(name, **arguments, **kwargs)


def measure(model, views, epoch=0, **kwargs):
    """The values of one measurement."""
    monitors, logs = Monitors(views, **kwargs), {}
    monitors.set_model(model)
    monitors.on_train_begin()
    monitors.on_epoch_end(epoch, logs)
    return logs


def parts_of(model, views):
    """The embeddings of every part in a training step, as arrays, and the function that makes its loss."""
    views = numpy(model.all_views(views))
    clips, count = ops.convert_to_tensor(make_clips(views)), views.shape[1]
    with autodiff.no_gradient():
        targets = model.targets(clips, count, training=True)

    def losses():
        features = model.encoder(clips, training=True)
        return model.part_losses(features, targets, count, training=True)[0]

    def embeddings():
        frames = model(clips, training=True)
        return model.split_views(frames, model.split, count)[0]

    return in_training(model, embeddings), losses


def backbone_gradient(model, losses, part):
    """The gradient of a part's loss in one vector."""
    gradients = zip(model.trainable_variables, gradients_of(model, lambda: losses()[part]))
    inner = {id(v) for v in model.encoder.trainable_variables}
    return np.concatenate([g.ravel() for v, g in gradients if id(v) in inner])


@EVERY_CASE
def test_values_equal_what_numpy_makes_of_embeddings_and_gradients(name, arguments):
    views = make_moving_views(6)
    model = make(name, arguments, optimizer=keras.optimizers.SGD(0.01))
    train(model, views, batch_size=6)
    values = measure(model, views)
    embeddings, losses = parts_of(model, views)
    assert list(embeddings) == list(model.parts)
    expected, gradients = {}, {}
    for part, seen in embeddings.items():
        for statistic, value in embedding_statistics(seen).items():
            expected[f"{part}_{statistic}"] = value
        gradients[part] = backbone_gradient(model, losses, part)
        expected[f"{part}_gradient_norm"] = np.linalg.norm(gradients[part])
    if "static" in gradients:
        static, dynamic = gradients["static"], gradients["dynamic"]
        norms = np.linalg.norm(static) * np.linalg.norm(dynamic)
        expected["gradient_cosine"] = static @ dynamic / norms
    assert values == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_gradients_are_the_slopes_of_the_losses():
    """Along the static gradient the static loss rises by its norm, the dynamic one by |g_D| cos."""
    views = make_moving_views(6)
    # Otherwise gradients leave out a part of the slope.
    decoupling = simple(threshold=None, ridge=0.1, projector_gradient=True)
    model = make_model(decoupling, optimizer=keras.optimizers.SGD(0.01))
    values = measure(model, views)
    _, losses = parts_of(model, views)
    direction = backbone_gradient(model, losses, "static")
    direction /= np.linalg.norm(direction)
    inner = {id(v) for v in model.encoder.trainable_variables}
    weights = [v for v in model.trainable_variables if id(v) in inner]
    start, size = [numpy(w).copy() for w in weights], 1e-3

    def losses_at(length):
        used = 0
        for weight, value in zip(weights, start):
            piece = direction[used : used + value.size].reshape(value.shape)
            weight.assign(value + length * piece)
            used += value.size
        return in_training(model, losses)

    above, below = losses_at(size), losses_at(-size)
    slopes = {part: (above[part] - below[part]) / (2 * size) for part in above}
    assert slopes["static"] == pytest.approx(values["static_gradient_norm"], rel=0.02)
    cosine = slopes["dynamic"] / values["dynamic_gradient_norm"]
    assert cosine == pytest.approx(values["gradient_cosine"], abs=0.02)


@EITHER
@EVERY_CASE
def test_a_run_goes_as_without_it(name, arguments, eager):
    """Weights, statistics, queues, seeds and optimizer, to the last bit; measured between two steps."""
    views, models = make_views(), []
    for callbacks in ([], [Monitors(make_views(batch=4, seed=1))]):
        model = make(name, arguments, eager=eager)
        history = train(model, views, epochs=2, callbacks=callbacks)
        models.append(model)
    assert_same_state(*models)
    for one, other in zip(models[0].seed_variables(), models[1].seed_variables(), strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(other))
    for part in models[1].parts:
        names = [f"{part}_{statistic}" for statistic in (*STATISTICS, "gradient_norm")]
        assert all(np.isfinite(history[name]).all() for name in names)
    assert ("gradient_cosine" in history) == ("dynamic" in models[1].parts)


@pytest.mark.skipif(autodiff.BACKEND == "torch", reason="nothing is compiled")
def test_it_is_compiled_once_and_gives_what_the_eager_one_gives():
    views, model = make_moving_views(6), make_model(eager=False)
    calls, part_loss = [], model.part_loss
    model.part_loss = lambda *args, **kwargs: calls.append(1) or part_loss(*args, **kwargs)
    monitors, logs = Monitors(views), {}
    monitors.set_model(model)
    monitors.on_train_begin()
    monitors.on_epoch_end(0, logs)
    traced = len(calls)
    monitors.on_epoch_end(1, logs)
    assert len(calls) == traced
    model.run_eagerly = True
    assert measure(model, views) == pytest.approx(logs, rel=1e-3, abs=1e-4)


def test_epochs_between_repeat_the_last_values_and_every_row_has_all_columns(tmp_path):
    path = tmp_path / "history.csv"
    monitors = Monitors(make_views(batch=4, seed=1), every=3, floor=0.0)
    callbacks = [monitors, HistoryFile(path)]
    history = train(make_model(), make_views(), epochs=6, callbacks=callbacks)
    ranks = history["static_effective_rank"]
    assert ranks[0] == ranks[1] and ranks[2] == ranks[3] == ranks[4]
    assert len(set(ranks)) == 3  # measured after epochs 1, 3 and 6
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["static_effective_rank"]) for row in rows] == ranks
    assert {"dynamic_uniformity", "static_gradient_norm", "gradient_cosine"} <= set(rows[0])
    assert all(value for row in rows for value in row.values())


class Attraction(bod_keras.ContrastiveModel):
    """Without negatives, predictor or variance term: nothing keeps videos apart."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.set_losses(lambda part: None)

    def part_loss(self, part, views, targets, training):
        one, other = (ops.normalize(view, axis=-1) for view in views)
        return -ops.mean(ops.sum(one * other, axis=-1))


@pytest.mark.parametrize("decoupling", ["simple", None])
def test_a_collapse_is_said_once(decoupling, capsys):
    model = make_framework(
        Attraction, decoupling, optimizer=keras.optimizers.SGD(1.0, momentum=0.9), eager=False
    )
    views = make_views(batch=64)  # of noise: only a constant has equal views
    monitors = Monitors(make_views(batch=16, seed=1), every=5)
    history = train(model, views, epochs=20, batch_size=16, callbacks=[monitors])
    # The dynamic part gets there too, but not as steadily: which eigenvalues are static changes meanwhile.
    part, width = next(iter(model.parts.items()))
    assert history[f"{part}_effective_rank"][-1] < 2.5
    lines = capsys.readouterr().out.splitlines()
    said = [line for line in lines if f"the {part} embeddings collapse" in line]
    assert len(said) == 1
    assert f"of at most {width} ({width} wide, 32 clips)" in said[0]


@slow
def test_a_healthy_run_is_silent(capsys):
    head = bod_keras.ProjectionHead(24, 16)
    model = make_model(optimizer=keras.optimizers.Adam(5e-3), projection_head=head, eager=False)
    views = make_moving_views(16)
    history = train(model, views, epochs=60, batch_size=16, callbacks=[Monitors(views, every=20)])
    assert capsys.readouterr().out == ""
    for part in model.parts:
        assert min(history[f"{part}_effective_rank"]) > 3.0


def test_a_collapse_is_said_again_only_after_a_recovery(capsys, monkeypatch):
    ranks = iter([5.0, 2.0, 3.5, 2.0, 5.0, np.nan, 2.0])
    monitors = Monitors(make_views())

    def values():
        return {"base": [np.ones((4, 6))] * 2}, {"base_effective_rank": next(ranks)}

    monkeypatch.setattr(monitors, "measure", values)
    for epoch in range(7):
        monitors.on_epoch_end(epoch)
    said = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert said == ["Epoch 2", "Epoch 7"]


@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_bfloat16", 0.1), ("mixed_float16", 0.02)]
)
def test_half_precision(policy, tolerance):
    """Also where the optimizer's loss scale overflows, as it does at times."""
    views = make_moving_views(6)
    full = measure(make_model(decoupling=None), views)
    keras.config.set_dtype_policy(policy)
    optimizer = keras.optimizers.SGD(0.1)
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**40)
    half = measure(make_model(decoupling=None, optimizer=optimizer), views)
    assert half == pytest.approx(full, rel=tolerance, abs=tolerance)
    assert np.isfinite(list(measure(make_model(), views).values())).all()


def test_a_frozen_backbone_has_no_gradient():
    model = make_model()
    model.encoder.trainable = False
    values = measure(model, make_views())
    assert sorted(values) == sorted(f"{p}_{s}" for p in ("static", "dynamic") for s in STATISTICS)


def test_embeddings_that_are_not_finite_are_logged_as_such(capsys):
    views = make_views()
    views[1, 0, 0, 0, 0, 0] = np.nan
    values = measure(make_model(decoupling=None), views)
    assert all(np.isnan(value) for value in values.values())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("shape", [(4, 4, 8, 8, 3), (4, 1, 4, 8, 8, 3), (1, 2, 4, 8, 8, 3)])
def test_views_of_another_shape(shape):
    with pytest.raises(ValueError, match="at least 2 videos, 2 views of each. Received shape"):
        Monitors(np.zeros(shape))


def test_errors(monkeypatch):
    with pytest.raises(ValueError, match="every must be at least 1 epoch. Received: 0"):
        Monitors(make_views(), every=0)
    with pytest.raises(ValueError, match="of a ContrastiveModel .* Received: Sequential"):
        Monitors(make_views()).set_model(keras.Sequential())
    monkeypatch.setattr(replicas, "count", lambda: 2)
    with pytest.raises(ValueError, match=r"inside of strategy.scope\(\)"):
        measure(make_model(), make_views())
