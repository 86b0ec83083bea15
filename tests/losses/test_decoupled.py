"""`DecoupledLoss` against slow NumPy losses; weights, reduction, policies, files, wrong parts."""

import json

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras import losses
from bod_keras.backend.autodiff import value_and_grad
from tests import references

# A loss of two views, and its slow version: one value per sample.
LOSSES = {
    "info_nce": (losses.InfoNCE(0.3), lambda a, b: references.info_nce(a, b, 0.3)),
    "cosine": (losses.CosineRegression(), references.cosine_regression),
    "swapped": (
        losses.SwappedPrediction(0.2, epsilon=0.3),
        lambda a, b: references.swapped_prediction(a, b, 0.2, 0.3, 3),
    ),
}


def parts(batch=5, static=4, dynamic=9, seed=0):
    """((s_a, d_a), (s_b, d_b)), float64; the parts of a split are small numbers."""
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=(batch, static)), 1e-3 * rng.normal(size=(batch, dynamic))) for _ in "ab"
    ]


def tensors(views, dtype="float32"):
    return [tuple(ops.convert_to_tensor(x.astype(dtype)) for x in view) for view in views]


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("dynamic", LOSSES)
@pytest.mark.parametrize("static", LOSSES)
def test_it_is_the_weighted_sum_of_both_losses(static, dynamic, weight):
    (one, slow_one), (other, slow_other) = LOSSES[static], LOSSES[dynamic]
    (s_a, d_a), (s_b, d_b) = views = parts()
    loss = bod_keras.DecoupledLoss(one, other, weight, reduction=None)
    truth = {"static": slow_one(s_a, s_b), "dynamic": slow_other(d_a, d_b)}
    terms = loss.terms(*tensors(views))
    for name, value in truth.items():
        assert terms[name].shape == (5,)
        np.testing.assert_allclose(numpy(terms[name]), value, rtol=5e-5, atol=1e-5)
    total = truth["static"] + weight * truth["dynamic"]
    np.testing.assert_allclose(numpy(loss(*tensors(views))), total, rtol=5e-5, atol=1e-5)
    mean = bod_keras.DecoupledLoss(one, other, weight)(*tensors(views))
    assert float(mean) == pytest.approx(total.mean(), rel=5e-5)


def test_each_part_gets_the_gradient_of_its_own_loss():
    views = parts()
    loss = bod_keras.DecoupledLoss(losses.InfoNCE(0.5), losses.InfoNCE(0.2), 0.25)
    flat = [x for view in tensors(views) for x in view]
    _, _, gradients = value_and_grad(lambda x: (loss((x[0], x[1]), (x[2], x[3])), ()), flat)
    for places, own, weight in (((0, 2), loss.static, 1.0), ((1, 3), loss.dynamic, 0.25)):
        alone = [flat[i] for i in places]
        _, _, wanted = value_and_grad(lambda x, own=own: (own(*x), ()), alone)
        for place, gradient in zip(places, wanted):
            scale = np.abs(numpy(gradient)).max()
            np.testing.assert_allclose(
                numpy(gradients[place]), weight * numpy(gradient), atol=1e-5 * scale
            )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_it_is_computed_in_float32_under_every_policy(dtype):
    keras.config.set_dtype_policy(f"mixed_{dtype}")
    loss = bod_keras.DecoupledLoss(losses.InfoNCE(0.05), losses.InfoNCE(0.05), reduction=None)
    views = [tuple(ops.cast(x, dtype) for x in view) for view in tensors(parts())]
    value = loss(*views)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    exact = [tuple(numpy(ops.cast(x, "float32")).astype("float64") for x in view) for view in views]
    truth = sum(references.info_nce(*pair, 0.05) for pair in zip(*exact))
    np.testing.assert_allclose(numpy(value), truth, rtol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_it_comes_back_from_its_config(name):
    loss = bod_keras.DecoupledLoss(LOSSES[name][0], losses.InfoNCE(0.7), 0.3, name="both")
    text = json.dumps(keras.saving.serialize_keras_object(loss))
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert type(again.static) is type(loss.static) and again.dynamic.temperature == 0.7
    assert (again.dynamic_weight, again.name, again.reduction) == (0.3, "both", loss.reduction)
    views = tensors(parts())
    np.testing.assert_array_equal(numpy(again(*views)), numpy(loss(*views)))


@pytest.mark.parametrize(
    ("wrong", "received"),
    [
        (lambda s, d: s, "Tensor"),
        (lambda s, d: (s,), "tuple of 1"),
        (lambda s, d: (s, d, d), "tuple of 3"),
        (lambda s, d: {"static": s, "dynamic": d}, "dict"),
    ],
    ids=["one tensor", "one part", "three parts", "dict"],
)
def test_wrong_parts_are_named(wrong, received):
    loss = bod_keras.DecoupledLoss(losses.InfoNCE(), losses.InfoNCE())
    (s, d), good = tensors(parts())
    for views in ((wrong(s, d), good), (good, wrong(s, d))):
        with pytest.raises(bod_keras.UserError, match="parts of two views") as error:
            loss.terms(*views)
        if received != "Tensor":  # whose class is the backend's
            assert f"Received: {received}" in str(error.value)


def test_parts_of_different_batches_are_refused():
    loss = bod_keras.DecoupledLoss(losses.InfoNCE(), losses.InfoNCE())
    (one, _), (fewer, _) = tensors(parts()), tensors(parts(batch=4))
    with pytest.raises(bod_keras.UserError, match="two views of equal shape"):
        loss.terms(one, fewer)
    with pytest.raises(bod_keras.UserError, match="dynamic_weight must not be negative"):
        bod_keras.DecoupledLoss(losses.InfoNCE(), losses.InfoNCE(), -1.0)


def test_a_framework_uses_it():
    """What it logs is the weighted sum of what its parts log."""
    from tests.tiny_models import make_model, make_moving_views, simple, train

    model = make_model(simple(dynamic_weight=0.25))
    assert isinstance(model.objective, bod_keras.DecoupledLoss)
    history = train(model, make_moving_views(4))
    total = history["static_loss"][0] + 0.25 * history["dynamic_loss"][0]
    assert history["loss"][0] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1e-7, 1e-12, 1e-20])
@pytest.mark.parametrize("name", ["info_nce", "cosine"])
def test_small_parts_count_as_large_ones(name, scale):
    """The operator read-out of frames that hardly differ has a norm of 1e-7."""
    loss, slow = LOSSES[name]
    a, b = (d for _, d in parts())
    small = loss(*(ops.convert_to_tensor((scale * x).astype("float32")) for x in (a, b)))
    assert float(small) == pytest.approx(slow(a, b).mean(), rel=1e-4)
