"""`LeJEPA` against loops over vectors and points, closed forms, finite differences; seeds, config, errors."""

import keras
import numpy as np
import pytest
from keras import ops

from bod_keras.backend.autodiff import value_and_grad
from bod_keras.losses import LeJEPA
from tests import references


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def tensors(*arrays):
    return [ops.convert_to_tensor(np.asarray(array, "float32")) for array in arrays]


def make_views(batch=6, width=5, seed=0):
    rng = np.random.default_rng(seed)
    return [0.5 + 1.5 * rng.normal(size=(batch, width)) for _ in range(2)]


@pytest.mark.parametrize("weight", [0.0, 0.05, 1.0])
@pytest.mark.parametrize(("batch", "width", "slices"), [(1, 3, 2), (7, 1, 1), (7, 9, 4)])
def test_it_equals_the_loops(batch, width, slices, weight):
    loss = LeJEPA(weight, slices, seed=3)
    vectors = numpy(loss.vectors(width))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=0), 1, rtol=1e-5)
    a, b = make_views(batch, width)
    truth = references.lejepa(a, b, vectors, weight)
    result = loss(*tensors(a, b))
    assert result.shape == () and float(result) == pytest.approx(truth, rel=2e-5)
    # Keras divides anything but a scalar by the number of replicas.
    assert LeJEPA(weight, slices, seed=3, reduction=None)(*tensors(a, b)).shape == (1,)


def test_what_is_normal_costs_little_and_each_departure_more():
    normal = np.random.default_rng(0).normal(size=(512, 4))
    loss = LeJEPA(1.0, seed=0)

    def cost(view):
        return float(loss(*tensors(view, view)))

    # The mean of the statistic of normal samples: sum_t w_t (1 - exp(-t^2)), whatever their number.
    t = np.linspace(-5, 5, 17)
    expected = np.trapezoid if hasattr(np, "trapezoid") else np.trapz
    mean = expected(np.exp(-(t**2) / 2) * (1 - np.exp(-(t**2))), t)
    assert cost(normal) == pytest.approx(mean, rel=0.5)
    for other in (0 * normal, normal + 1, 2 * normal, normal / 2, np.abs(normal)):
        assert cost(other) > 5 * cost(normal)


def test_without_a_seed_every_call_has_vectors_of_its_own():
    keras.utils.set_random_seed(1)
    loss = LeJEPA(1.0, slices=2)
    views = tensors(*make_views())
    assert len({float(loss(*views)) for _ in range(3)}) == 3
    fixed = LeJEPA(1.0, slices=2, seed=5)
    assert len({float(fixed(*views)) for _ in range(3)}) == 1


def test_gradients_equal_finite_differences():
    a, b = make_views()
    loss = LeJEPA(0.3, 3, seed=0)
    vectors = numpy(loss.vectors(5))
    _, _, gradients = value_and_grad(lambda x: (loss(*x), ()), tensors(a, b))
    rng = np.random.default_rng(1)
    for _ in range(4):
        directions = [rng.normal(size=a.shape) for _ in range(2)]
        up, down = [
            references.lejepa(a + e * directions[0], b + e * directions[1], vectors, 0.3)
            for e in (1e-5, -1e-5)
        ]
        slope = sum(np.sum(numpy(g) * d) for g, d in zip(gradients, directions))
        assert slope == pytest.approx((up - down) / 2e-5, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_half_precision_embeddings_give_float32(policy):
    keras.config.set_dtype_policy(policy)
    half = [view.astype("float16") for view in make_views()]
    loss = LeJEPA(seed=0)
    result = loss(*[ops.convert_to_tensor(view) for view in half])
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    truth = references.lejepa(*half, numpy(loss.vectors(5)))
    assert float(result) == pytest.approx(truth, rel=1e-4)


def test_config_round_trip():
    loss = LeJEPA(0.2, 7, 3, reduction="sum", name="static")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.get_config() == loss.get_config()
    assert (copy.weight, copy.slices, copy.seed, copy.reduction) == (0.2, 7, 3, "sum")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": -0.1}, r"weight must lie in \[0, 1\] .* Received: -0.1"),
        ({"weight": float("nan")}, "Received: nan"),
        ({"slices": 0}, "slices must be at least 1. Received: 0"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        LeJEPA(**arguments)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"Received: \(4, 3\) and \(4, 2\)"):
        LeJEPA()(np.ones((4, 3), "float32"), np.ones((4, 2), "float32"))
