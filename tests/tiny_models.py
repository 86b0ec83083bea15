"""Frameworks small enough to train in a test, and clips for them."""

import keras
import numpy as np

import bod_keras
from bod_keras.backend import autodiff
from bod_keras.frameworks import FRAMEWORKS

FRAMES, SIZE = 4, 8
# What a framework needs to be tiny, and not its default.
TINY = {
    "vsimclr": {"temperature": 0.5},
    "vmoco": {"temperature": 0.5, "queue_size": 20, "momentum": 0.9, "momentum_steps": 10},
    "vbyol": {"predictor_hidden": 16, "momentum": 0.9, "momentum_steps": 10},
    "vswav": {"temperature": 0.5, "prototypes": 7, "epsilon": 0.2},
    "vsimsiam": {"predictor_hidden": 16},
    "vvicreg": {"expander_hidden": 16, "expander_width": 7, "covariance": 2.0},
    "vlejepa": {"weight": 0.5, "expander_hidden": 16, "expander_width": 7, "slices": 5},
    "vbarlow_twins": {"off_diagonal": 0.02},
}


def make_views(batch=4, views=2, seed=0):
    """Clips of noise (B, V, T, H, W, 3) in [0, 1]."""
    rng = np.random.default_rng(seed)
    return rng.random((batch, views, FRAMES, SIZE, SIZE, 3), "float32")


def make_moving_views(videos=4, frames=FRAMES, size=SIZE):
    """Two views of each video: a level of gray that stays and a dot that circles, from another phase."""
    rng = np.random.default_rng(0)
    grid = np.arange(size) - (size - 1) / 2
    views = np.empty((videos, 2, frames, size, size, 3), "float32")
    colors = rng.uniform(0, 0.6, (videos, 3))
    speeds = np.linspace(-2.0, 2.0, videos)
    for i in range(videos):
        for view, phase in enumerate(rng.uniform(0, 2 * np.pi, 2)):
            angle = phase + speeds[i] * np.arange(frames)
            y, x = 3 * np.sin(angle), 3 * np.cos(angle)
            dot = np.exp(
                -((grid[:, None] - y[:, None, None]) ** 2 + (grid - x[:, None, None]) ** 2) / 3
            )
            # A ramp from corner to corner, so that a mean over space still knows where the dot is.
            ramp = 0.5 + (grid[:, None] + 2 * grid) / (6 * size)
            views[i, view] = colors[i] + 0.4 * (dot * ramp)[..., None]
    return views


def make_clips(views):
    """The clips (V B, T, H, W, 3) of a batch, view after view, as a training step orders them."""
    return np.concatenate(list(np.swapaxes(views, 0, 1)))


def simple(**changes):
    """A `Decoupling` of few parts: no lower level, no views of its own, equal weights, the own temperature."""
    settings = {
        "threshold": 0.3,
        "ridge": 1e-2,
        "read_out": bod_keras.OperatorReadOut(3),
        "heads": 1,
        "bilevel": None,
        "static_temperature": None,
        "dynamic_temperature": None,
        "dynamic_weight": 1.0,
        "standardize": False,
        "motion_view": None,
        "static_view": None,
        "static_mix": 0.0,
    }
    return bod_keras.Decoupling(**{**settings, **changes})


def make_model(decoupling="simple", **kwargs):
    """A compiled v-SimCLR, as `make_framework`."""
    return make_framework("vsimclr", decoupling, **kwargs)


def make_framework(
    name,
    decoupling="simple",
    optimizer=None,
    seed=0,
    eager=True,
    dropout=0.0,
    encoder=None,
    chunks=1,
    **kwargs,
):
    """A compiled model of a framework, its name or class; equal seeds give equal weights, on every backend."""
    encoder = encoder or bod_keras.encoders.FrameCNN((FRAMES, SIZE, SIZE, 3), widths=(4, 6))
    if dropout:
        features = keras.layers.Dropout(dropout, seed=seed)(encoder.output)
        encoder = keras.Model(encoder.input, features)
    # A head so wide that no frame is dead.
    kwargs = {"projection_head": bod_keras.ProjectionHead(24, 6), **TINY.get(name, {}), **kwargs}
    framework = name if isinstance(name, type) else FRAMEWORKS[name]
    model = framework(encoder, simple() if decoupling == "simple" else decoupling, **kwargs)
    for directions in getattr(model, "directions", []):
        directions.state.assign([seed, 0])
    if getattr(model.motion_view, "seed", 0) is None:
        for state in model.seed_variables():
            state.assign([seed, 0])
    rng = np.random.default_rng(seed)
    for network in (encoder, model.projection_head, *part_networks(model)):
        draw_matrices(network, rng)
    for prototypes in getattr(model, "clusters", {}).values():
        prototypes.normalize()
    copy_to_momentum_networks(model)
    model.compile(optimizer or keras.optimizers.SGD(0.1), run_eagerly=eager, chunks=chunks)
    return model


def copy_to_momentum_networks(model):
    """Start the momentum networks from the weights that the others have now."""
    networks = (model.encoder, model.projection_head, model.split)
    for network, copy in zip(networks, model.target_networks):
        for weight, average in zip(network.weights, copy.weights, strict=True):
            average.assign(keras.ops.copy(weight.value))


def parts_by_hand(model, embeddings):
    """The static and the dynamic part (B, D), (B, K) of frame embeddings, as arrays."""
    parts = [model.reading_split()(z) for z in model.part_embeddings(embeddings)]
    return numpy(parts[0][0]), numpy(parts[-1][1])


def draw_matrices(layer, rng):
    """Assign every weight that is not a vector."""
    for weight in layer.weights:
        if len(weight.shape) > 1:
            inputs = np.prod(weight.shape[:-1])
            weight.assign((rng.normal(size=weight.shape) / np.sqrt(inputs)).astype("float32"))


def part_networks(model):
    """The predictors, expanders or prototypes of every part."""
    networks = []
    for attribute in ("predictors", "expanders", "clusters"):
        networks += getattr(model, attribute, {}).values()
    return networks


def run_steps_eagerly(monkeypatch):
    """Until `monkeypatch` is undone, TensorFlow compiles no training step; JAX would compile each operation."""
    if keras.backend.backend() == "tensorflow":
        always = property(lambda model: True, lambda model, value: None)
        monkeypatch.setattr(keras.Model, "run_eagerly", always)


def train_on_array(model, views, batch_size=4, **kwargs):
    """``fit`` in the given order; returns the history."""
    return model.fit(views, batch_size=batch_size, shuffle=False, verbose=0, **kwargs).history


def train(model, views, batch_size=4, **kwargs):
    """As `train_on_array`, on TensorFlow from a data set, for which Keras compiles nothing: half the time."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        views = tf.data.Dataset.from_tensor_slices(views).batch(batch_size)
        batch_size = None
    return train_on_array(model, views, batch_size, **kwargs)


def weights_of(layer):
    """Every weight as an array, in order."""
    return [keras.ops.convert_to_numpy(w).copy() for w in layer.weights]


def assert_same_weights(one, other, **tolerance):
    """Equal to the last bit, or within a tolerance of `numpy.testing.assert_allclose`."""
    names = [w.path for w in one.weights]
    for name, x, y in zip(names, weights_of(one), weights_of(other), strict=True):
        if tolerance:
            np.testing.assert_allclose(x, y, err_msg=name, **tolerance)
        else:
            np.testing.assert_array_equal(x, y, err_msg=name)


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def state_of(model):
    """Every weight, and the optimizer's state, as arrays."""
    return weights_of(model) + [numpy(v).copy() for v in model.optimizer.variables]


def assert_same_state(one, other):
    """As `assert_same_weights`, to the last bit, and the optimizers'."""
    assert_same_weights(one, other)
    for x, y in zip(one.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(numpy(x), numpy(y), err_msg=x.path)


def in_training(model, fn):
    """The arrays of ``fn()``, and what it does to the weights dropped, such as batch statistics."""
    variables = model.variables
    with autodiff.no_gradient():
        result, _ = autodiff.functional_call(fn, variables, autodiff.current_values(variables))
    return keras.tree.map_structure(numpy, result)


def gradients_of(model, loss):
    """Gradient of the scalar ``loss()`` with respect to each trainable weight; no weight changes."""
    variables = model.variables
    trainable = model.trainable_variables
    places = {id(v): i for i, v in enumerate(variables)}
    values = autodiff.current_values(variables)

    def pure(inputs):
        now = list(values)
        for variable, value in zip(trainable, inputs):
            now[places[id(variable)]] = value
        return autodiff.functional_call(loss, variables, now)[0], ()

    _, _, gradients = autodiff.value_and_grad(pure, autodiff.current_values(trainable))
    return [numpy(g) for g in gradients]
