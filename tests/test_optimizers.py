"""The optimizers and schedules that a config describes."""

import math

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras import experiment, training
from bod_keras.configs import base
from bod_keras.errors import UserError
from tests.tiny_models import make_model

STEPS = 10  # an epoch


def make_config(epochs=20, batch_size=16, **settings):
    config = base.get_config()
    config.epochs = epochs
    config.clips.batch_size = batch_size
    config.optimizer.update(settings)
    return config


def make_optimizer(**arguments):
    return experiment.build_optimizer(make_config(**arguments), STEPS)


def rates(optimizer, *steps):
    """The rate that each of these batches would train with."""
    found = []
    for step in steps:
        optimizer._iterations.assign(step)
        found.append(float(ops.convert_to_numpy(optimizer.learning_rate)))
    return found


def cosine(share, peak, final=0.0):
    return final + (peak - final) * (1 + math.cos(math.pi * share)) / 2


def test_the_schedule_warms_up_and_follows_the_cosine_to_its_end():
    """5 of 20 epochs: 50 batches up, 150 down."""
    optimizer = make_optimizer(
        learning_rate=0.6, warmup_epochs=5.0, warmup_learning_rate=0.1, final_learning_rate=0.02
    )
    wanted = [0.1, 0.35, 0.6, *(cosine(k / 150, 0.6, 0.02) for k in (1, 50, 75, 149)), 0.02, 0.02]
    found = rates(optimizer, 0, 25, 50, 51, 100, 125, 199, 200, 300)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert found[5] == pytest.approx(0.31)


@pytest.mark.parametrize("warmup", [0.0, 5.0])
def test_by_default_it_starts_and_ends_at_zero(warmup):
    """Without a warm-up it starts at the peak, whatever warmup_learning_rate is."""
    start = {} if warmup else {"warmup_learning_rate": 0.1}
    first, last = rates(make_optimizer(learning_rate=0.2, warmup_epochs=warmup, **start), 0, 200)
    assert first == pytest.approx(0.0 if warmup else 0.2)
    assert last == pytest.approx(0.0, abs=1e-7)


def values(schedule, steps):
    return [float(ops.convert_to_numpy(schedule(step))) for step in steps]


@pytest.mark.parametrize(
    ("peak", "steps", "warmup", "first", "final"),
    [
        (1, 110, 10, 0, 0),
        (0.4, 100, 10, 0, 0),
        (2, 60, 10, 1, 1),
        (3, 50, 0, 0, 0),
        (np.int64(1), np.int64(50), np.int64(10), np.int64(0), 0.25),
    ],
    ids=str,
)
def test_integers_are_as_good_as_floats(peak, steps, warmup, first, final):
    """Keras computes in the type of the first argument, `first` here: on PyTorch and JAX, in integers."""
    schedule = training.warmup_cosine(peak, steps, warmup, first=first, final=final)
    wanted = [
        first + (peak - first) * k / warmup
        if k < warmup
        else cosine((k - warmup) / (steps - warmup), peak, final)
        for k in range(steps + 1)
    ]
    np.testing.assert_allclose(values(schedule, range(steps + 1)), wanted, atol=1e-6)


@pytest.mark.parametrize(
    "settings", [{"peak": 0}, {"steps": 0}, {"warmup": -1}, {"first": -0.1}, {"final": -1}], ids=str
)
def test_a_cosine_out_of_range_is_named(settings):
    with pytest.raises(UserError, match="peak must be above 0, steps at least 1"):
        training.warmup_cosine(**{"peak": 0.1, "steps": 10, **settings})


@pytest.mark.parametrize("warmup", [0, 3, 4])
def test_steps_multiply_the_rate_after_a_warm_up(warmup):
    """A boundary within the warm-up, too. The schedule survives saving, being Keras' own."""
    schedule = training.warmup_steps(2, [2, 6, 8], factor=0.5, warmup=warmup)
    schedule = type(schedule).from_config(schedule.get_config())
    wanted = [
        2 * (min(1, k / warmup) if warmup else 1) * 0.5 ** sum(b <= k for b in (2, 6, 8))
        for k in range(10)
    ]
    np.testing.assert_allclose(values(schedule, range(10)), wanted, rtol=1e-6)


def test_a_long_warm_up_rises_in_stairs_of_one_percent():
    schedule = training.warmup_steps(1.0, [], warmup=1000)
    steps = [0, 1, 250, 509, 990, 1000, 5000]
    np.testing.assert_allclose(values(schedule, steps), [0, 0, 0.25, 0.5, 0.99, 1, 1], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"peak": 0.0}, "peak must be above 0"),
        ({"factor": 1.5}, "factor=1.5"),
        ({"boundaries": [5, 3]}, r"must ascend from 1. Received: \[5, 3\]"),
    ],
    ids=str,
)
def test_wrong_steps_are_named(settings, message):
    with pytest.raises(UserError, match=message):
        training.warmup_steps(**{"peak": 0.1, "boundaries": [1, 2], **settings})


def test_the_schedule_counts_batches_where_several_make_one_update():
    """Keras hands the schedule the count of batches: the last of 40 has nearly come to the end."""
    optimizer = make_optimizer(
        epochs=4, learning_rate=0.4, warmup_epochs=1.0, accumulate=4, name="sgd"
    )
    weight, found = keras.Variable(np.ones((2, 2), "float32")), []
    for _ in range(40):
        found.append(float(ops.convert_to_numpy(optimizer.learning_rate)))
        optimizer.apply([ops.ones((2, 2))], [weight])
    assert int(optimizer.iterations) == 10
    wanted = [0.4 * k / 10 if k < 10 else cosine((k - 10) / 30, 0.4) for k in range(40)]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "peak"),
    [
        ({}, 0.6),
        ({"reference_batch": 64}, 0.6 / 4),
        ({"reference_batch": 64, "accumulate": 8}, 0.6 * 2),
        ({"accumulate": 8}, 0.6),
    ],
    ids=str,
)
def test_the_peak_scales_with_the_batch_and_nothing_else_does(settings, peak):
    optimizer = make_optimizer(
        learning_rate=0.6,
        warmup_epochs=5.0,
        warmup_learning_rate=0.001,
        final_learning_rate=0.01,
        **settings,
    )
    np.testing.assert_allclose(rates(optimizer, 0, 50, 200), [0.001, peak, 0.01], rtol=1e-5)


def test_the_defaults_are_what_they_were():
    """AdamW at 1e-3 from the first batch, decay 1e-4, nothing clipped or accumulated."""
    optimizer = make_optimizer()
    config = optimizer.get_config()
    schedule = config["learning_rate"]["config"]
    assert isinstance(optimizer, keras.optimizers.AdamW)
    assert (config["weight_decay"], config["clipnorm"]) == (1e-4, None)
    assert config["gradient_accumulation_steps"] is None
    assert (schedule["initial_learning_rate"], schedule["decay_steps"]) == (1e-3, 20 * STEPS)
    assert (schedule["alpha"], schedule["warmup_target"], schedule["warmup_steps"]) == (0, None, 0)


@pytest.mark.parametrize("name", experiment.OPTIMIZERS)
def test_every_optimizer_gets_its_settings(name):
    optimizer = make_optimizer(
        name=name, momentum=0.8, weight_decay=0.02, clipnorm=3.0, accumulate=2
    )
    assert isinstance(optimizer, experiment.OPTIMIZERS[name])
    assert optimizer.get_config().get("momentum") == (None if name == "adamw" else 0.8)
    assert (optimizer.weight_decay, optimizer.clipnorm) == (0.02, 3.0)
    assert optimizer.gradient_accumulation_steps == 2
    assert make_optimizer(name=name, weight_decay=0.0).weight_decay == 0


def r3d():
    encoder = bod_keras.encoders.R3D18((2, 16, 16, 3), width=2)
    return bod_keras.VSimCLR(encoder, None, projection_head=bod_keras.ProjectionHead(8, 4))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("name", experiment.OPTIMIZERS)
def test_compiling_leaves_biases_and_batch_norm_out_of_the_decay(name, policy):
    """Of R3D-18 and the head, also inside of a `LossScaleOptimizer`: all kernels decay, nothing else."""
    keras.config.set_dtype_policy(policy)
    model = r3d()
    model.compile(make_optimizer(name=name))
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    decayed = [v for v in model.trainable_variables if optimizer._use_weight_decay(v)]
    kernels = [v for v in model.trainable_variables if len(v.shape) > 1]
    assert [v.path for v in decayed] == [v.path for v in kernels]
    assert {v.name for v in kernels} == {"kernel"}
    others = {v.name for v in model.trainable_variables} - {"kernel"}
    assert others == {"bias", "gamma", "beta"}


@pytest.mark.parametrize("name", experiment.OPTIMIZERS)
def test_a_step_without_a_gradient_shrinks_matrices_alone(name):
    model = make_model(optimizer=make_optimizer(name=name, learning_rate=0.1, weight_decay=0.5))
    start = [ops.convert_to_numpy(v).copy() for v in model.trainable_variables]
    gradients = [ops.zeros(v.shape) for v in model.trainable_variables]
    model.optimizer.apply(gradients, model.trainable_variables)
    share = {"adamw": 0.1 * 0.5, "sgd": 0.1 * 0.5, "lars": 0.1 * 0.001}[name]
    for before, v in zip(start, model.trainable_variables, strict=True):
        kept = 1 - share if len(v.shape) > 1 else 1.0
        np.testing.assert_allclose(
            ops.convert_to_numpy(v), kept * before, rtol=1e-6, err_msg=v.path
        )


@pytest.mark.parametrize("name", experiment.OPTIMIZERS)
def test_vectors_of_a_loaded_model_do_not_decay_either(name, tmp_path):
    """Keras forgets the exclusion when it saves; a Keras model of the user's own is in the same case."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, bias_initializer="ones")])
    model.compile(make_optimizer(name=name, learning_rate=0.1, weight_decay=0.5), "mse")
    training.exclude_vectors_from_weight_decay(model.optimizer)
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    training.exclude_vectors_from_weight_decay(loaded.optimizer)
    kernel, bias = loaded.trainable_variables
    before = np.abs(ops.convert_to_numpy(kernel)).sum()
    loaded.optimizer.apply([ops.zeros(w.shape) for w in (kernel, bias)], [kernel, bias])
    assert np.abs(ops.convert_to_numpy(kernel)).sum() < before
    np.testing.assert_array_equal(ops.convert_to_numpy(bias), 1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "lasr"}, "one of adamw, sgd, lars. Received: .lasr.. Did you mean lars?"),
        ({"name": "adam"}, "Did you mean adamw?"),
        ({"accumulate": 0}, "accumulate must be at least 1. Received: 0"),
        ({"reference_batch": 0}, "reference_batch must be the batch size .* Received: 0"),
        ({"final_learning_rate": 0.1}, r"final_learning_rate .* the peak, 0.001 .* Received: 0.1"),
        ({"final_learning_rate": -0.1}, "final_learning_rate must lie between 0"),
        ({"warmup_epochs": 1.0, "warmup_learning_rate": 0.1}, "warmup_learning_rate must lie"),
        ({"name": "sgd", "momentum": 1.5}, "`momentum` must be a float"),
        ({"name": "lars", "momentum": 1.0}, r"momentum must lie in \[0, 1\)"),
    ],
    ids=str,
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        make_optimizer(**settings)
