"""The encoders' convolution and batch normalization equal Keras' in values, gradients and statistics."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from bod_keras.backend.autodiff import compiled, current_values, functional_call, value_and_grad
from bod_keras.encoders._layers import (
    FusedBatchNormalization,
    MaxPooling3D,
    PaddedConv3D,
)


def results(model, inputs, training):
    """Features, new state, and gradients of a sum of products with respect to inputs and weights, as arrays."""
    weights, state = model.trainable_variables, model.non_trainable_variables
    slope = np.random.default_rng(1).normal(size=model(inputs).shape)

    def loss(values):
        features, new = functional_call(
            lambda: model(values[0], training=training),
            weights + state,
            [*values[1:], *current_values(state)],
        )
        return ops.sum(features * ops.cast(slope, "float32")), (features, new[len(weights) :])

    run = compiled(lambda *values: value_and_grad(loss, list(values)))
    _, (features, new), gradients = run(ops.convert_to_tensor(inputs), *current_values(weights))
    return [ops.convert_to_numpy(x) for x in (features, *new, *gradients)]


def assert_equal(ours, keras_own, inputs, training=True):
    """Both with the same random weights; differences relative to the largest value of each array."""
    rng = np.random.default_rng(0)
    for mine, theirs in zip(ours.weights, keras_own.weights, strict=True):
        value = rng.uniform(0.5, 1.5, mine.shape)
        mine.assign(value)
        theirs.assign(value)
    pairs = list(zip(*(results(m, inputs, training) for m in (ours, keras_own)), strict=True))
    assert len(pairs) == 2 + len(ours.weights)
    for got, want in pairs:
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=2e-5 * np.abs(want).max())


@pytest.mark.parametrize(
    "kernel, strides",
    [
        ((1, 1, 1), (1, 1, 1)),
        ((1, 1, 1), (2, 2, 2)),
        ((3, 1, 1), (2, 1, 1)),
        ((3, 1, 1), (1, 2, 2)),
        ((1, 3, 3), (2, 1, 2)),
        ((3, 3, 3), (1, 1, 1)),
        ((3, 3, 3), (2, 2, 2)),
        ((1, 7, 7), (1, 2, 2)),
    ],
)
def test_the_convolution_equals_padding_and_convolution(kernel, strides):
    source = keras.Input((4, 9, 8, 3))
    arguments = {"filters": 5, "kernel_size": kernel, "strides": strides}
    ours = keras.Model(source, PaddedConv3D(**arguments)(source))
    padded = layers.ZeroPadding3D([size // 2 for size in kernel])(source)
    keras_own = keras.Model(source, layers.Conv3D(**arguments)(padded))
    assert ours.output_shape == keras_own.output_shape
    clips = np.random.default_rng(2).normal(size=(2, 4, 9, 8, 3)).astype("float32")
    assert_equal(ours, keras_own, clips)


@pytest.mark.parametrize(
    "window, strides", [((1, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2)), ((3, 3, 3), (1, 1, 1))]
)
def test_the_maximum_equals_keras(window, strides):
    source = keras.Input((5, 9, 8, 3))
    models = [
        keras.Model(source, layer(window, strides=strides, data_format="channels_last")(source))
        for layer in (MaxPooling3D, layers.MaxPooling3D)
    ]
    clips = np.random.default_rng(2).normal(size=(2, 5, 9, 8, 3)).astype("float32")
    assert_equal(*models, clips)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_the_normalization_equals_keras(training, frozen):
    source = keras.Input((None, None, None, 3))
    models = [
        keras.Model(source, norm(momentum=0.9, epsilon=1e-5)(source))
        for norm in (FusedBatchNormalization, layers.BatchNormalization)
    ]
    for model in models:
        model.layers[-1].trainable = not frozen
    maps = np.random.default_rng(2).normal(2.0, 3.0, (2, 3, 5, 4, 3)).astype("float32")
    assert_equal(*models, maps, training)


def test_mixed_precision_normalizes_in_float32():
    maps = np.random.default_rng(2).normal(300.0, 1.0, (2, 3, 5, 4, 3))
    outputs = [
        norm(dtype="mixed_float16")(maps, training=True)
        for norm in (FusedBatchNormalization, layers.BatchNormalization)
    ]
    assert all(keras.backend.standardize_dtype(x.dtype) == "float16" for x in outputs)
    got, want = (ops.convert_to_numpy(x) for x in outputs)
    np.testing.assert_allclose(got, want, atol=0.02)
