"""Frameworks small enough to train in a test, and clips for them."""

import keras
import numpy as np

import bod_keras
from bod_keras.backend import autodiff

FRAMES, SIZE = 4, 8
# What a framework needs to be tiny, and not its default.
TINY = {
    "VSimCLR": {"temperature": 0.5},
    "VMoCo": {"temperature": 0.5, "queue_size": 20, "momentum": 0.9, "momentum_steps": 10},
    "VBYOL": {"predictor_hidden": 16, "momentum": 0.9, "momentum_steps": 10},
    "VSwAV": {"temperature": 0.5, "prototypes": 7, "epsilon": 0.2},
    "VSimSiam": {"predictor_hidden": 16},
    "VVICReg": {"expander_hidden": 16, "expander_width": 7, "covariance": 2.0},
    "VBarlowTwins": {"off_diagonal": 0.02},
}


def make_views(batch=4, views=2, seed=0):
    """Clips of noise (B, V, T, H, W, 3) in [0, 1]."""
    rng = np.random.default_rng(seed)
    return rng.random((batch, views, FRAMES, SIZE, SIZE, 3), "float32")


def make_moving_views(videos=4, frames=FRAMES, size=SIZE):
    """Two views of each video: a level of grey that stays and a dot that circles, from another phase."""
    rng = np.random.default_rng(0)
    grid = np.arange(size) - (size - 1) / 2
    views = np.empty((videos, 2, frames, size, size, 3), "float32")
    colours = rng.uniform(0, 0.6, (videos, 3))
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
            views[i, view] = colours[i] + 0.4 * (dot * ramp)[..., None]
    return views


def make_clips(views):
    """The clips (V B, T, H, W, 3) of a batch, view after view, as a training step orders them."""
    return np.concatenate(list(np.swapaxes(views, 0, 1)))


def make_model(decoupled=True, bilevel=None, optimizer=None, **kwargs):
    """A compiled v-SimCLR, as `make_framework`."""
    return make_framework("VSimCLR", decoupled, bilevel, optimizer, **kwargs)


def make_framework(
    name,
    decoupled=True,
    bilevel=None,
    optimizer=None,
    seed=0,
    eager=True,
    ridge=1e-2,
    dropout=0.0,
    encoder=None,
    chunks=1,
    **kwargs,
):
    """A compiled model of the class `name`; equal seeds give equal weights, on every backend."""
    encoder = encoder or bod_keras.encoders.FrameCNN((FRAMES, SIZE, SIZE, 3), widths=(4, 6))
    if dropout:
        features = keras.layers.Dropout(dropout, seed=seed)(encoder.output)
        encoder = keras.Model(encoder.input, features)
    split = (
        bod_keras.KoopmanSplit(threshold=0.3, order=16, basis=3, ridge=ridge) if decoupled else None
    )
    kwargs = {
        "projection_head": bod_keras.ProjectionHead(24, 6),  # so wide that no frame is dead
        "base_weight": 0.0,
        **TINY[name],
        **kwargs,
    }
    # Before the framework copies them, as a momentum network does.
    rng = np.random.default_rng(seed)
    head = kwargs["projection_head"]
    head.build(encoder.output_shape)
    networks = [encoder, head]
    if split is not None:
        split.build(head.compute_output_shape(encoder.output_shape))
        networks.append(split)
    for network in networks:
        draw_matrices(network, rng)
    model = getattr(bod_keras, name)(encoder, split, bilevel, **kwargs)
    if split is None:
        draw_matrices(model.read_out_split, rng)
    for network in part_networks(model):
        draw_matrices(network, rng)
    for prototypes in getattr(model, "clusters", {}).values():
        prototypes.normalise()
    model.compile(optimizer or keras.optimizers.SGD(0.1), run_eagerly=eager, chunks=chunks)
    return model


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


def train(model, views, epochs=1, batch_size=4, **kwargs):
    """``fit`` in the given order; returns the history."""
    history = model.fit(
        views, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0, **kwargs
    )
    return history.history


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
