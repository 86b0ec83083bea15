"""`KoopmanPrediction` against explicit powers of the D x D operator, known answers, errors."""

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras.backend.autodiff import value_and_grad
from tests import references

KINDS = ("cross_clip", "in_sample")


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def make_views(batch=3, frames=7, width=9, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(batch, frames, width)) for _ in range(2)]


def tensors(*views):
    return [ops.convert_to_tensor(np.asarray(view, "float32")) for view in views]


def rotation(frames=8, speed=0.5, phase=0.0):
    angles = phase + speed * np.arange(frames)
    return np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=-1)[None]


@pytest.mark.parametrize("ridge", [1e-2, 0.3])
@pytest.mark.parametrize("frames", [3, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_the_d_by_d_route(kind, frames, ridge):
    views = make_views(frames=frames)
    loss = bod_keras.KoopmanPrediction(kind, ridge, reduction=None)
    result = loss(*tensors(*views))
    assert result.shape == (3,)
    truth = references.koopman_prediction(*views, kind, ridge)
    np.testing.assert_allclose(numpy(result), truth, rtol=2e-4, atol=1e-6)
    loss = bod_keras.KoopmanPrediction(kind, ridge)
    assert float(loss(*tensors(*views))) == pytest.approx(truth.mean(), rel=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_finite_differences(kind):
    views = make_views()
    loss = bod_keras.KoopmanPrediction(kind)
    _, _, gradients = value_and_grad(lambda x: (loss(*x), ()), tensors(*views))
    rng = np.random.default_rng(1)
    for _ in range(3):
        directions = [rng.normal(size=view.shape) for view in views]
        up, down = [
            references.koopman_prediction(
                *[v + e * d for v, d in zip(views, directions)], kind
            ).mean()
            for e in (1e-6, -1e-6)
        ]
        slope = sum(np.sum(numpy(g) * d) for g, d in zip(gradients, directions))
        assert slope == pytest.approx((up - down) / 2e-6, rel=5e-3, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_one_law_of_motion_predicts_every_clip_that_obeys_it(kind):
    loss = bod_keras.KoopmanPrediction(kind, ridge=1e-4)
    same_law = float(loss(*tensors(rotation(), rotation(phase=2.0))))
    assert same_law < 1e-5
    if kind == "cross_clip":  # the only kind that compares two clips
        other_law = float(loss(*tensors(rotation(), rotation(speed=-0.5))))
        assert other_law == pytest.approx(4 * np.sin(0.5) ** 2 / 3, rel=1e-2)


def test_in_sample_error_is_vacuous_and_cross_clip_is_not():
    views = tensors(*make_views(width=16))
    errors = {kind: float(bod_keras.KoopmanPrediction(kind, 1e-4)(*views)) for kind in KINDS}
    assert errors["in_sample"] < 1e-6
    assert errors["cross_clip"] > 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_broken_clips_do_not_raise_and_only_nan_is_not_finite(kind, value):
    a, b = make_views()
    a[1] = b[1] = value
    loss = bod_keras.KoopmanPrediction(kind, reduction=None)
    _, result, gradients = value_and_grad(lambda x: (ops.sum(loss(*x)), loss(*x)), tensors(a, b))
    assert np.isfinite(numpy(result)).tolist() == [True, value == 0.0, True]
    if value == 0.0:
        assert all(np.isfinite(numpy(g)).all() for g in gradients)


def test_half_precision_embeddings_give_float32():
    keras.config.set_dtype_policy("mixed_float16")
    views = [view.astype("float16") for view in make_views()]
    result = bod_keras.KoopmanPrediction(reduction=None)(*[ops.convert_to_tensor(v) for v in views])
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    truth = references.koopman_prediction(*views, "cross_clip")
    np.testing.assert_allclose(numpy(result), truth, rtol=1e-3)


def test_config_round_trip():
    loss = bod_keras.KoopmanPrediction("in_sample", 0.2, reduction="sum", name="lower")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.get_config() == loss.get_config()
    assert (copy.kind, copy.ridge) == ("in_sample", 0.2)
    assert (copy.reduction, copy.name) == ("sum", "lower")


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="must be one of cross_clip, in_sample. Received: 'ahead'"):
        bod_keras.KoopmanPrediction("ahead")


@pytest.mark.parametrize(
    ("kind", "shapes", "message"),
    [
        (
            "cross_clip",
            [(2, 1, 4)] * 2,
            r"needs at least 2 frames: one frame has no motion. Received: 1",
        ),
        ("in_sample", [(2, 4)] * 2, r"Received: \(2, 4\) and \(2, 4\)"),
        ("cross_clip", [(2, 5, 4), (2, 6, 4)], r"Received: \(2, 5, 4\) and \(2, 6, 4\)"),
    ],
)
def test_wrong_shapes_are_named(kind, shapes, message):
    with pytest.raises(ValueError, match=message):
        bod_keras.KoopmanPrediction(kind)(*[np.ones(shape, "float32") for shape in shapes])
