"""`InfoNCE` against a triple loop, closed forms, finite differences; dtypes, config, errors."""

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras.backend.autodiff import value_and_grad
from bod_keras.losses import info_nce
from tests import references


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def make_views(batch, width, seed=0):
    rng = np.random.default_rng(seed)
    return [3.0 * rng.normal(size=(batch, width)) for _ in range(2)]


def per_video(temperature, *views, dtype="float32"):
    loss = bod_keras.InfoNCE(temperature, reduction=None)
    return loss(*[ops.convert_to_tensor(view.astype(dtype)) for view in views])


@pytest.mark.parametrize("temperature", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("width", [3, 16])
@pytest.mark.parametrize("batch", [2, 5])
def test_it_equals_the_triple_loop(batch, width, temperature):
    a, b = make_views(batch, width)
    result = per_video(temperature, a, b)
    assert result.shape == (batch,)
    truth = references.info_nce(a, b, temperature)
    assert len(set(np.round(truth, 6))) == batch, "the videos must differ"
    np.testing.assert_allclose(numpy(result), truth, rtol=2e-5, atol=1e-5)
    mean = bod_keras.InfoNCE(temperature)(a.astype("float32"), b.astype("float32"))
    assert float(mean) == pytest.approx(truth.mean(), rel=2e-5, abs=1e-5)


@pytest.mark.parametrize("batch", [2, 7])
def test_identical_embeddings_give_the_log_of_the_number_of_candidates(batch):
    view = np.tile([[1.0, -2.0, 0.5]], (batch, 1))
    np.testing.assert_allclose(numpy(per_video(0.1, view, view)), np.log(2 * batch - 1), rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize("batch", [2, 6])
def test_orthogonal_embeddings_have_a_closed_form(batch, temperature):
    """The positive has cosine 1, the 2B - 2 others 0."""
    view = 4.0 * np.eye(batch)
    truth = np.log(1 + (2 * batch - 2) * np.exp(-1 / temperature))
    np.testing.assert_allclose(numpy(per_video(temperature, view, view)), truth, atol=2e-6)


def test_gradients_equal_finite_differences():
    a, b = make_views(4, 6)
    loss = bod_keras.InfoNCE(0.2)
    tensors = [ops.convert_to_tensor(view.astype("float32")) for view in (a, b)]
    _, _, gradients = value_and_grad(lambda x: (loss(*x), ()), tensors)
    rng = np.random.default_rng(1)
    for _ in range(4):
        directions = [rng.normal(size=a.shape) for _ in range(2)]
        up, down = [
            references.info_nce(a + e * directions[0], b + e * directions[1], 0.2).mean()
            for e in (1e-6, -1e-6)
        ]
        slope = sum(np.sum(numpy(g) * d) for g, d in zip(gradients, directions))
        assert slope == pytest.approx((up - down) / 2e-6, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("temperature", [1e-3, 1e-2])
def test_low_temperatures_neither_overflow_nor_vanish(temperature):
    a, b = make_views(3, 4)
    result = numpy(per_video(temperature, a, -a))
    assert np.isfinite(result).all() and (result > 1 / temperature).all()
    _, _, gradients = value_and_grad(
        lambda x: (bod_keras.InfoNCE(temperature)(*x), ()),
        [ops.convert_to_tensor(view.astype("float32")) for view in (a, b)],
    )
    assert all(np.isfinite(numpy(g)).all() and np.abs(numpy(g)).max() > 0 for g in gradients)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_half_precision_embeddings_give_float32(policy):
    keras.config.set_dtype_policy(policy)
    a, b = make_views(4, 8)
    a, b = a.astype("float16"), b.astype("float16")
    result = per_video(0.1, a, b, dtype="float16")
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    np.testing.assert_allclose(numpy(result), references.info_nce(a, b, 0.1), rtol=1e-4)


def test_config_round_trip():
    loss = bod_keras.InfoNCE(0.3, reduction="sum", name="static")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.get_config() == loss.get_config()
    assert (copy.temperature, copy.reduction, copy.name) == (0.3, "sum", "static")


@pytest.mark.parametrize("temperature", [0.0, -0.1, float("nan")])
def test_a_temperature_that_is_not_positive_is_named(temperature):
    with pytest.raises(ValueError, match=f"temperature must be positive.*Received: {temperature}"):
        bod_keras.InfoNCE(temperature)


@pytest.mark.parametrize(
    ("shapes", "received"),
    [
        (((4, 3), (4, 2)), r"Received: \(4, 3\) and \(4, 2\)"),
        (((4, 2, 3), (4, 2, 3)), r"Received: \(4, 2, 3\) and \(4, 2, 3\)"),
    ],
)
def test_wrong_shapes_are_named(shapes, received):
    with pytest.raises(ValueError, match=received):
        bod_keras.InfoNCE()(*[np.ones(shape, "float32") for shape in shapes])


def test_one_video_has_no_negatives():
    """It would be 0.0 for any embedding; `DecoupledLoss` says so, too."""
    one = np.ones((1, 3), "float32")
    with pytest.raises(
        ValueError, match="InfoNCE .* needs at least 2 of them. Received: 1. Choose"
    ):
        bod_keras.InfoNCE()(one, one)
    loss = bod_keras.DecoupledLoss(bod_keras.InfoNCE(0.5), bod_keras.InfoNCE(0.2))
    with pytest.raises(ValueError, match="needs at least 2 of them. Received: 1"):
        loss((one, one), (one, one))


def test_a_replica_computes_the_values_of_its_own_videos(monkeypatch):
    """Its gradient is a share: over the replicas it adds up to that of the joint batch."""
    views = [ops.convert_to_tensor(view.astype("float32")) for view in make_views(6, 4)]
    whole = numpy(bod_keras.InfoNCE(0.2, reduction=None)(*views))
    _, _, joint = value_and_grad(lambda x: (bod_keras.InfoNCE(0.2, "sum")(*x), ()), views)
    shares = []
    for rank in range(3):
        monkeypatch.setattr(info_nce, "own_rows", lambda x, rank=rank: x[2 * rank : 2 * rank + 2])
        loss = bod_keras.InfoNCE(0.2, reduction=None, gathered=True)
        np.testing.assert_allclose(numpy(loss(*views)), whole[2 * rank : 2 * rank + 2], rtol=1e-6)
        _, _, share = value_and_grad(lambda x, loss=loss: (ops.sum(loss(*x)), ()), views)
        shares.append([numpy(gradient) for gradient in share])
    for parts, gradient in zip(zip(*shares), joint, strict=True):
        np.testing.assert_allclose(sum(parts), numpy(gradient), atol=1e-6)
    assert numpy(bod_keras.InfoNCE(0.2, reduction=None)(*views)).shape == (6,)
