"""v-SimCLR small enough to train in a test, and clips for it."""

import keras
import numpy as np

import bod_keras

FRAMES, SIZE = 4, 8


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


def make_model(
    decoupled=True,
    bilevel=None,
    optimizer=None,
    seed=0,
    eager=True,
    ridge=1e-2,
    dropout=0.0,
    **kwargs,
):
    """A compiled model; equal seeds give equal weights, on every backend."""
    encoder = bod_keras.encoders.FrameCNN((FRAMES, SIZE, SIZE, 3), widths=(4, 6))
    if dropout:
        features = keras.layers.Dropout(dropout, seed=seed)(encoder.output)
        encoder = keras.Model(encoder.input, features)
    split = (
        bod_keras.KoopmanSplit(threshold=0.3, order=16, basis=3, ridge=ridge) if decoupled else None
    )
    kwargs = {
        "projection_head": bod_keras.ProjectionHead(24, 6),  # so wide that no frame is dead
        "temperature": 0.5,
        **kwargs,
    }
    model = bod_keras.VSimCLR(encoder, split, bilevel, **kwargs)
    rng = np.random.default_rng(seed)
    for weight in (
        model.encoder.weights + model.projection_head.weights + model.read_out_split.weights
    ):
        if len(weight.shape) > 1:
            inputs = np.prod(weight.shape[:-1])
            weight.assign((rng.normal(size=weight.shape) / np.sqrt(inputs)).astype("float32"))
    model.compile(optimizer or keras.optimizers.SGD(0.1), run_eagerly=eager)
    return model


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
