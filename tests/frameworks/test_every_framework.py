"""What holds of each of the seven frameworks: training, names, files, any number of views, its loss."""

import inspect
import json

import keras
import numpy as np
import pytest

import bod_keras
from tests import references
from tests.slow import slow
from tests.tiny_models import (
    TINY,
    assert_same_state,
    make_clips,
    make_framework,
    make_views,
    numpy,
    state_of,
    train,
    weights_of,
)

BILEVEL = bod_keras.BiLevel(inner_learning_rate=0.1)
STATISTICS = ["static_eigenvalues", "no_static", "spectral_radius"]
PARTS = ["static_loss", "dynamic_loss"]
VARIANTS = {
    "plain": ({"decoupled": False}, ["loss"]),
    "decoupled": ({"static_weight": 0.7}, ["loss", *PARTS, *STATISTICS]),
    "bilevel": (
        {"bilevel": BILEVEL, "base_weight": 0.5, "dynamic_weight": 0.2},
        ["loss", *PARTS, "base_loss", "prediction_loss", *STATISTICS],
    ),
}
ADJACENT = {2: [(0, 1)], 3: [(0, 1), (1, 2)], 4: [(0, 1), (1, 2), (2, 3)]}
UNORDERED = {
    2: [(0, 1)],
    3: [(0, 1), (0, 2), (1, 2)],
    4: [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)],
}
ORDERED = {views: pairs + [(j, i) for i, j in pairs] for views, pairs in UNORDERED.items()}
PAIRS = {
    "VSimCLR": ADJACENT,
    "VSwAV": ADJACENT,
    "VMoCo": ORDERED,
    "VBYOL": ORDERED,
    "VSimSiam": ORDERED,
    "VVICReg": UNORDERED,
    "VBarlowTwins": UNORDERED,
}
EVERY_FRAMEWORK = pytest.mark.parametrize("name", list(TINY))
EVERY_VARIANT = pytest.mark.parametrize(
    ("arguments", "names"), list(VARIANTS.values()), ids=list(VARIANTS)
)


def without_gradient(weight):
    """A bias in front of a batch normalisation, which takes it out again."""
    return "/expand" in weight.path and weight.path.endswith("bias")


def state_that_moves(model):
    """By id, the weights that no optimizer moves and that change nevertheless."""
    moving = [model.steps_taken]
    moving += [w for w in model.weights if w.path.endswith(("moving_mean", "moving_variance"))]
    if isinstance(model, bod_keras.MomentumModel):
        networks = [model.momentum_encoder, model.momentum_head, model.momentum_split]
        averages = [w for network in networks if network is not None for w in network.weights]
        moving += [w for w in averages if not without_gradient(w)]
    for queue in getattr(model, "queues", {}).values():
        moving += [queue.rows, queue.pointer, queue.filled]
    return {id(w) for w in moving}


def as_json(model):
    return json.dumps(model.get_config(), sort_keys=True)


@EVERY_VARIANT
@EVERY_FRAMEWORK
def test_it_trains_logs_by_name_and_goes_on_from_a_file(name, arguments, names, tmp_path):
    model = make_framework(name, optimizer=keras.optimizers.Adam(1e-2), **arguments)
    before = weights_of(model)
    history = train(model, make_views(batch=8))  # two steps of four videos
    assert sorted(history) == sorted(names)
    assert all(np.isfinite(values).all() for values in history.values())

    state = state_that_moves(model)
    for weight, old in zip(model.weights, before, strict=True):
        moved = np.abs(numpy(weight) - old).max() > 0
        if weight.trainable and without_gradient(weight):
            continue  # by a rounding error, or not
        if "momentum_" in weight.path and without_gradient(weight):
            continue
        assert moved == (weight.trainable or id(weight) in state), weight.path
    assert all(np.isfinite(w).all() for w in weights_of(model))
    if "base_loss" not in names and model.decoupling is not None:
        return  # what it has the last variant has too

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert as_json(loaded) == as_json(model)
    for argument, value in {**TINY[name], **arguments}.items():
        if argument != "decoupled":
            assert getattr(loaded, argument) == value
    assert_same_state(model, loaded)
    clips = make_clips(make_views(seed=1))
    for x, y in zip(model.read_out(clips).values(), loaded.read_out(clips).values(), strict=True):
        np.testing.assert_array_equal(numpy(x), numpy(y))
    for one in (model, loaded):
        train(one, make_views(seed=2))
    assert int(model.steps_taken) == 3
    assert_same_state(model, loaded)


@EVERY_FRAMEWORK
@pytest.mark.parametrize("views", [2, pytest.param(3, marks=slow), 4])
def test_the_loss_is_the_mean_over_the_pairs_of_views(name, views):
    """After a training step, so that momentum networks differ from the trained ones, and queues hold keys."""
    weights = {"static": 0.7, "dynamic": 0.2, "base": 0.5}
    temperatures = {"dynamic_temperature": 0.3} if "temperature" in TINY[name] else {}
    model = make_framework(
        name, **{f"{part}_weight": w for part, w in weights.items()}, **temperatures
    )
    history = train(model, make_views(views=views))
    assert np.isfinite(history["loss"]).all()
    before = state_of(model)
    batch = make_views(views=views, seed=1)
    logs = model.evaluate(batch, batch_size=4, verbose=0, return_dict=True)
    for old, now in zip(before, state_of(model), strict=True):
        np.testing.assert_array_equal(old, now)  # evaluation changes nothing

    clips = make_clips(batch)
    online = parts_of(model, clips, model.encoder, model.projection_head, model.decoupling, views)
    targets = dict.fromkeys(online)
    if isinstance(model, bod_keras.MomentumModel):
        networks = model.momentum_encoder, model.momentum_head, model.momentum_split
        targets = parts_of(model, clips, *networks, views)
    losses = {part: loss_of_part(model, part, online[part], targets[part]) for part in weights}
    for part, loss in losses.items():
        assert logs[f"{part}_loss"] == pytest.approx(loss, rel=2e-4)
    total = sum(weights[part] * losses[part] for part in weights)
    assert logs["loss"] == pytest.approx(total, rel=2e-4)
    assert len({round(loss, 3) for loss in losses.values()}) == 3  # no part stands in for another


@EVERY_FRAMEWORK
def test_the_loss_of_a_plain_model_is_that_of_time_means(name):
    model = make_framework(name, decoupled=False)
    train(model, make_views())
    batch = make_views(seed=1)
    logs = model.evaluate(batch, batch_size=4, verbose=0, return_dict=True)
    clips = make_clips(batch)
    online = np.split(numpy(model(clips)).mean(1), 2)
    targets = None
    if isinstance(model, bod_keras.MomentumModel):
        features = model.momentum_encoder(clips)
        targets = np.split(numpy(model.momentum_head(features)).mean(1), 2)
    truth = loss_of_part(model, "base", online, targets)
    assert logs == {"loss": pytest.approx(truth, rel=2e-4)}


def parts_of(model, clips, encoder, head, split, views):
    """Static, dynamic and base embeddings of every view by these networks."""
    frames = numpy(head(encoder(clips)))
    static, dynamic = [numpy(part) for part in split(frames)]
    parts = {"static": static, "dynamic": dynamic, "base": frames.mean(1)}
    return {part: np.split(x, views) for part, x in parts.items()}


def loss_of_part(model, part, views, targets):
    """Mean over the documented pairs of the reference loss, in which networks are those of the model."""
    name = type(model).__name__
    temperature = getattr(model, "temperature", None)
    if part == "dynamic" and getattr(model, "dynamic_temperature", None):
        temperature = model.dynamic_temperature

    def through(networks):
        return [numpy(networks[part](view)) for view in views]

    if name == "VSimCLR":

        def loss(i, j):
            return references.info_nce(views[i], views[j], temperature).mean()

    elif name == "VMoCo":
        queue = model.queues[part]
        filled = int(queue.filled)
        assert filled == min(4 * len(views), 20)

        def loss(i, j):
            return references.queue_info_nce(
                targets[j], numpy(queue.rows), views[i], temperature, filled
            ).mean()

    elif name in ("VBYOL", "VSimSiam"):
        predicted = through(model.predictors)
        onto = views if targets is None else targets

        def loss(i, j):
            return references.cosine_regression(onto[j], predicted[i]).mean()

    elif name == "VSwAV":
        vectors = references.normalise(numpy(model.clusters[part].vectors))
        scores = [references.normalise(view) @ vectors.T for view in views]

        def loss(i, j):
            epsilon = model.epsilon * temperature / model.temperature
            settings = (temperature, epsilon, model.iterations)
            there = references.swapped_prediction(scores[i], scores[j], *settings).mean()
            back = references.swapped_prediction(scores[j], scores[i], *settings).mean()
            return (there + back) / 2

    elif name == "VVICReg":
        wide = through(model.expanders)

        def loss(i, j):
            weights = (model.invariance, model.variance, model.covariance)
            return references.vicreg(wide[i], wide[j], *weights)

    else:

        def loss(i, j):
            return references.barlow_twins(views[i], views[j], model.off_diagonal)

    return np.mean([loss(i, j) for i, j in PAIRS[name][len(views)]])


@EVERY_FRAMEWORK
def test_one_view_is_refused(name):
    with pytest.raises(ValueError, match="at least 2 views of a video. Received: 1 view"):
        train(make_framework(name), make_views(views=1))


@EVERY_FRAMEWORK
def test_encoder_decoupling_and_bilevel_come_first_and_settings_are_in_the_config(name):
    parameters = inspect.signature(getattr(bod_keras, name).__init__).parameters
    assert list(parameters)[:4] == ["self", "encoder", "decoupling", "bilevel"]
    assert parameters["decoupling"].default is parameters["bilevel"].default is None
    model = make_framework(name, bilevel=BILEVEL)
    assert isinstance(model.decoupling, bod_keras.KoopmanSplit)
    assert model.bilevel is BILEVEL
    assert model.encoder.output_shape == (None, 4, 6)
    own = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert set(own) - {"self"} <= set(model.get_config())
    with pytest.raises(ValueError, match="belongs to a decoupled framework"):
        make_framework(name, decoupled=False, bilevel=BILEVEL)
