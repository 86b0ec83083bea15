"""Inverse and solution of small systems against NumPy, with gradients, and of singular ones."""

import keras
import numpy as np
import pytest
from keras import ops

from bod_keras.backend import small_matrices
from bod_keras.backend.autodiff import value_and_grad


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 3), (5, 1, 1), (4, 2, 6, 6)])
def test_they_are_those_of_numpy(shape, dtype):
    if dtype == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX has none")
    rng = np.random.default_rng(0)
    a = np.eye(shape[-1]) + 0.2 * rng.normal(size=shape)
    b = rng.normal(size=(*shape[:-1], 2))
    left, right = (ops.convert_to_tensor(x.astype(dtype)) for x in (a, b))
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for found, truth in (
        (small_matrices.inverse(left), np.linalg.inv(a)),
        (small_matrices.solve(left, right), np.linalg.solve(a, b)),
    ):
        assert keras.backend.standardize_dtype(found.dtype) == dtype
        np.testing.assert_allclose(numpy(found), truth, atol=tolerance)


def test_gradients_are_those_of_the_inverse():
    """d(a^-1) = -a^-1 da a^-1."""
    rng = np.random.default_rng(1)
    a = (np.eye(4) + 0.2 * rng.normal(size=(3, 4, 4))).astype("float32")
    b, weight = rng.normal(size=(2, 3, 4, 4)).astype("float32")
    inverse = np.linalg.inv(a)
    transposed = inverse.swapaxes(-1, -2)
    truth_inverse = -transposed @ weight @ transposed
    truth_solve = -transposed @ weight @ (inverse @ b).swapaxes(-1, -2)
    a, b, weight = map(ops.convert_to_tensor, (a, b, weight))
    for function, truth in (
        (small_matrices.inverse, truth_inverse),
        (lambda a: small_matrices.solve(a, b), truth_solve),
    ):
        _, _, (gradient,) = value_and_grad(
            lambda x, function=function: (ops.sum(weight * function(x[0])), ()),
            [a],
        )
        np.testing.assert_allclose(numpy(gradient), truth, atol=1e-4)


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="TensorFlow raises")
@pytest.mark.parametrize("broken", [np.zeros((2, 2)), np.ones((2, 2)), np.full((2, 2), np.nan)])
def test_a_broken_matrix_leaves_the_others_alone(broken):
    a = ops.convert_to_tensor(np.stack([2 * np.eye(2), broken]).astype("float32"))
    for found in (small_matrices.inverse(a), small_matrices.solve(a, ops.ones_like(a))):
        assert np.isfinite(numpy(found)[0]).all() and not np.isfinite(numpy(found)[1]).all()
