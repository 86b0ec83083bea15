"""`QueueInfoNCE` against loops, closed forms, finite differences; partly filled queues, config, errors."""

import keras
import numpy as np
import pytest
from keras import ops

from bod_keras.backend.autodiff import value_and_grad
from bod_keras.losses import QueueInfoNCE, queue_info_nce
from tests import references


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def tensors(*arrays):
    return [ops.convert_to_tensor(np.asarray(array, "float32")) for array in arrays]


def make_embeddings(batch=4, length=6, width=5, seed=0):
    """Keys, queue, queries."""
    rng = np.random.default_rng(seed)
    return [3.0 * rng.normal(size=(rows, width)) for rows in (batch, length, batch)]


def per_query(temperature, keys, queue, queries, filled=None):
    keys, queue, queries = tensors(keys, queue, queries)
    extra = () if filled is None else (filled,)
    return QueueInfoNCE(temperature, reduction=None)((keys, queue, *extra), queries)


@pytest.mark.parametrize("temperature", [0.05, 0.2, 1.0])
@pytest.mark.parametrize(("batch", "length", "width"), [(1, 4, 3), (5, 2, 3), (4, 9, 16)])
def test_it_equals_the_loops(batch, length, width, temperature):
    keys, queue, queries = make_embeddings(batch, length, width)
    result = per_query(temperature, keys, queue, queries)
    assert result.shape == (batch,)
    truth = references.queue_info_nce(keys, queue, queries, temperature)
    assert len(set(np.round(truth, 6))) == batch, "the queries must differ"
    np.testing.assert_allclose(numpy(result), truth, rtol=2e-5, atol=1e-5)
    keys, queue, queries = tensors(keys, queue, queries)
    mean = QueueInfoNCE(temperature)((keys, queue), queries)
    assert float(mean) == pytest.approx(truth.mean(), rel=2e-5, abs=1e-5)


@pytest.mark.parametrize("length", [1, 7])
def test_identical_embeddings_give_the_log_of_the_number_of_candidates(length):
    row = np.array([[1.0, -2.0, 0.5]])
    result = per_query(0.1, np.tile(row, (3, 1)), np.tile(row, (length, 1)), np.tile(row, (3, 1)))
    np.testing.assert_allclose(numpy(result), np.log(1 + length), rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_orthogonal_embeddings_have_a_closed_form(temperature):
    """The positive has cosine 1, the 5 rows of the queue 0."""
    rows = 4.0 * np.eye(8)
    truth = np.log(1 + 5 * np.exp(-1 / temperature))
    result = per_query(temperature, rows[:3], rows[3:], rows[:3])
    np.testing.assert_allclose(numpy(result), truth, atol=2e-6)


@pytest.mark.parametrize(
    ("filled", "garbage"),
    [(0, np.nan), (1, np.nan), (4, 7.0), (4, np.nan), (np.int32(4), np.inf), (6, 0.0), (100, 0.0)],
)
def test_rows_that_are_not_filled_do_not_count(filled, garbage):
    keys, queue, queries = make_embeddings()
    queue[int(filled) :] = garbage
    truth = references.queue_info_nce(keys, queue, queries, 0.2, filled)
    keys, queue, queries = tensors(keys, queue, queries)
    loss = QueueInfoNCE(0.2, reduction=None)

    def summed(x):
        result = loss((keys, queue, ops.convert_to_tensor(filled)), x[0])
        return ops.sum(result), result

    _, result, (gradient,) = value_and_grad(summed, [queries])
    np.testing.assert_allclose(numpy(result), truth, rtol=2e-5, atol=1e-6)
    if filled == 0:
        np.testing.assert_allclose(numpy(gradient), 0.0, atol=1e-6)
        return
    _, _, (same,) = value_and_grad(
        lambda x: (ops.sum(loss((keys, queue[: int(filled)]), x[0])), ()), [queries]
    )
    assert np.abs(numpy(gradient)).max() > 1e-3
    np.testing.assert_allclose(numpy(gradient), numpy(same), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("filled", [None, 3])
def test_gradients_equal_finite_differences_and_stop_at_keys_and_queue(filled):
    keys, queue, queries = make_embeddings()
    extra = () if filled is None else (filled,)
    _, _, gradients = value_and_grad(
        lambda x: (QueueInfoNCE(0.2)((x[0], x[1], *extra), x[2]), ()),
        tensors(keys, queue, queries),
    )
    for gradient in gradients[:2]:
        np.testing.assert_array_equal(numpy(gradient), 0.0)
    rng = np.random.default_rng(1)
    for _ in range(4):
        direction = rng.normal(size=queries.shape)
        up, down = [
            references.queue_info_nce(keys, queue, queries + e * direction, 0.2, filled).mean()
            for e in (1e-6, -1e-6)
        ]
        slope = np.sum(numpy(gradients[2]) * direction)
        assert slope == pytest.approx((up - down) / 2e-6, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("temperature", [1e-3, 1e-2])
def test_low_temperatures_neither_overflow_nor_vanish(temperature):
    keys, queue, _ = make_embeddings()
    keys, queue = tensors(keys, queue)
    _, result, (gradient,) = value_and_grad(
        lambda x: (
            QueueInfoNCE(temperature)((keys, queue), x[0]),
            QueueInfoNCE(temperature, reduction=None)((keys, queue), x[0]),
        ),
        [-keys + 0.1],
    )
    assert np.isfinite(numpy(result)).all() and (numpy(result) > 0.5 / temperature).all()
    assert np.isfinite(numpy(gradient)).all() and np.abs(numpy(gradient)).max() > 0


def test_zero_embeddings_have_finite_gradients():
    keys, queue, queries = make_embeddings()
    queries[0] = keys[1] = queue[2] = 0.0
    keys, queue, queries = tensors(keys, queue, queries)
    value, _, (gradient,) = value_and_grad(
        lambda x: (QueueInfoNCE()((keys, queue), x[0]), ()), [queries]
    )
    assert np.isfinite(float(value)) and np.isfinite(numpy(gradient)).all()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_half_precision_embeddings_give_float32(policy):
    keras.config.set_dtype_policy(policy)
    keys, queue, queries = [array.astype("float16") for array in make_embeddings()]
    half = [ops.convert_to_tensor(array) for array in (keys, queue, queries)]
    result = QueueInfoNCE(reduction=None)((half[0], half[1], 3), half[2])
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    truth = references.queue_info_nce(keys, queue, queries, 0.1, 3)
    np.testing.assert_allclose(numpy(result), truth, rtol=1e-4, atol=1e-5)


def test_config_round_trip():
    loss = QueueInfoNCE(0.3, reduction="sum", name="static")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.get_config() == loss.get_config()
    assert (copy.temperature, copy.reduction, copy.name) == (0.3, "sum", "static")


@pytest.mark.parametrize("temperature", [0.0, -0.1, float("nan")])
def test_a_temperature_that_is_not_positive_is_named(temperature):
    with pytest.raises(ValueError, match=f"temperature must be positive.*Received: {temperature}"):
        QueueInfoNCE(temperature)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((4, 3), (6, 3), (4, 2)), r"keys and queries .* Received: \(4, 3\) and \(4, 2\)"),
        (((3,), (6, 3), (3,)), r"keys and queries .* Received: \(3,\) and \(3,\)"),
        (((4, 3), (6, 2), (4, 3)), r"with width 3, .* Received: \(6, 2\)"),
        (((4, 3), (3,), (4, 3)), r"with width 3, .* Received: \(3,\)"),
        (((4, 3), (6, 3), (6,), (4, 3)), r"as a scalar. Received: a tensor of shape \(6,\)"),
        (((4, 3), (4, 3)), r"Received as first argument: 1 tensors"),
    ],
)
def test_wrong_shapes_are_named(shapes, message):
    *given, queries = [np.ones(shape, "float32") for shape in shapes]
    with pytest.raises(ValueError, match=message):
        QueueInfoNCE()(tuple(given), queries)


def test_keys_without_a_queue_are_named():
    with pytest.raises(ValueError, match=r"expects \(\(keys, queue\), queries\).*argument: one "):
        QueueInfoNCE()(np.ones((4, 3), "float32"), np.ones((4, 3), "float32"))


def test_a_replica_computes_the_values_of_its_own_queries(monkeypatch):
    keys, queue, queries = tensors(*make_embeddings(batch=6))
    whole = numpy(QueueInfoNCE(0.2, reduction=None)((keys, queue), queries))
    monkeypatch.setattr(queue_info_nce, "own_rows", lambda x: x[2:4])
    mine = QueueInfoNCE(0.2, reduction=None, gathered=True)((keys, queue), queries)
    np.testing.assert_allclose(numpy(mine), whole[2:4], rtol=1e-6)
