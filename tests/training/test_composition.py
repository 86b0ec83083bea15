"""The bi-level step with what Keras adds: clipping, accumulation, averages, precision, compilation."""

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from tests.tiers import first_of, slow
from tests.tiny_models import (
    assert_same_weights,
    make_model,
    make_moving_views,
    make_views,
    simple,
    train,
    weights_of,
)

BACKEND = keras.backend.backend()
SETTINGS = {
    "head": {"inner_learning_rate": 0.1},
    "all": {"inner_learning_rate": 0.05, "scope": "all"},
    "two steps": {"inner_learning_rate": 0.1, "inner_steps": 2},
}


def decoupling_of(name, **settings):
    return simple(bilevel=bod_keras.BiLevel(**SETTINGS[name]), **settings)


def flat(model):
    return np.concatenate([ops.convert_to_numpy(v).ravel() for v in model.trainable_variables])


def copy_weights(source, target):
    for w, value in zip(target.weights, weights_of(source), strict=True):
        w.assign(value)


def step(views, optimizer, start=None, **kwargs):
    """Trainable weights, in one vector, after one step from the weights of the model `start`."""
    model = make_model(optimizer=optimizer, **kwargs)
    if start is not None:
        copy_weights(start, model)
    train(model, views)
    return flat(model)


@pytest.mark.parametrize("name", SETTINGS)
def test_clipping_acts_on_the_hypergradient(name):
    """From w_n, where the lower level ends, the clipped step goes the same way, and no further than allowed."""
    views, decoupling = make_views(), decoupling_of(name)
    start = step(views, keras.optimizers.SGD(0.0), decoupling=decoupling)
    gradient = start - step(views, keras.optimizers.SGD(1.0), decoupling=decoupling)
    limit = 0.1 * float(np.linalg.norm(gradient))
    optimizer = keras.optimizers.SGD(1.0, global_clipnorm=limit)
    clipped = start - step(views, optimizer, decoupling=decoupling)
    np.testing.assert_allclose(clipped, 0.1 * gradient, atol=1e-5)


@pytest.mark.parametrize("name", first_of(SETTINGS))
def test_accumulated_gradients_are_those_of_each_batch(name):
    """The lower level steps on every batch; the optimizer once, with the mean of the hypergradients."""
    views, decoupling = (make_views(seed=0), make_views(seed=1)), decoupling_of(name)
    optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=2)
    model = make_model(decoupling=decoupling, optimizer=optimizer)
    first = step(views[0], keras.optimizers.SGD(0.0), decoupling=decoupling)
    gradient = first - step(views[0], keras.optimizers.SGD(1.0), decoupling=decoupling)
    train(model, views[0])
    np.testing.assert_allclose(flat(model), first, atol=1e-6)
    second = step(views[1], keras.optimizers.SGD(0.0), model, decoupling=decoupling)
    gradient += second - step(views[1], keras.optimizers.SGD(1.0), model, decoupling=decoupling)
    train(model, views[1])
    np.testing.assert_allclose(flat(model), second - gradient / 2, atol=1e-5)


@pytest.mark.parametrize("name", SETTINGS)
def test_weight_averages_follow_both_levels(name):
    views = make_views()
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8)
    model = make_model(decoupling_of(name), optimizer=optimizer)
    average = None
    for _ in range(4):
        model.train_on_batch(views)
        now = flat(model)
        average = now if average is None else 0.8 * average + 0.2 * now
    model.optimizer.finalize_variable_values(model.trainable_variables)
    np.testing.assert_allclose(flat(model), average, rtol=1e-6, atol=1e-6)
    assert np.abs(now - average).max() > 1e-3


@pytest.mark.parametrize(("policy", "least"), [("mixed_bfloat16", 0.95), ("mixed_float16", 0.98)])
@pytest.mark.parametrize("name", first_of(SETTINGS))
def test_the_step_in_mixed_precision_is_nearly_that_in_float32(policy, least, name):
    """Cosine of the two steps, of which rounding turns a ReLU on or off; noise has no operator to speak of."""
    views, arguments = make_moving_views(), {"decoupling": decoupling_of(name, ridge=0.1)}
    start = flat(make_model())
    full = step(views, keras.optimizers.SGD(0.1), **arguments) - start
    keras.config.set_dtype_policy(policy)
    optimizer = keras.optimizers.SGD(0.1)
    if policy == "mixed_float16":  # the default scale, 2^15, overflows first, as it should
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=64.0)
    model = make_model(optimizer=optimizer, **arguments)
    train(model, views)
    half = flat(model) - start
    assert half @ full > least * np.linalg.norm(half) * np.linalg.norm(full)
    assert {keras.backend.standardize_dtype(v.dtype) for v in model.variables} <= {
        "float32",
        "int32",
    }


def test_half_precision_scales_the_loss_by_itself():
    keras.config.set_dtype_policy("mixed_float16")
    assert isinstance(make_model().optimizer, keras.optimizers.LossScaleOptimizer)
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert not isinstance(make_model().optimizer, keras.optimizers.LossScaleOptimizer)


def test_a_loss_scale_that_overflows_is_halved_and_the_step_left_out():
    keras.config.set_dtype_policy("mixed_float16")
    views = make_views()
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=1e25)
    model = make_model(decoupling_of("all"), optimizer=optimizer)
    start = flat(model)
    history = train(model, views)
    assert np.isfinite(history["loss"]).all()
    np.testing.assert_array_equal(flat(model), start)
    assert float(optimizer.dynamic_scale) == pytest.approx(5e24)


@pytest.mark.skipif(BACKEND == "torch", reason="torch.compile is refused, see below")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=slow) for n in ("head", "all", "two steps")]
)
def test_a_compiled_step_equals_an_eager_one(name):
    views = make_moving_views()
    models = []
    for compiled in (False, True):
        model = make_model(decoupling_of(name, ridge=0.1))
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        model.compile(optimizer, run_eagerly=not compiled, jit_compile=compiled)
        history = train(model, views)
        models.append((model, history))
    assert models[1][0].jit_compile
    for key, values in models[0][1].items():
        assert values == pytest.approx(models[1][1][key], rel=1e-4), key
    assert_same_weights(models[0][0], models[1][0], atol=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="XLA on TensorFlow lacks an eigensolver")
def test_what_xla_cannot_compile_is_refused():
    model = make_model("paper")
    with pytest.raises(bod_keras.UserError, match="no eigensolver, which koopman_split"):
        model.compile("sgd", jit_compile=True)
    model.compile("sgd")  # as Keras chooses


@pytest.mark.skipif(BACKEND == "torch", reason="torch.compile is refused, see below")
@pytest.mark.parametrize("embedded", [False, True])
def test_a_plain_model_compiles(embedded):
    """Also after `embed`, whose split its step never uses."""
    model = make_model(None)
    if embedded:
        model.embed(make_views()[:, 0])
    model.compile("sgd", jit_compile=True)
    assert np.isfinite(train(model, make_views())["loss"]).all()


@pytest.mark.skipif(BACKEND != "torch", reason="about torch.compile")
def test_torch_compile_is_refused():
    with pytest.raises(ValueError, match='Use jit_compile="auto", which runs it eagerly'):
        make_model().compile("sgd", jit_compile=True)
