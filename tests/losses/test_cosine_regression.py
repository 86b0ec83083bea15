"""`CosineRegression` against loops, closed forms, finite differences; dtypes, config, errors."""

import keras
import numpy as np
import pytest
from keras import ops

from bod_keras.backend.autodiff import value_and_grad
from bod_keras.losses import CosineRegression
from tests import references


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def tensors(*arrays):
    return [ops.convert_to_tensor(np.asarray(array, "float32")) for array in arrays]


def make_embeddings(batch=4, width=5, seed=0):
    """Target, prediction."""
    rng = np.random.default_rng(seed)
    return [3.0 * rng.normal(size=(batch, width)) for _ in range(2)]


@pytest.mark.parametrize("width", [2, 16])
@pytest.mark.parametrize("batch", [1, 5])
def test_it_equals_the_loops(batch, width):
    target, prediction = make_embeddings(batch, width)
    result = CosineRegression(reduction=None)(*tensors(target, prediction))
    assert result.shape == (batch,)
    truth = references.cosine_regression(target, prediction)
    assert len(set(np.round(truth, 6))) == batch, "the videos must differ"
    np.testing.assert_allclose(numpy(result), truth, rtol=2e-5, atol=2e-6)
    mean = CosineRegression()(*tensors(target, prediction))
    assert float(mean) == pytest.approx(truth.mean(), rel=2e-5)


@pytest.mark.parametrize(("turn", "truth"), [(0, 0.0), (60, 1.0), (90, 2.0), (180, 4.0)])
def test_the_angle_alone_counts(turn, truth):
    angle = np.deg2rad(turn)
    result = CosineRegression()(*tensors([[0.2, 0]], [[5 * np.cos(angle), 5 * np.sin(angle)]]))
    assert float(result) == pytest.approx(truth, abs=1e-6)


def test_gradients_equal_finite_differences_and_stop_at_the_target():
    target, prediction = make_embeddings()
    _, _, gradients = value_and_grad(
        lambda x: (CosineRegression()(*x), ()), tensors(target, prediction)
    )
    np.testing.assert_array_equal(numpy(gradients[0]), 0.0)
    rng = np.random.default_rng(1)
    for _ in range(4):
        direction = rng.normal(size=prediction.shape)
        up, down = [
            references.cosine_regression(target, prediction + e * direction).mean()
            for e in (1e-6, -1e-6)
        ]
        slope = np.sum(numpy(gradients[1]) * direction)
        assert slope == pytest.approx((up - down) / 2e-6, rel=1e-3, abs=1e-5)


def test_zero_embeddings_have_finite_gradients():
    target, prediction = make_embeddings()
    target[0] = prediction[1] = 0.0
    _, result, gradients = value_and_grad(
        lambda x: (CosineRegression()(*x), CosineRegression(reduction=None)(*x)),
        tensors(target, prediction),
    )
    np.testing.assert_array_equal(numpy(result)[:2], 2.0)
    assert np.isfinite(numpy(gradients[1])).all()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_half_precision_embeddings_give_float32(policy):
    keras.config.set_dtype_policy(policy)
    half = [array.astype("float16") for array in make_embeddings()]
    result = CosineRegression(reduction=None)(*[ops.convert_to_tensor(x) for x in half])
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    truth = references.cosine_regression(*half)
    np.testing.assert_allclose(numpy(result), truth, rtol=1e-4, atol=1e-5)


def test_config_round_trip():
    loss = CosineRegression(reduction="sum", name="static")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.get_config() == loss.get_config()
    assert (copy.reduction, copy.name) == ("sum", "static")


@pytest.mark.parametrize(
    ("shapes", "received"),
    [
        (((4, 3), (4, 2)), r"Received: \(4, 3\) and \(4, 2\)"),
        (((4, 2, 3), (4, 2, 3)), r"Received: \(4, 2, 3\) and \(4, 2, 3\)"),
    ],
)
def test_wrong_shapes_are_named(shapes, received):
    with pytest.raises(ValueError, match=received):
        CosineRegression()(*[np.ones(shape, "float32") for shape in shapes])
