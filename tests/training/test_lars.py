"""LARS against its formula in NumPy, and with what Keras wraps around an optimizer."""

import keras
import numpy as np
import pytest
from keras import ops

from bod_keras.backend import autodiff
from bod_keras.training import LARS, save_model
from tests.tiny_models import assert_same_weights, make_model, make_views, train

BACKEND = keras.backend.backend()
SHAPES = {  # name of the weight, its shape
    "kernel": (2, 3, 3, 4),
    "matrix": (5, 4),
    "zeros": (3, 3),
    "still": (3, 2),
    "bias": (4,),
    "scale": (),
    "gate_bias": (2, 3),
}
PLAIN = ("bias", "scale", "gate_bias")  # by rank, by rank, by name


def make_weights():
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
    values["zeros"] *= 0
    return {name: np.asarray(value, "float32") for name, value in values.items()}


def make_gradients(step):
    """Of very different sizes; `still` has none at all, `zeros` only sometimes."""
    rng = np.random.default_rng(step + 1)
    values = {
        name: 10.0 ** (i - 4) * rng.normal(size=shape)
        for i, (name, shape) in enumerate(SHAPES.items())
    }
    values["still"] *= 0
    values["zeros"] *= step % 2
    return {name: np.asarray(value, "float32") for name, value in values.items()}


def reference(rates, momentum=0.9, decay=0.0, trust=0.001, epsilon=1e-8):
    """The weights after each step, in float64, one number at a time where there is a choice."""
    weights = {name: value.astype("float64") for name, value in make_weights().items()}
    velocities = {name: 0.0 for name in weights}
    for step, rate in enumerate(rates):
        for name, gradient in make_gradients(step).items():
            w, g, local = weights[name], gradient.astype("float64"), 1.0
            if name not in PLAIN:
                g = g + decay * w
                w_norm, g_norm = np.linalg.norm(w.ravel()), np.linalg.norm(g.ravel())
                if w_norm > 0 and g_norm > 0:
                    local = trust * w_norm / (g_norm + epsilon)
            velocities[name] = momentum * velocities[name] + rate * local * g
            weights[name] = w - velocities[name]
    return weights


def make_variables():
    return [keras.Variable(value, name=name) for name, value in make_weights().items()]


def run(optimizer, steps, gradients=make_gradients):
    """The weights, by name, that an optimizer arrives at."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    inner.exclude_from_weight_decay(var_names=["bias"])
    variables = make_variables()
    optimizer.build(variables)
    for step in range(steps):
        values = [ops.convert_to_tensor(g) for g in gradients(step).values()]
        autodiff.apply_gradients(optimizer, values, variables)
    return {v.name: ops.convert_to_numpy(v) for v in variables}


def assert_close(got, wanted, rtol=1e-5):
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=rtol, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"decay": 0.1},
        {"decay": 0.01, "momentum": 0.0, "trust": 0.02, "epsilon": 0.5},
    ],
    ids=str,
)
def test_steps_are_those_of_the_formula(settings):
    """Six steps on a schedule; the excluded, zero and still weights among them."""
    names = {"decay": "weight_decay", "trust": "trust_coefficient"}
    arguments = {names.get(key, key): value for key, value in settings.items()}
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.8)
    got = run(LARS(schedule, **arguments), 6)
    assert_close(got, reference([0.5 * 0.8**k for k in range(6)], **settings))


def test_the_rate_is_inside_of_the_velocity():
    """A velocity gathered at rate 1 rolls on once the rate is 0."""
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 0.0])
    start, first, second = (run(LARS(schedule, momentum=0.5), n)["kernel"] for n in (0, 1, 2))
    np.testing.assert_allclose(second - first, 0.5 * (first - start), atol=1e-6)


def test_the_rate_may_be_a_function():
    assert_close(run(LARS(lambda: 0.3), 2), reference([0.3, 0.3]))


def test_decay_is_in_the_gradient_and_nowhere_else():
    """Without a gradient: in the direction of -w, lr c long. Keras' own decay would be lr d long."""
    nothing = lambda step: {n: 0 * g for n, g in make_gradients(step).items()}  # noqa: E731
    optimizer = LARS(0.5, weight_decay=0.3, trust_coefficient=0.01)
    got, start = run(optimizer, 1, nothing), make_weights()
    assert optimizer.weight_decay == 0.3
    assert_close(got, {name: w if name in PLAIN else w * 0.995 for name, w in start.items()})


def test_only_a_weights_own_name_excludes_it():
    """On every backend: TensorFlow's native variables carry the name of the layer in front."""
    layer = keras.layers.Dense(2, name="bias_gate")
    layer.build((None, 3))
    optimizer = LARS(1.0, trust_coefficient=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    start = ops.convert_to_numpy(layer.kernel).copy()
    optimizer.apply([ops.ones((3, 2)), ops.ones((2,))], layer.trainable_variables)
    length = np.linalg.norm(ops.convert_to_numpy(layer.kernel) - start)
    assert length == pytest.approx(0.1 * np.linalg.norm(start), rel=1e-4)
    np.testing.assert_allclose(ops.convert_to_numpy(layer.bias), -1.0)


def test_accumulated_gradients_are_averaged():
    accumulated = LARS(0.5, weight_decay=0.1, gradient_accumulation_steps=2)
    mean = {n: (g + make_gradients(1)[n]) / 2 for n, g in make_gradients(0).items()}
    assert_close(
        run(accumulated, 2), run(LARS(0.5, weight_decay=0.1), 1, lambda step: mean), rtol=1e-4
    )
    accumulated = LARS(0.5, weight_decay=0.1, gradient_accumulation_steps=2)
    assert_close(run(accumulated, 1), make_weights(), rtol=0)


def test_clipping_shortens_only_the_plain_steps():
    got, free = run(LARS(0.5, clipnorm=0.1), 1), run(LARS(0.5), 1)
    for name, start in make_weights().items():
        if name in PLAIN:
            assert np.linalg.norm(got[name] - start) == pytest.approx(0.5 * 0.1, rel=1e-3)
        else:
            np.testing.assert_allclose(got[name], free[name], atol=1e-5, err_msg=name)


def test_weight_averages_follow():
    optimizer = LARS(0.5, use_ema=True, ema_momentum=0.8)
    variables, average = make_variables(), None
    for step in range(3):
        optimizer.apply(
            [ops.convert_to_tensor(g) for g in make_gradients(step).values()], variables
        )
        now = ops.convert_to_numpy(variables[0]).copy()
        average = now if average is None else 0.8 * average + 0.2 * now
    optimizer.finalize_variable_values(variables)
    np.testing.assert_allclose(ops.convert_to_numpy(variables[0]), average, atol=1e-6)


def test_a_scaled_loss_gives_the_same_steps_and_an_overflow_none():
    def scaled(step):
        gradients = {name: 1024 * g for name, g in make_gradients(step).items()}
        if step == 1:
            gradients["bias"] = gradients["bias"] * np.inf
        return gradients

    optimizer = keras.optimizers.LossScaleOptimizer(
        LARS(0.5, weight_decay=0.1), initial_scale=1024.0
    )
    assert_close(run(optimizer, 2, scaled), reference([0.5], decay=0.1))


def test_half_precision_trains_float32_weights():
    keras.config.set_dtype_policy("mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(
        LARS(1.0, weight_decay=1e-4, trust_coefficient=0.01), initial_scale=64.0
    )
    model = make_model(optimizer=optimizer, decoupling=None)
    start = [ops.convert_to_numpy(v).copy() for v in model.trainable_variables]
    assert np.isfinite(train(model, make_views(), epochs=2)["loss"]).all()
    assert int(optimizer.iterations) == 2
    for before, v in zip(start, model.trainable_variables, strict=True):
        assert keras.backend.standardize_dtype(v.dtype) == "float32"
        assert len(v.shape) < 2 or np.abs(ops.convert_to_numpy(v) - before).max() > 0, v.path


@pytest.mark.skipif(BACKEND == "torch", reason="torch.compile does not compile Keras' fit reliably")
def test_a_compiled_step_equals_an_eager_one():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 3))
    found = []
    for compiled in (False, True):
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(6, activation="tanh"), keras.layers.Dense(3)]
        model = keras.Sequential([keras.Input((4,)), *layers])
        optimizer = LARS(0.1, weight_decay=1e-3, trust_coefficient=0.2)
        model.compile(optimizer, loss="mse", run_eagerly=not compiled, jit_compile=compiled)
        model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0)
        found.append(model)
    assert_same_weights(*found, atol=1e-5)


@pytest.mark.parametrize("accumulate", [None, 2])
def test_a_saved_run_goes_on_to_the_last_bit(accumulate, tmp_path):
    views = make_views()
    schedule = keras.optimizers.schedules.CosineDecay(1.0, 10)
    arguments = {"momentum": 0.8, "weight_decay": 0.01, "trust_coefficient": 0.02, "epsilon": 1e-6}
    whole = make_model(
        optimizer=LARS(schedule, gradient_accumulation_steps=accumulate, **arguments)
    )
    train(whole, views, epochs=3)
    save_model(whole, tmp_path / "half.keras")
    resumed = keras.saving.load_model(tmp_path / "half.keras")
    resumed.run_eagerly = True
    config = resumed.optimizer.get_config()
    assert isinstance(resumed.optimizer, LARS)
    assert {key: config[key] for key in arguments} == arguments
    for model in (whole, resumed):
        train(model, views, epochs=2)
    assert_same_weights(whole, resumed)
    for v, w in zip(whole.optimizer.variables, resumed.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(v), ops.convert_to_numpy(w))


def descend(optimizer, steps=200):
    """Losses of y = b a x, with a of the order 100 and b of 0.01, for targets of the order 1."""
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(8, 64)), rng.normal(size=(4, 64))
    a = keras.Variable((100 * rng.normal(size=(6, 8))).astype("float32"), name="a")
    b = keras.Variable((0.01 * rng.normal(size=(4, 6))).astype("float32"), name="b")
    losses = []
    for _ in range(steps):
        a_now, b_now = (ops.convert_to_numpy(v).astype("float64") for v in (a, b))
        error = b_now @ a_now @ x - target
        losses.append((error**2).mean())
        slope = 2 * error / error.size
        gradients = [b_now.T @ slope @ x.T, slope @ (a_now @ x).T]
        optimizer.apply([ops.convert_to_tensor(g.astype("float32")) for g in gradients], [a, b])
    return np.array(losses)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_badly_scaled_layers_train_where_plain_descent_diverges():
    """At a rate that is small for one layer and large for the other."""
    plain = descend(keras.optimizers.SGD(0.01, momentum=0.9))
    adapted = descend(LARS(1.0, momentum=0.9, trust_coefficient=0.003))
    assert not plain[-1] < 1e3 * plain[0]
    assert adapted[-10:].max() < 0.95 * adapted[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\).*Received: 1.0"),
        ({"momentum": -0.1}, "Received: -0.1"),
        ({"trust_coefficient": 0.0}, "trust_coefficient must be positive.*Received: 0.0"),
        ({"weight_decay": -1e-4}, "weight_decay must not be negative. Received: -0.0001"),
        ({"epsilon": -1.0}, "epsilon must not be negative. Received: -1.0"),
        ({"learning_rate": 1}, "`learning_rate` should be float"),
        ({"beta": 0.9}, "beta"),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        LARS(**arguments)
