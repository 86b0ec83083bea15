"""`SwappedPrediction` against loops, closed forms, finite differences; a queue, dtypes, config, errors."""

import keras
import numpy as np
import pytest
from keras import ops

from bod_keras.backend.autodiff import value_and_grad
from bod_keras.losses import SwappedPrediction
from tests import references


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def tensors(*arrays):
    return [ops.convert_to_tensor(np.asarray(array, "float32")) for array in arrays]


def make_scores(batch=5, prototypes=4, length=7, seed=0):
    """Target, prediction, queue."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, size=(rows, prototypes)) for rows in (batch, batch, length)]


@pytest.mark.parametrize(
    "settings", [(0.1, 0.05, 3), (1.0, 0.05, 3), (0.1, 0.5, 3), (0.1, 0.05, 1)]
)
@pytest.mark.parametrize(("batch", "prototypes"), [(5, 4), (1, 9)])
@pytest.mark.parametrize("queued", [False, True])
def test_it_equals_the_loops(batch, prototypes, settings, queued):
    target, prediction, queue = make_scores(batch, prototypes)
    truth = references.swapped_prediction(target, prediction, *settings, queue if queued else ())
    assert len(set(np.round(truth, 6))) == batch, "the videos must differ"
    target, prediction, queue = tensors(target, prediction, queue)
    given = (target, queue) if queued else target
    result = SwappedPrediction(*settings, reduction=None)(given, prediction)
    assert result.shape == (batch,)
    np.testing.assert_allclose(numpy(result), truth, rtol=1e-4, atol=1e-5)
    mean = SwappedPrediction(*settings)(given, prediction)
    assert float(mean) == pytest.approx(truth.mean(), rel=1e-4, abs=1e-5)


def test_the_queue_changes_the_codes():
    target, prediction, queue = tensors(*make_scores())
    loss = SwappedPrediction()
    assert abs(float(loss((target, queue), prediction)) - float(loss(target, prediction))) > 0.05


@pytest.mark.parametrize("prototypes", [3, 8])
def test_uniform_scores_give_the_log_of_the_number_of_prototypes(prototypes):
    scores = tensors(np.full((4, prototypes), 0.3))[0]
    np.testing.assert_allclose(
        numpy(SwappedPrediction(reduction=None)(scores, scores)), np.log(prototypes), rtol=1e-5
    )


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_one_video_per_prototype_has_a_closed_form(temperature):
    """Codes are one-hot, the score of the right prototype is 1, of the 5 others 0."""
    scores = tensors(np.eye(6))[0]
    result = SwappedPrediction(temperature, epsilon=0.02)(scores, scores)
    assert float(result) == pytest.approx(np.log(1 + 5 * np.exp(-1 / temperature)), abs=2e-6)


def test_gradients_equal_finite_differences_and_stop_at_the_codes():
    target, prediction, queue = make_scores()
    _, _, gradients = value_and_grad(
        lambda x: (SwappedPrediction()((x[0], x[1]), x[2]), ()), tensors(target, queue, prediction)
    )
    for gradient in gradients[:2]:
        np.testing.assert_array_equal(numpy(gradient), 0.0)
    rng = np.random.default_rng(1)
    for _ in range(4):
        direction = rng.normal(size=prediction.shape)
        up, down = [
            references.swapped_prediction(
                target, prediction + e * direction, 0.1, 0.05, 3, queue
            ).mean()
            for e in (1e-6, -1e-6)
        ]
        slope = np.sum(numpy(gradients[2]) * direction)
        assert slope == pytest.approx((up - down) / 2e-6, rel=1e-3, abs=1e-5)


def test_low_temperatures_neither_overflow_nor_vanish():
    target, prediction, _ = tensors(*make_scores())
    value, _, (gradient,) = value_and_grad(
        lambda x: (SwappedPrediction(1e-3, epsilon=1e-3)(target, x[0]), ()), [prediction]
    )
    assert np.isfinite(float(value)) and float(value) > 1
    assert np.isfinite(numpy(gradient)).all() and np.abs(numpy(gradient)).max() > 0


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_half_precision_scores_give_float32(policy):
    keras.config.set_dtype_policy(policy)
    half = [scores.astype("float16") for scores in make_scores()]
    target, prediction, queue = [ops.convert_to_tensor(scores) for scores in half]
    result = SwappedPrediction(reduction=None)((target, queue), prediction)
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    truth = references.swapped_prediction(half[0], half[1], 0.1, 0.05, 3, half[2])
    np.testing.assert_allclose(numpy(result), truth, rtol=1e-4, atol=1e-5)


def test_config_round_trip():
    loss = SwappedPrediction(0.3, 0.02, 5, reduction="sum", name="static")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.get_config() == loss.get_config()
    assert (copy.temperature, copy.epsilon, copy.iterations) == (0.3, 0.02, 5)
    assert (copy.reduction, copy.name) == ("sum", "static")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, "temperature must be positive.*Received: 0.0"),
        ({"epsilon": -0.1}, "epsilon must be positive.*Received: -0.1"),
        ({"iterations": 0}, "iterations must be an integer from 1.*Received: 0"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        SwappedPrediction(**arguments)


@pytest.mark.parametrize(
    ("target", "prediction", "message"),
    [
        ([(4, 3)], (4, 2), r"Received: \(4, 3\) and \(4, 2\)"),
        ([(4, 2, 3)], (4, 2, 3), r"Received: \(4, 2, 3\) and \(4, 2, 3\)"),
        ([(4, 3), (5, 2)], (4, 3), r"of shape \(length, 3\).*Received: \(5, 2\)"),
        ([(4, 3), (3,)], (4, 3), r"of shape \(length, 3\).*Received: \(3,\)"),
        ([(4, 3)] * 3, (4, 3), r"Received as first argument: 3 tensors"),
    ],
)
def test_wrong_shapes_are_named(target, prediction, message):
    given = tuple(np.ones(shape, "float32") for shape in target)
    with pytest.raises(ValueError, match=message):
        SwappedPrediction()(given if len(given) > 1 else given[0], np.ones(prediction, "float32"))
