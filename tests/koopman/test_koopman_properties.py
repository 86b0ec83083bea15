"""Splits of clips that hypothesis thinks of: their parts add up, and their settings come back."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import bod_keras
from bod_keras.koopman import linalg
from tests import references
from tests.tiny_models import numpy

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="it compiles every operation for every shape"
)
QUICK = settings(max_examples=30, deadline=None, derandomize=True)
thresholds = some.none() | some.sampled_from([0.05, 0.1, 0.5])
ridges = some.sampled_from([1e-3, 0.01, 0.1, 1.0])


def clips_of(batch, frames, width, seed):
    return np.random.default_rng(seed).normal(size=(batch, frames, width)).astype("float32")


@QUICK
@given(some.integers(1, 3), some.integers(2, 7), some.integers(2, 9), some.integers(0, 99), ridges)
def test_any_operator_is_that_of_the_wide_route(batch, frames, width, seed, ridge):
    clips = clips_of(batch, frames, width, seed)
    past, future = linalg.transitions(clips)
    inverse = numpy(linalg.pseudo_inverse(past, ridge))
    for clip, own, after in zip(clips, inverse, numpy(future)):
        truth = references.koopman_operator(*references.transitions(clip), ridge)
        np.testing.assert_allclose(own @ after, truth, rtol=2e-3, atol=2e-4)


@QUICK
@given(some.integers(2, 7), some.integers(2, 9), some.integers(0, 99), thresholds, ridges)
def test_any_two_parts_add_up_to_what_the_operator_predicts(frames, width, seed, threshold, ridge):
    clips = clips_of(2, frames, width, seed)
    static, dynamic = bod_keras.KoopmanSplit(threshold, ridge, "mean")(clips)
    for clip, s, d in zip(clips, numpy(static), numpy(dynamic)):
        past, future = references.transitions(clip)
        whole = np.mean(past @ references.koopman_operator(past, future, ridge), axis=0)
        np.testing.assert_allclose(s + d, whole, rtol=2e-3, atol=3e-4)


@QUICK
@given(thresholds, ridges, some.booleans(), some.sampled_from(["operator", "mean", 3]))
def test_any_settings_come_back(threshold, ridge, gradient, read_out):
    if read_out == 3:
        read_out = bod_keras.OperatorReadOut(3)
    layer = bod_keras.KoopmanSplit(threshold, ridge, read_out, gradient, name="split")
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    back = keras.saving.deserialize_keras_object(config)
    assert back.get_config() == layer.get_config()
    clips = clips_of(2, 4, 5, 0)
    for one, other in zip(layer(clips), back(clips)):
        np.testing.assert_allclose(numpy(one), numpy(other), rtol=1e-5, atol=1e-6)
