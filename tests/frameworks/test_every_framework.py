"""What holds of each framework: training, names, files, any number of views, its loss."""

import inspect
import json

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.frameworks import FRAMEWORKS
from tests import references
from tests.tiers import slow, slow_unless
from tests.tiny_models import (
    TINY,
    assert_same_state,
    make_clips,
    make_framework,
    make_moving_views,
    make_views,
    numpy,
    simple,
    state_of,
    train,
    weights_of,
)

STATISTICS = ["static_eigenvalues", "no_static", "spectral_radius"]
DECOUPLED = ["loss", "static_loss", "dynamic_loss", "prediction_loss", *STATISTICS]
# "recommended" is what a user gets: Decoupling() and nothing else.
VARIANTS = {
    "plain": (None, ["loss"]),
    "recommended": (True, [*DECOUPLED, *(f"dynamic_{name}" for name in STATISTICS)]),
    "paper": ("paper", DECOUPLED),
    "custom": (
        bod_keras.Decoupling(threshold=0.3, heads=1, base_weight=0.5, read_out="mean"),
        ["base_loss", *DECOUPLED],
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
    "vsimclr": ADJACENT,
    "vswav": ADJACENT,
    "vmoco": ORDERED,
    "vbyol": ORDERED,
    "vsimsiam": ORDERED,
    "vvicreg": UNORDERED,
    "vbarlow_twins": UNORDERED,
    "vlejepa": UNORDERED,
}
EVERY_FRAMEWORK = pytest.mark.parametrize("name", list(FRAMEWORKS))


def without_gradient(weight):
    """A bias in front of a batch normalization, which takes it out again."""
    return "/expand" in weight.path and weight.path.endswith("bias")


def state_that_moves(model):
    """By id, the weights that no optimizer moves and that change nevertheless."""
    moving = [model.steps_taken, model.farthest_value]
    moving += [w for w in model.weights if w.path.endswith(("moving_mean", "moving_variance"))]
    if isinstance(model, bod_keras.MomentumModel):
        averages = [*model.momentum_encoder.weights, *model.momentum_head.weights]
        moving += [w for w in averages if not without_gradient(w)]
    moving += [seeds.state for seeds in getattr(model, "directions", [])]
    for queue in getattr(model, "queues", {}).values():
        moving += [queue.rows, queue.pointer, queue.filled]
    return {id(w) for w in moving}


def as_json(model):
    return json.dumps(model.get_config(), sort_keys=True)


def is_first(name, variant):
    """What a user gets, and a plain framework, of all; of the other forms one without and one with copies."""
    return variant in ("plain", "recommended") or name in ("vsimclr", "vmoco")


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        pytest.param(name, variant, marks=slow_unless(is_first(name, variant)))
        for name in FRAMEWORKS
        for variant in VARIANTS
    ],
)
def test_it_trains_logs_by_name_and_continues_from_a_file(name, variant, tmp_path):
    decoupling, names = VARIANTS[variant]
    model = make_framework(name, decoupling, keras.optimizers.Adam(1e-2))
    before = weights_of(model)
    steps = 2 if name == "vmoco" else 1  # whose first step finds an empty queue, and so no gradient
    history = train(model, make_moving_views(4 * steps))
    assert sorted(history) == sorted(names)
    assert all(np.isfinite(values).all() for values in history.values())

    state = state_that_moves(model)
    for weight, old in zip(model.weights, before, strict=True):
        if without_gradient(weight):
            continue  # moves by a rounding error, or not
        moved = np.abs(numpy(weight) - old).max() > 0
        assert moved == (weight.trainable or id(weight) in state), weight.path
    assert all(np.isfinite(w).all() for w in weights_of(model))

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model) is FRAMEWORKS[name]
    assert as_json(loaded) == as_json(model)
    assert loaded.decoupling == model.decoupling
    for argument, value in TINY[name].items():
        assert getattr(loaded, argument) == value
    assert_same_state(model, loaded)
    for one in (model, loaded):
        train(one, make_moving_views(4))
    assert int(model.steps_taken) == steps + 1
    assert_same_state(model, loaded)


@EVERY_FRAMEWORK
@pytest.mark.parametrize("views", [pytest.param(2, marks=slow), pytest.param(3, marks=slow), 4])
def test_the_loss_is_the_mean_over_the_pairs_of_views(name, views):
    """After a training step, so that momentum networks differ from the trained ones, and queues hold keys."""
    weights = {"static": 1.0, "dynamic": 0.2, "base": 0.5}
    decoupling = simple(
        static_temperature=0.4, dynamic_temperature=0.3, dynamic_weight=0.2, base_weight=0.5
    )
    model = make_framework(name, decoupling)
    history = train(model, make_views(views=views))
    assert np.isfinite(history["loss"]).all()
    before = state_of(model)
    batch = make_views(views=views, seed=1)
    logs = model.evaluate(batch, batch_size=4, verbose=0, return_dict=True)
    for old, now in zip(before, state_of(model), strict=True):
        np.testing.assert_array_equal(old, now)  # evaluation changes nothing

    clips = make_clips(batch)
    online = parts_of(model, clips, model.encoder, model.projection_head, model.split, views)
    targets = dict.fromkeys(online)
    if isinstance(model, bod_keras.MomentumModel):
        networks = model.momentum_encoder, model.momentum_head, model.momentum_split
        targets = parts_of(model, clips, *networks, views)
    losses = {
        part: loss_of_part(name, model, part, online[part], targets[part]) for part in weights
    }
    for part, loss in losses.items():
        assert logs[f"{part}_loss"] == pytest.approx(loss, rel=2e-4)
    total = sum(weights[part] * losses[part] for part in weights)
    assert logs["loss"] == pytest.approx(total, rel=2e-4)
    assert len({round(loss, 3) for loss in losses.values()}) == 3  # no part stands in for another


@EVERY_FRAMEWORK
def test_the_loss_of_a_plain_model_is_that_of_time_means(name):
    model = make_framework(name, None)
    train(model, make_views())
    batch = make_views(seed=1)
    logs = model.evaluate(batch, batch_size=4, verbose=0, return_dict=True)
    clips = make_clips(batch)
    online = np.split(numpy(model(clips)).mean(1), 2)
    targets = None
    if isinstance(model, bod_keras.MomentumModel):
        features = model.momentum_encoder(clips)
        targets = np.split(numpy(model.momentum_head(features)).mean(1), 2)
    truth = loss_of_part(name, model, "base", online, targets)
    assert logs == {"loss": pytest.approx(truth, rel=2e-4)}


def parts_of(model, clips, encoder, head, split, views):
    """Static, dynamic and base embeddings of every view by these networks."""
    frames = numpy(head(encoder(clips)))
    static, dynamic = [numpy(part) for part in split(frames)]
    parts = {"static": static, "dynamic": dynamic, "base": frames.mean(1)}
    return {part: np.split(x, views) for part, x in parts.items()}


def loss_of_part(name, model, part, views, targets):
    """Mean over the documented pairs of the reference loss, in which networks are those of the model."""
    temperature = getattr(model, "temperature", None)
    if model.compares_with_negatives:
        temperature = {"static": 0.4, "dynamic": 0.3, "base": temperature}[part]

    def through(networks):
        return [numpy(networks[part](view)) for view in views]

    if name == "vsimclr":

        def loss(i, j):
            return references.info_nce(views[i], views[j], temperature).mean()

    elif name == "vmoco":
        queue = model.queues[part]
        filled = int(queue.filled)
        assert filled == min(4 * len(views), 20)

        def loss(i, j):
            return references.queue_info_nce(
                targets[j], numpy(queue.rows), views[i], temperature, filled
            ).mean()

    elif name in ("vbyol", "vsimsiam"):
        predicted = through(model.predictors)
        onto = views if targets is None else targets

        def loss(i, j):
            return references.cosine_regression(onto[j], predicted[i]).mean()

    elif name == "vswav":
        vectors = references.normalize(numpy(model.clusters[part].vectors))
        scores = [references.normalize(view) @ vectors.T for view in views]

        def loss(i, j):
            sharpness = np.sqrt(6 / 9) if part == "dynamic" else 1.0  # widths of the parts
            settings = (temperature * sharpness, model.epsilon * sharpness, model.iterations)
            there = references.swapped_prediction(scores[i], scores[j], *settings).mean()
            back = references.swapped_prediction(scores[j], scores[i], *settings).mean()
            return (there + back) / 2

    elif name == "vvicreg":
        wide = through(model.expanders)

        def loss(i, j):
            weights = (model.invariance, model.variance, model.covariance)
            return references.vicreg(wide[i], wide[j], *weights)

    elif name == "vlejepa":
        wide = through(model.expanders)
        vectors = numpy(model.evaluation_loss.vectors(model.expander_width))

        def loss(i, j):
            return references.lejepa(wide[i], wide[j], vectors, model.weight)

    else:

        def loss(i, j):
            return references.barlow_twins(views[i], views[j], model.off_diagonal)

    return np.mean([loss(i, j) for i, j in PAIRS[name][len(views)]])


@EVERY_FRAMEWORK
def test_one_view_is_refused(name):
    with pytest.raises(ValueError, match="at least 2 views of a video. Received: 1 view"):
        train(make_framework(name), make_views(views=1))


@EVERY_FRAMEWORK
def test_the_same_four_arguments_come_first_and_every_one_is_in_the_config(name):
    parameters = inspect.signature(FRAMEWORKS[name].__init__).parameters
    shared = ["self", "encoder", "decoupling", "projection_head", "augmenter"]
    assert list(parameters)[:5] == shared
    own = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert len(own) <= 12
    assert set(own) - {"self"} <= set(make_framework(name).get_config())


def test_the_defaults_are_those_of_the_documents():
    momentum = {"momentum": 0.996, "momentum_steps": None}
    shared = inspect.signature(bod_keras.ContrastiveModel.__init__).parameters

    def own_arguments(kind):
        found = inspect.signature(kind.__init__).parameters.values()
        return {p.name: p.default for p in found if p.name not in shared}

    assert own_arguments(bod_keras.MomentumModel) == momentum
    swav = {"temperature": 0.1, "prototypes": 1000, "epsilon": 0.05, "iterations": 3}
    for _, kind in FRAMEWORKS.items():
        assert kind.own_arguments() == own_arguments(kind)  # its own, not those of a base class
    assert {name: own_arguments(FRAMEWORKS[name]) for name in FRAMEWORKS} == {
        "vsimclr": {"temperature": 0.1},
        "vmoco": {"temperature": 0.1, "queue_size": 65536, "wait_for_queue": False}
        | {**momentum, "momentum": 0.994},
        "vbyol": {"predictor_hidden": 256, **momentum},
        "vswav": {**swav, "freeze_steps": 0, "queue_size": 0, "queue_steps": 0},
        "vsimsiam": {"predictor_hidden": 64},
        "vvicreg": {"invariance": 25.0, "variance": 25.0, "covariance": 1.0}
        | {"expander_hidden": 256, "expander_width": 256},
        "vbarlow_twins": {"off_diagonal": 5e-3},
        "vlejepa": {"weight": 0.05, "slices": 256, "expander_hidden": 256, "expander_width": 64},
    }
    assert {
        name: FRAMEWORKS[name].in_epochs for name in FRAMEWORKS if FRAMEWORKS[name].in_epochs
    } == {
        "vmoco": {"momentum_steps": None},
        "vbyol": {"momentum_steps": None},
        "vswav": {"freeze_steps": 1.0, "queue_steps": 15.0},
    }


@EVERY_FRAMEWORK
def test_what_is_open_in_a_decoupling_is_settled(name):
    """By the framework and the encoder; in what is saved, too."""
    model = make_framework(name, True)
    assert model.decoupling == bod_keras.Decoupling(static_view=None)
    temperatures = {
        part: getattr(loss, "temperature", None) for part, loss in model.contrast.items()
    }
    if name in ("vsimclr", "vmoco"):
        assert temperatures == {"static": 0.2, "dynamic": 0.1}


@pytest.mark.parametrize("eager", [True, pytest.param(False, marks=slow)])
@EVERY_FRAMEWORK
def test_a_batch_of_one_video_is_refused_where_videos_are_compared(name, eager):
    """From an array, of which it is what is left over, and from a data set."""
    compares = name in ("vsimclr", "vmoco", "vvicreg", "vbarlow_twins", "vlejepa")
    views = make_views(batch=5)
    for source in (views, lambda: (batch for batch in [(views[:4],), (views[4:],)])):
        if not compares and (not eager or not callable(source)):
            continue
        model = make_framework(name, None, eager=eager)
        data, arguments = source, {"batch_size": 4}
        if callable(source):
            data, arguments = source(), {"steps_per_epoch": 2}
        if not compares:
            model.fit(data, verbose=0, **arguments)
            assert all(np.isfinite(w).all() for w in weights_of(model))
            continue
        with pytest.raises(Exception, match="at least 2 of them"):
            model.fit(data, verbose=0, shuffle=False, **arguments)
        assert all(np.isfinite(w).all() for w in weights_of(model))


def test_a_compiled_step_refuses_a_batch_of_one_video_too():
    views = make_views(batch=5)
    with pytest.raises(Exception, match="at least 2 of them"):
        model = make_framework("vsimclr", None, eager=False)
        model.fit(views, batch_size=4, verbose=0, shuffle=False)
