"""`ProjectionHead` against NumPy, and as a Keras layer."""

import numpy as np
import pytest
from keras import ops

import bod_keras
from tests.layer_harness import check_layer


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("training", [True, False])
def test_it_is_dense_norm_relu_dense_on_every_frame(training):
    head = bod_keras.ProjectionHead(5, 3)
    features = np.random.default_rng(0).normal(size=(4, 6, 7)).astype("float32")
    head.build(features.shape)
    rng = np.random.default_rng(1)
    for weight in head.weights:
        weight.assign(np.abs(rng.normal(size=weight.shape)) + 0.1)
    w1, b1, w2 = [
        numpy(w) for w in (head.expand[0].kernel, head.expand[0].bias, head.project.kernel)
    ]
    norm = head.norm[0]
    norm.moving_variance.assign([1e-5, 1e-4, 1e-3, 0.1, 1.0])  # against which the least one counts
    gamma, beta, mean, variance = [
        numpy(w) for w in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    ]
    hidden = features @ w1 + b1
    if training:
        mean, variance = hidden.mean((0, 1)), hidden.var((0, 1))
    hidden = gamma * (hidden - mean) / np.sqrt(variance + 1e-5) + beta
    truth = np.maximum(hidden, 0) @ w2
    found = numpy(head(features, training=training))
    np.testing.assert_allclose(found, truth, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [({}, (4, 6)), ({"hidden": 8, "width": 5}, (6,))],
    ids=["default", "small"],
)
def test_it_is_a_keras_layer(arguments, shape, tmp_path):
    check_layer(
        lambda: bod_keras.ProjectionHead(**arguments),
        shape,
        arguments=arguments,
        output_dtype="float32",
        tmp_path=tmp_path,
    )


@pytest.mark.parametrize(("hidden", "width"), [(0, 4), (4, -1)])
def test_widths_that_are_not_positive_are_named(hidden, width):
    with pytest.raises(ValueError, match=f"Received: hidden={hidden}, width={width}"):
        bod_keras.ProjectionHead(hidden, width)
