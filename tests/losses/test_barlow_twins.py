"""`BarlowTwins` against loops, closed forms, finite differences; reductions, dtypes, config, errors."""

import keras
import numpy as np
import pytest
from keras import ops

from bod_keras.backend.autodiff import value_and_grad
from bod_keras.losses import BarlowTwins
from tests import references

# Two uncorrelated columns.
ORTHOGONAL = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def tensors(*arrays):
    return [ops.convert_to_tensor(np.asarray(array, "float32")) for array in arrays]


def make_views(batch=6, width=5, seed=0):
    rng = np.random.default_rng(seed)
    return [1.5 + 3.0 * rng.normal(size=(batch, width)) for _ in range(2)]


@pytest.mark.parametrize("settings", [(5e-3, 1e-5), (0.0, 1e-5), (1.0, 1e-5), (0.1, 0.5)])
@pytest.mark.parametrize(("batch", "width"), [(3, 3), (7, 1), (7, 16)])
def test_it_equals_the_loops(batch, width, settings):
    a, b = make_views(batch, width)
    truth = references.barlow_twins(a, b, *settings)
    for reduction in ("sum_over_batch_size", "sum", "mean"):
        result = BarlowTwins(*settings, reduction=reduction)(*tensors(a, b))
        assert result.shape == ()
        assert float(result) == pytest.approx(truth, rel=5e-5)
    result = BarlowTwins(*settings, reduction=None)(*tensors(a, b))
    # Keras divides anything but a scalar by the number of replicas.
    assert result.shape == (1,)
    np.testing.assert_allclose(numpy(result), [truth], rtol=5e-5)


def test_a_perfect_cross_correlation_gives_zero_whatever_the_scale():
    a, b = tensors(1e3 * ORTHOGONAL, 5e2 * ORTHOGONAL - 7.0)
    assert float(BarlowTwins(off_diagonal=1.0)(a, b)) < 1e-9


def test_exchanged_and_opposite_dimensions_have_closed_forms():
    loss = BarlowTwins(off_diagonal=0.1, epsilon=1e-12)
    exchanged = loss(*tensors(ORTHOGONAL, ORTHOGONAL[:, ::-1]))
    assert float(exchanged) == pytest.approx(2 * 1 + 0.1 * 2, rel=1e-5)
    opposite = loss(*tensors(ORTHOGONAL, -ORTHOGONAL))
    assert float(opposite) == pytest.approx(2 * (1 + 1) ** 2, rel=1e-5)


def test_collapse_costs_one_per_dimension_and_its_gradient_is_finite():
    collapsed = np.full((4, 3), 0.5)
    value, _, gradients = value_and_grad(
        lambda x: (BarlowTwins()(*x), ()), tensors(collapsed, collapsed)
    )
    assert float(value) == pytest.approx(3.0)
    assert all(np.isfinite(numpy(gradient)).all() for gradient in gradients)


def test_gradients_equal_finite_differences():
    a, b = make_views()
    _, _, gradients = value_and_grad(lambda x: (BarlowTwins(0.1)(*x), ()), tensors(a, b))
    rng = np.random.default_rng(1)
    for _ in range(4):
        directions = [rng.normal(size=a.shape) for _ in range(2)]
        up, down = [
            references.barlow_twins(a + e * directions[0], b + e * directions[1], 0.1)
            for e in (1e-6, -1e-6)
        ]
        slope = sum(np.sum(numpy(g) * d) for g, d in zip(gradients, directions))
        assert slope == pytest.approx((up - down) / 2e-6, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_half_precision_embeddings_give_float32(policy):
    keras.config.set_dtype_policy(policy)
    # Squares of these overflow float16.
    half = [(100 * view).astype("float16") for view in make_views()]
    result = BarlowTwins()(*[ops.convert_to_tensor(view) for view in half])
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    assert float(result) == pytest.approx(references.barlow_twins(*half), rel=1e-4)


def test_config_round_trip():
    loss = BarlowTwins(0.1, 1e-3, reduction="sum", name="static")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.get_config() == loss.get_config()
    assert (copy.off_diagonal, copy.epsilon) == (0.1, 1e-3)
    assert (copy.reduction, copy.name) == ("sum", "static")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"off_diagonal": -1.0}, "off_diagonal must not be negative. Received: -1.0"),
        ({"epsilon": 0.0}, "epsilon must be positive. Received: 0.0"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        BarlowTwins(**arguments)


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
        BarlowTwins()(*[np.ones(shape, "float32") for shape in shapes])
