"""`sinkhorn` against loops over exponentials, its marginals, its optimum, extreme scores; errors."""

import keras
import numpy as np
import pytest
from keras import ops

from bod_keras.backend.autodiff import value_and_grad
from bod_keras.losses import sinkhorn
from tests import references


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def make_scores(batch=6, prototypes=4, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, size=(batch, prototypes))


def codes_of(scores, *args):
    return numpy(sinkhorn(ops.convert_to_tensor(scores.astype("float32")), *args))


@pytest.mark.parametrize("iterations", [1, 3, 10])
@pytest.mark.parametrize("epsilon", [0.02, 0.05, 1.0])
@pytest.mark.parametrize(("batch", "prototypes"), [(6, 4), (3, 8), (1, 3), (5, 1)])
def test_it_equals_the_loops(batch, prototypes, epsilon, iterations):
    scores = make_scores(batch, prototypes)
    truth = references.sinkhorn(scores, epsilon, iterations)
    result = codes_of(scores, epsilon, iterations)
    assert result.shape == (batch, prototypes) and result.dtype == np.float32
    np.testing.assert_allclose(result, truth, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize(("batch", "prototypes"), [(12, 4), (4, 12), (5, 3)])
def test_it_converges_to_balanced_columns_at_the_optimum(batch, prototypes):
    """At the optimum log Q - scores/epsilon is a sum of a term per row and a term per column."""
    scores = make_scores(batch, prototypes)
    codes = codes_of(scores, 0.2, 300)
    np.testing.assert_allclose(codes.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(codes.sum(axis=0), batch / prototypes, rtol=1e-4)
    potentials = np.log(codes) - scores / 0.2
    mixed = potentials - potentials[:1] - potentials[:, :1] + potentials[0, 0]
    np.testing.assert_allclose(mixed, 0.0, atol=2e-5)


def test_uniform_scores_give_uniform_codes():
    np.testing.assert_allclose(codes_of(np.full((6, 4), 0.7)), 0.25, rtol=1e-6)


def test_distinct_scores_give_a_permutation():
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(codes_of(np.eye(4)[order]), np.eye(4)[order], atol=1e-6)


def test_small_epsilon_neither_overflows_nor_loses_the_answer():
    scores = make_scores(8, 4)
    result = codes_of(0.5 * scores, 0.002, 3)  # exponents up to 250 fit into the truth's float64
    np.testing.assert_allclose(result, references.sinkhorn(0.5 * scores, 0.002, 3), atol=1e-4)
    for extreme in (scores / np.abs(scores).max(), np.sign(scores), 0 * scores - 1.0):
        result = codes_of(extreme, 0.001, 3)
        assert np.isfinite(result).all()
        np.testing.assert_allclose(result.sum(axis=1), 1.0, rtol=1e-4)


def test_the_codes_get_no_gradient():
    scores = ops.convert_to_tensor(make_scores().astype("float32"))
    weight = ops.convert_to_tensor(make_scores(seed=1).astype("float32"))
    _, _, (gradient,) = value_and_grad(
        lambda x: (ops.sum(weight * (sinkhorn(x[0]) + x[0])), ()), [scores]
    )
    np.testing.assert_array_equal(numpy(gradient), numpy(weight))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_half_precision_scores_give_float32(policy):
    keras.config.set_dtype_policy(policy)
    scores = make_scores().astype("float16")
    result = sinkhorn(ops.convert_to_tensor(scores))
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    np.testing.assert_allclose(numpy(result), references.sinkhorn(scores, 0.05, 3), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((4, 3)), 0.0), r"epsilon must be positive.*Received: 0.0"),
        ((np.ones((4, 3)), float("nan")), r"epsilon must be positive.*Received: nan"),
        ((np.ones((4, 3)), 0.05, 0), r"iterations must be an integer from 1.*Received: 0"),
        ((np.ones((4, 3)), 0.05, 2.5), r"iterations must be an integer from 1.*Received: 2.5"),
        ((np.ones(3),), r"expects scores of shape \(batch, prototypes\). Received: \(3,\)"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        sinkhorn(*arguments)
