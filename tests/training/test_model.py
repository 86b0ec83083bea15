"""The training step of `BiLevelModel` against brute force, its statistics, positions and resumption."""

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras.backend import autodiff
from tests.tiny_models import (
    assert_same_weights,
    make_clips,
    make_model,
    make_views,
    train,
    weights_of,
)


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def by_path(model):
    return {id(w): value for w, value in zip(model.weights, weights_of(model))}


def bilevel(steps=1, scope="head", hypergradient="first_order"):
    return bod_keras.BiLevel(steps, 0.5, scope, hypergradient)


def brute_force(model, views, settings):
    """w_n and d U / d (all trainable weights), the features computed anew for every evaluation.

    Returns:
        ``(moved, gradients)``: arrays in the order of ``model.trainable_variables``.
    """
    clips = make_clips(views)
    variables = model.trainable_variables
    frozen = model.non_trainable_variables
    backbone = {id(v) for v in model.encoder.trainable_variables}
    everything = settings is not None and settings.scope == "all"
    free = [everything or id(v) not in backbone for v in variables]

    def loss(kind, values):
        def run():
            features = model.encoder(clips, training=True)
            if kind == "upper":
                return model.upper_loss(features, None, 2, training=True)[0]
            return model.lower_loss(features, 2)

        state = autodiff.current_values(frozen)
        return autodiff.functional_call(run, [*variables, *frozen], [*values, *state])[0]

    def descend(values, create_graph):
        for _ in range(settings.inner_steps if settings else 0):
            _, _, slopes = autodiff.value_and_grad(
                lambda v: (loss("lower", v), ()), values, create_graph=create_graph
            )
            values = [
                v - settings.inner_learning_rate * s if moves else v
                for v, s, moves in zip(values, slopes, free)
            ]
        return values

    start = autodiff.current_values(variables)
    if settings is not None and settings.hypergradient == "exact":

        def total(values):
            moved = descend(values, create_graph=True)
            return loss("upper", moved), moved

        _, moved, gradients = autodiff.value_and_grad(total, start)
    else:
        moved = descend(start, create_graph=False)
        _, _, gradients = autodiff.value_and_grad(lambda v: (loss("upper", v), ()), moved)
    return [numpy(x) for x in moved], [numpy(x) for x in gradients]


@pytest.mark.parametrize(
    "settings",
    [
        None,
        bilevel(2),
        bilevel(2, hypergradient="exact"),
        bilevel(1, scope="all"),
        pytest.param(
            bilevel(1, scope="all", hypergradient="exact"),
            marks=pytest.mark.skipif(
                keras.backend.backend() == "tensorflow", reason="refused, see below"
            ),
        ),
    ],
    ids=lambda s: "none" if s is None else f"{s.scope}-{s.hypergradient}-{s.inner_steps}",
)
def test_a_step_is_that_of_one_derivative_through_everything(settings):
    """The pull-back through features computed once loses nothing: SGD with rate 1 shows the gradient."""
    views = make_views()
    model = make_model(bilevel=settings, optimizer=keras.optimizers.SGD(1.0))
    moved, gradients = brute_force(model, views, settings)
    train(model, views)
    for variable, w, g in zip(model.trainable_variables, moved, gradients, strict=True):
        step = w - numpy(variable)
        np.testing.assert_allclose(
            step, g, atol=1e-5 * max(1, np.abs(g).max()), err_msg=variable.path
        )
    if settings is not None:
        plain = make_model(optimizer=keras.optimizers.SGD(1.0))
        train(plain, views)
        difference = [
            np.abs(numpy(v) - numpy(w)).max()
            for v, w in zip(model.trainable_variables, plain.trainable_variables)
        ]
        assert max(difference) > 1e-4, "the lower level must make a difference"


def test_finite_difference_follows_exact_through_the_whole_step():
    """Also in the backbone, which gets the mixed second-order term through the features."""

    def make_head():
        weights = keras.initializers.GlorotUniform(seed=0)
        return keras.layers.Dense(6, activation="tanh", kernel_initializer=weights)

    views = make_views()
    steps = {}
    for hypergradient in ("first_order", "finite_difference", "exact"):
        settings = bod_keras.BiLevel(2, 0.3, "head", hypergradient, inner_momentum=0.5)
        # A smooth head: a difference across the kinks of a few ReLUs says little about a derivative.
        model = make_model(
            bilevel=settings,
            optimizer=keras.optimizers.SGD(1.0),
            ridge=0.1,
            projection_head=make_head(),
        )
        if not steps:  # the lower level is the same for all three
            still = keras.optimizers.SGD(0.0)
            start = make_model(
                bilevel=settings, optimizer=still, ridge=0.1, projection_head=make_head()
            )
            train(start, views)
            moved = [numpy(v) for v in start.trainable_variables]
        train(model, views)
        inside = {id(v) for v in model.encoder.trainable_variables}
        change = [(w - numpy(v)).ravel() for w, v in zip(moved, model.trainable_variables)]
        of_backbone = [id(v) in inside for v in model.trainable_variables]
        steps[hypergradient] = [
            np.concatenate([c for c, own in zip(change, of_backbone) if own is part])
            for part in (True, False)
        ]
    for first, difference, exact in zip(*steps.values()):
        assert difference @ exact > 0.999 * np.linalg.norm(difference) * np.linalg.norm(exact)
        assert np.linalg.norm(exact - first) > 2e-3 * np.linalg.norm(exact)
        assert np.linalg.norm(difference - exact) < 0.2 * np.linalg.norm(first - exact)


def test_no_inner_steps_equal_the_plain_decoupled_step_bit_for_bit():
    views = make_views(batch=8)
    models = [
        make_model(bilevel=settings, optimizer=keras.optimizers.Adam(1e-2))
        for settings in (None, bilevel(0, hypergradient="finite_difference"))
    ]
    histories = [train(model, views) for model in models]
    assert histories[0]["loss"] == histories[1]["loss"]
    for v, w in zip(*[m.trainable_variables for m in models], strict=True):
        np.testing.assert_array_equal(numpy(v), numpy(w), err_msg=v.path)


@pytest.mark.parametrize(
    "settings",
    [
        None,
        bilevel(2, "head", "finite_difference"),
        bilevel(2, "all", "finite_difference"),
    ]
    + [bilevel(1, "head", "exact")],
    ids=lambda s: "none" if s is None else f"{s.scope}-{s.hypergradient}",
)
def test_batch_statistics_move_once_a_step_at_the_moved_weights(settings):
    views = make_views()
    # A rate of zero leaves the weights where the lower level put them.
    model = make_model(bilevel=settings, optimizer=keras.optimizers.SGD(0.0))
    other = make_model(bilevel=settings)
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
        models.append(
            make_model(bilevel=bilevel(1, "head", "finite_difference"), optimizer=optimizer)
        )
    histories = [train(model, views)["loss"] for model in models]
    assert histories[0] == pytest.approx(histories[1], rel=1e-6)
    for v, w in zip(*[m.trainable_variables for m in models], strict=True):
        np.testing.assert_allclose(numpy(v), numpy(w), atol=2e-5, err_msg=v.path)


@pytest.mark.parametrize("eager", [True, False])
def test_positions_are_those_of_the_last_batch(eager):
    views = make_views(batch=8)
    model = make_model(decoupled=False, eager=eager)
    train(model, {"views": views, "position": np.arange(100, 108)})
    assert (int(model.first_position), int(model.next_position)) == (104, 108)
    train(model, views)  # arrays have no position
    assert (int(model.first_position), int(model.next_position)) == (104, 108)


def scheduled():
    """Everything that has a state: both levels' schedules, momentum, dropout, a loss scale."""
    schedules = keras.optimizers.schedules
    return {
        "bilevel": bod_keras.BiLevel(
            2, schedules.ExponentialDecay(0.5, decay_steps=3, decay_rate=0.7), inner_momentum=0.9
        ),
        "optimizer": keras.optimizers.LossScaleOptimizer(
            keras.optimizers.AdamW(
                schedules.CosineDecay(0.0, 6, warmup_target=1e-2, warmup_steps=2), weight_decay=0.1
            ),
            initial_scale=64.0,
            dynamic_growth_steps=3,
        ),
        "dropout": 0.3,
    }


@pytest.mark.parametrize(
    "arguments",
    [
        lambda: {"optimizer": keras.optimizers.Adam(1e-2)},
        lambda: {
            "bilevel": bilevel(1, "head", "finite_difference"),
            "optimizer": keras.optimizers.SGD(
                0.1, momentum=0.9, gradient_accumulation_steps=3, use_ema=True
            ),
        },
        lambda: {"bilevel": bilevel(1, "all"), "dropout": 0.3},
        scheduled,
    ],
    ids=["plain", "accumulated", "dropout", "scheduled"],
)
@pytest.mark.parametrize("eager", [True, False])
def test_a_saved_model_goes_on_as_if_it_had_not_been_saved(arguments, eager, tmp_path):
    """After two steps of six; all losses, weights and states are equal to the last bit."""
    batches = {"views": make_views(), "position": np.arange(4)}
    whole = make_model(eager=eager, **arguments())
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
    model = make_model(bilevel=bilevel(), optimizer=optimizer)
    train(model, make_views(batch=12))
    assert (int(optimizer.iterations), bod_keras.training.steps_taken(model)) == (0, 3)


def test_a_subclass_must_say_what_its_losses_are():
    model = bod_keras.BiLevelModel()
    with pytest.raises(NotImplementedError, match="BiLevelModel must implement upper_loss"):
        model.upper_loss(None, None, 2, True)
    with pytest.raises(NotImplementedError, match="BiLevelModel must implement lower_loss"):
        model.lower_loss(None, 2)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about tf.nn.moments")
def test_exact_through_normalisation_that_tensorflow_cannot_differentiate_twice_is_refused():
    with pytest.raises(
        ValueError, match='stage1_norm, stage2_norm. Use hypergradient="finite_diff'
    ):
        make_model(bilevel=bilevel(1, "all", "exact"))
    head = keras.Sequential(
        [keras.layers.BatchNormalization(name="own_norm"), keras.layers.Dense(6)]
    )
    with pytest.raises(ValueError, match="wrong on TensorFlow: own_norm. Use"):
        make_model(bilevel=bilevel(1, "head", "exact"), projection_head=head)
