"""Losses equal their slow truths for batches that hypothesis thinks of, and come back from their configs."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from bod_keras import losses
from tests import references
from tests.tiny_models import numpy

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="it compiles every operation for every shape"
)
QUICK = settings(max_examples=30, deadline=None, derandomize=True)
sizes = some.tuples(some.integers(2, 6), some.integers(2, 7), some.integers(0, 99))
temperatures = some.sampled_from([0.07, 0.3, 1.0, 4.0])
weights = some.sampled_from([0.0, 0.25, 3.0])


def views_of(sizes, scale=1.0):
    batch, width, seed = sizes
    rng = np.random.default_rng(seed)
    return scale * rng.normal(size=(2, batch, width)).astype("float32")


def again(loss):
    """Through text, as in a file."""
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    back = keras.saving.deserialize_keras_object(config)
    assert type(back) is type(loss) and back.get_config() == loss.get_config()
    return back


def assert_equal(loss, arguments, truth, rtol=2e-4):
    for one in (loss, again(loss)):
        value = numpy(one(*arguments))
        np.testing.assert_allclose(value, np.broadcast_to(truth, value.shape), rtol=rtol, atol=2e-5)


@QUICK
@given(sizes, temperatures)
def test_any_contrast(sizes, temperature):
    a, b = views_of(sizes)
    loss = losses.InfoNCE(temperature, reduction=None)
    assert_equal(loss, (a, b), references.info_nce(a, b, temperature))
    queue = np.random.default_rng(sizes[2] + 1).normal(size=(5, sizes[1])).astype("float32")
    loss = losses.QueueInfoNCE(temperature, reduction=None)
    for filled in (None, 0, 3, 5):
        first = (a, queue) if filled is None else (a, queue, np.int32(filled))
        first = tuple(keras.ops.convert_to_tensor(x) for x in first)
        truth = references.queue_info_nce(a, queue, b, temperature, filled)
        assert_equal(loss, (first, keras.ops.convert_to_tensor(b)), truth)


@QUICK
@given(sizes, some.sampled_from([0.2, 1.0]), some.sampled_from([0.3, 1.0]), some.integers(1, 4))
def test_any_assignment(sizes, temperature, epsilon, iterations):
    a, b = views_of(sizes, scale=0.4)
    codes = numpy(losses.sinkhorn(a, epsilon, iterations))
    np.testing.assert_allclose(codes, references.sinkhorn(a, epsilon, iterations), rtol=1e-4)
    loss = losses.SwappedPrediction(temperature, epsilon, iterations, reduction=None)
    truth = references.swapped_prediction(a, b, temperature, epsilon, iterations)
    assert_equal(loss, (a, b), truth)
    truth = references.swapped_prediction(a, b, temperature, epsilon, iterations, queue=b)
    assert_equal(loss, ((a, b), b), truth)


@QUICK
@given(sizes, weights, weights, weights, some.sampled_from([0.5, 2.0]))
def test_any_regularization(sizes, one, other, third, gamma):
    a, b = views_of(sizes)
    loss = losses.VICReg(one, other, third, gamma, epsilon=0.01)
    assert_equal(loss, (a, b), references.vicreg(a, b, one, other, third, gamma, 0.01))
    assert_equal(losses.BarlowTwins(one), (a, b), references.barlow_twins(a, b, one), rtol=1e-3)
    loss = losses.CosineRegression(reduction=None)
    assert_equal(loss, (a, b), references.cosine_regression(a, b))


@QUICK
@given(sizes, some.sampled_from(["cross_clip", "in_sample"]), some.sampled_from([0.05, 0.1, 1.0]))
def test_any_prediction(sizes, kind, ridge):
    batch, width, seed = sizes
    a, b = np.random.default_rng(seed).normal(size=(2, batch, 4, width)).astype("float32")
    loss = losses.KoopmanPrediction(kind, ridge=ridge, reduction=None)
    assert_equal(loss, (a, b), references.koopman_prediction(a, b, kind, ridge), rtol=1e-3)


def test_the_defaults_are_those_of_the_documents():
    defaults = {
        losses.InfoNCE: {"temperature": 0.1},
        losses.QueueInfoNCE: {"temperature": 0.1},
        losses.SwappedPrediction: {"temperature": 0.1, "epsilon": 0.05, "iterations": 3},
        losses.VICReg: {"invariance": 25.0, "variance": 25.0, "covariance": 1.0, "gamma": 1.0},
        losses.BarlowTwins: {"off_diagonal": 5e-3, "epsilon": 1e-5},
        losses.LeJEPA: {"weight": 0.05, "slices": 256},
        losses.KoopmanPrediction: {"kind": "cross_clip", "ridge": 0.1},
    }
    for loss, expected in defaults.items():
        config = loss().get_config()
        assert {key: config[key] for key in expected} == expected, loss
    scores = views_of((4, 5, 0))[0]
    np.testing.assert_array_equal(
        numpy(losses.sinkhorn(scores)), numpy(losses.sinkhorn(scores, 0.05, 3))
    )


def test_two_frames_are_enough_for_a_prediction():
    a, b = np.random.default_rng(0).normal(size=(2, 3, 2, 4)).astype("float32")
    loss = losses.KoopmanPrediction(reduction=None)
    assert_equal(loss, (a, b), references.koopman_prediction(a, b, "cross_clip"), rtol=1e-3)
