"""`VICReg` against loops, closed forms, finite differences; reductions, dtypes, config, errors."""

import keras
import numpy as np
import pytest
from keras import ops

from bod_keras.backend.autodiff import value_and_grad
from bod_keras.losses import VICReg
from tests import references


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def tensors(*arrays):
    return [ops.convert_to_tensor(np.asarray(array, "float32")) for array in arrays]


def make_views(batch=6, width=5, seed=0):
    """Two views off the origin, with dimensions on either side of gamma = 1 and none near it."""
    rng = np.random.default_rng(seed)
    scale = np.where(np.arange(width) % 2, 4.0, 0.3)
    return [1.5 + scale * rng.normal(size=(batch, width)) for _ in range(2)]


@pytest.mark.parametrize(
    "settings",
    [(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (2, 3, 4, 5.0, 0.1)],
)
@pytest.mark.parametrize(("batch", "width"), [(2, 3), (7, 1), (7, 16)])
def test_it_equals_the_loops(batch, width, settings):
    a, b = make_views(batch, width)
    truth = references.vicreg(a, b, *settings)
    for reduction in ("sum_over_batch_size", "sum", "mean"):
        result = VICReg(*settings, reduction=reduction)(*tensors(a, b))
        assert result.shape == ()
        assert float(result) == pytest.approx(truth, rel=2e-5, abs=1e-6)
    result = VICReg(*settings, reduction=None)(*tensors(a, b))
    # Keras divides anything but a scalar by the number of replicas.
    assert result.shape == (1,)
    np.testing.assert_allclose(numpy(result), [truth], rtol=2e-5, atol=1e-6)


def test_uncorrelated_and_wide_dimensions_leave_the_invariance():
    view = 2.0 * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    assert float(VICReg()(*tensors(view, view))) == 0.0
    assert float(VICReg()(*tensors(view, view + 0.5))) == pytest.approx(25 * 0.25)


def test_collapse_costs_gamma_and_its_gradient_is_finite():
    a, b = tensors(np.full((4, 3), 0.7), np.full((4, 3), 0.7))
    value, _, gradients = value_and_grad(lambda x: (VICReg()(*x), ()), [a, b])
    assert float(value) == pytest.approx(2 * 25 * (1 - np.sqrt(1e-4)), rel=1e-5)
    assert all(np.isfinite(numpy(gradient)).all() for gradient in gradients)


def test_copied_dimensions_cost_their_covariance():
    column = np.array([1.0, -1.0, 2.0, -2.0])
    view = np.stack([column, column, column], axis=1)
    result = VICReg(covariance=1.0)(*tensors(view, view))
    # Variance 10/3; 6 entries of 3 dimensions, in both views.
    assert float(result) == pytest.approx(2 * 6 * (10 / 3) ** 2 / 3, rel=1e-5)


def test_gradients_equal_finite_differences():
    a, b = make_views()
    _, _, gradients = value_and_grad(lambda x: (VICReg()(*x), ()), tensors(a, b))
    rng = np.random.default_rng(1)
    for _ in range(4):
        directions = [rng.normal(size=a.shape) for _ in range(2)]
        up, down = [
            references.vicreg(a + e * directions[0], b + e * directions[1]) for e in (1e-5, -1e-5)
        ]
        slope = sum(np.sum(numpy(g) * d) for g, d in zip(gradients, directions))
        assert slope == pytest.approx((up - down) / 2e-5, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_half_precision_embeddings_give_float32(policy):
    keras.config.set_dtype_policy(policy)
    # Squares of these overflow float16.
    half = [(100 * view).astype("float16") for view in make_views()]
    result = VICReg()(*[ops.convert_to_tensor(view) for view in half])
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    assert float(result) == pytest.approx(references.vicreg(*half), rel=1e-4)


def test_config_round_trip():
    loss = VICReg(1.0, 2.0, 3.0, 4.0, 0.5, reduction="sum", name="static")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.get_config() == loss.get_config()
    assert (copy.invariance, copy.variance, copy.covariance) == (1.0, 2.0, 3.0)
    assert (copy.gamma, copy.epsilon, copy.reduction, copy.name) == (4.0, 0.5, "sum", "static")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"invariance": -1.0}, "invariance must not be negative. Received: -1.0"),
        ({"variance": float("nan")}, "variance must not be negative. Received: nan"),
        ({"covariance": -0.5}, "covariance must not be negative. Received: -0.5"),
        ({"gamma": 0.0}, "gamma must be positive. Received: 0.0"),
        ({"epsilon": 0.0}, "epsilon must be positive. Received: 0.0"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        VICReg(**arguments)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((4, 3), (4, 2)), r"Received: \(4, 3\) and \(4, 2\)"),
        (((4, 2, 3), (4, 2, 3)), r"Received: \(4, 2, 3\) and \(4, 2, 3\)"),
        (((1, 3), (1, 3)), r"needs at least 2 of them. Received: 1"),
    ],
)
def test_wrong_shapes_are_named(shapes, message):
    with pytest.raises(ValueError, match=message):
        VICReg()(*[np.ones(shape, "float32") for shape in shapes])
