"""The training step of `BiLevelModel` against brute force, its statistics, positions and resumption."""

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras.backend import autodiff
from tests.tiers import slow
from tests.tiny_models import (
    FRAMES,
    SIZE,
    assert_same_weights,
    make_clips,
    make_model,
    make_moving_views,
    make_views,
    numpy,
    simple,
    train,
)
from tests.unrolled import hypergradient


def lower_level(steps=1, scope="head", rate=0.5):
    return bod_keras.BiLevel(steps, rate, scope)


def brute_force(model, views, settings):
    """What `hypergradient` returns, the features computed anew for every evaluation, in arrays.

    The weights that the lower level moves come first, as in ``model.lower_weights()``.
    """
    clips, head = make_clips(views), model.lower_weights()
    inside = {id(v) for v in head}
    outer = [v for v in model.trainable_variables if id(v) not in inside]
    frozen = model.non_trainable_variables
    state = autodiff.current_values(frozen)

    def run(fn, weights, inputs):
        variables, values = [*head, *outer, *frozen], [*weights, *inputs, *state]
        return autodiff.functional_call(fn, variables, values)[0]

    def upper(weights, inputs):
        def loss():
            features = model.encoder(clips, training=True)
            return model.upper_loss(features, None, 2, training=True)[0]

        return run(loss, weights, inputs)

    def lower(weights, inputs):
        return run(
            lambda: model.lower_loss(model.encoder(clips, training=True), 2), weights, inputs
        )

    values = autodiff.current_values(head), autodiff.current_values(outer)
    steps, rate = (settings.inner_steps, settings.inner_learning_rate) if settings else (0, 0.0)
    results = hypergradient(upper, lower, *values, steps, rate)
    return head, outer, [[numpy(x) for x in result] for result in results]


def smooth_networks():
    """Without kinks, across which a difference says little about a derivative, and without batch statistics."""
    clips = keras.Input((FRAMES, SIZE, SIZE, 3))
    x = keras.layers.Conv3D(6, (1, 3, 3), activation="tanh")(clips)
    encoder = keras.Model(clips, ops.mean(x, axis=(2, 3)))
    return {
        "encoder": encoder,
        "projection_head": keras.layers.Dense(6, activation="tanh"),
    }


def flat(arrays):
    return np.concatenate([a.ravel() for a in arrays])


@pytest.mark.parametrize(
    "settings",
    [lower_level(steps, scope, rate=5.0) for scope in ("head", "all") for steps in (1, 2)],
    ids=lambda s: f"{s.scope}-{s.inner_steps}",
)
def test_a_step_is_that_of_one_derivative_through_everything(settings):
    """Also in the backbone, which gets the mixed second-order term through features computed once."""
    views = make_moving_views()

    def make(rate):
        decoupling = simple(bilevel=settings, ridge=0.1)
        return make_model(decoupling, optimizer=keras.optimizers.SGD(rate), **smooth_networks())

    still, model = make(0.0), make(1.0)
    head, outer, (moved, first, exact) = brute_force(model, views, settings)
    train(still, views)  # a rate of zero leaves the weights where the lower level put them
    train(model, views)
    for variable, expected in zip(still.lower_weights(), moved, strict=True):
        np.testing.assert_allclose(numpy(variable), expected, atol=1e-6)
    before = {id(v): numpy(w) for v, w in zip(model.weights, still.weights, strict=True)}
    steps = [before[id(v)] - numpy(v) for v in [*head, *outer]]
    for part in (slice(len(head)), slice(len(head), None)):
        if not steps[part]:
            continue
        step, slope, truth = flat(steps[part]), flat(first[part]), flat(exact[part])
        assert step @ truth > 0.999 * np.linalg.norm(step) * np.linalg.norm(truth)
        assert np.linalg.norm(truth - slope) > 1e-3 * np.linalg.norm(truth)
        assert np.linalg.norm(step - truth) < 0.2 * np.linalg.norm(slope - truth)


def test_without_a_lower_level_the_step_is_the_gradient():
    views = make_views()
    model = make_model(optimizer=keras.optimizers.SGD(1.0))
    head, outer, (_, first, _) = brute_force(model, views, None)
    before = [numpy(v).copy() for v in [*head, *outer]]
    train(model, views)
    for variable, old, gradient in zip([*head, *outer], before, first, strict=True):
        tolerance = 1e-5 * max(1, np.abs(gradient).max())
        np.testing.assert_allclose(
            old - numpy(variable), gradient, atol=tolerance, err_msg=variable.path
        )


@pytest.mark.parametrize(
    "settings",
    [None, lower_level(2), lower_level(2, "all")],
    ids=lambda s: "none" if s is None else s.scope,
)
def test_batch_statistics_move_once_a_step_at_the_moved_weights(settings):
    views = make_views()
    # A rate of zero leaves the weights where the lower level put them.
    model = make_model(simple(bilevel=settings), optimizer=keras.optimizers.SGD(0.0))
    other = make_model(simple(bilevel=settings))
    train(model, views)
    for v, w in zip(other.trainable_variables, model.trainable_variables, strict=True):
        v.assign(ops.copy(w.value))
    other(make_clips(views), training=True)
    statistics = [
        [w for w in m.non_trainable_variables if "moving" in w.path] for m in (model, other)
    ]
    assert len(statistics[0]) == 6  # two stages of the encoder and the head
    for v, w in zip(*statistics, strict=True):
        np.testing.assert_allclose(numpy(v), numpy(w), rtol=1e-5, atol=1e-6, err_msg=v.path)
        start = 1.0 if "variance" in v.path else 0.0
        assert np.abs(numpy(v) - start).max() > 1e-4


def test_loss_scaling_leaves_the_step_alone():
    views = make_views()
    models = []
    for scale in (None, 1024.0):
        optimizer = keras.optimizers.SGD(0.5)
        if scale:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=scale)
        models.append(make_model(simple(bilevel=lower_level()), optimizer=optimizer))
    histories = [train(model, views)["loss"] for model in models]
    assert histories[0] == pytest.approx(histories[1], rel=1e-6)
    for v, w in zip(*[m.trainable_variables for m in models], strict=True):
        np.testing.assert_allclose(numpy(v), numpy(w), atol=2e-5, err_msg=v.path)


@pytest.mark.parametrize("eager", [True, False])
def test_positions_are_those_of_the_last_batch(eager):
    views = make_views(batch=8)
    model = make_model(decoupling=None, eager=eager)
    train(model, {"views": views, "position": np.arange(100, 108)})
    assert (int(model.first_position), int(model.next_position)) == (104, 108)
    train(model, views)  # arrays have no position
    assert (int(model.first_position), int(model.next_position)) == (104, 108)


def scheduled():
    """Everything that has a state: schedules, momentum, dropout, a loss scale."""
    schedules = keras.optimizers.schedules
    return {
        "decoupling": simple(bilevel=lower_level(2)),
        "optimizer": keras.optimizers.LossScaleOptimizer(
            keras.optimizers.AdamW(
                schedules.CosineDecay(0.0, 6, warmup_target=1e-2, warmup_steps=2), weight_decay=0.1
            ),
            initial_scale=64.0,
            dynamic_growth_steps=3,
        ),
        "dropout": 0.3,
    }


STATES = {
    "plain": lambda: {"optimizer": keras.optimizers.Adam(1e-2)},
    "accumulated": lambda: {
        "decoupling": simple(bilevel=lower_level()),
        "optimizer": keras.optimizers.SGD(
            0.1, momentum=0.9, gradient_accumulation_steps=3, use_ema=True
        ),
    },
    "dropout": lambda: {"decoupling": simple(bilevel=lower_level(1, "all")), "dropout": 0.3},
    "scheduled": scheduled,
}


@pytest.mark.parametrize(
    ("kind", "eager"),
    [
        *((kind, True) for kind in STATES),
        ("plain", False),
        *(pytest.param(kind, False, marks=slow) for kind in list(STATES)[1:]),
    ],
)
def test_a_saved_model_goes_on_as_if_it_had_not_been_saved(kind, eager, tmp_path):
    """After two steps of six; all losses, weights and states are equal to the last bit."""
    batches = {"views": make_views(), "position": np.arange(4)}
    whole = make_model(eager=eager, **STATES[kind]())
    for _ in range(2):
        whole.train_on_batch(batches)
    bod_keras.training.save_model(whole, tmp_path / "half.keras")
    resumed = keras.models.load_model(tmp_path / "half.keras")
    resumed.run_eagerly = eager
    assert (int(resumed.next_position), bod_keras.training.steps_taken(resumed)) == (4, 2)
    for model in (whole, resumed):
        model.reset_metrics()
    for _ in range(4):
        logs = [m.train_on_batch(batches, return_dict=True) for m in (whole, resumed)]
        assert logs[0] == logs[1]
    assert_same_weights(whole, resumed)
    states = [m.optimizer.variables + m.non_trainable_variables for m in (whole, resumed)]
    for v, w in zip(*states, strict=True):
        np.testing.assert_array_equal(numpy(v), numpy(w), err_msg=v.path)


def test_a_file_with_other_random_seeds_is_refused(tmp_path):
    make_model(dropout=0.3).save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ValueError, match="states of 1 random seeds, this model has 0"):
        make_model().load_weights(tmp_path / "model.weights.h5")


def test_steps_are_counted_where_the_optimizer_stands_still():
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=4)
    model = make_model(simple(bilevel=lower_level()), optimizer=optimizer)
    train(model, make_views(batch=12))
    assert (int(optimizer.iterations), bod_keras.training.steps_taken(model)) == (0, 3)


def test_a_subclass_must_say_what_its_losses_are():
    model = bod_keras.BiLevelModel()
    with pytest.raises(NotImplementedError, match="BiLevelModel must implement upper_loss"):
        model.upper_loss(None, None, 2, True)
    with pytest.raises(NotImplementedError, match="BiLevelModel must implement lower_loss"):
        model.lower_loss(None, 2)
