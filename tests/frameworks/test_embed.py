"""`embed` and `embedder`: what a trained model is for, on every backend."""

import keras
import numpy as np
import pytest

import bod_keras
from tests.tiny_models import make_framework, make_views, numpy, parts_by_hand, simple, train

VARIANTS = pytest.mark.parametrize("decoupling", [None, True, "paper"])
CLIPS = make_views(batch=7)[:, 0]


def assert_same_parts(one, other, **tolerance):
    assert list(one) == list(other) == ["pooled", "static", "dynamic"]
    for name, part in one.items():
        assert isinstance(part, np.ndarray) and part.dtype == np.float32
        np.testing.assert_allclose(part, other[name], err_msg=name, **tolerance)


@VARIANTS
def test_it_is_pooled_features_and_the_two_parts(decoupling):
    model = make_framework("vsimclr", decoupling)
    parts = model.embed(CLIPS)
    static, dynamic = parts_by_hand(model, model(CLIPS))
    truth = {
        "pooled": numpy(model.encoder(CLIPS)).mean(1),
        "static": static,
        "dynamic": dynamic,
    }
    assert_same_parts(parts, truth, rtol=1e-4, atol=1e-5)
    assert parts["dynamic"].shape == (7, 6 if decoupling == "paper" else 36)


def test_any_number_of_clips_and_any_batch_size_give_the_same():
    model = make_framework("vsimclr", True)
    whole = model.embed(CLIPS)
    for batch_size in (1, 3, 7):
        assert_same_parts(model.embed(CLIPS, batch_size=batch_size), whole, rtol=1e-4, atol=1e-5)


def test_one_clip_bytes_lists_and_tensors():
    model = make_framework("vsimclr", True)
    one = model.embed(CLIPS[0])
    assert one["static"].shape == (1, 6)
    assert_same_parts(one, {k: v[:1] for k, v in model.embed(CLIPS).items()}, rtol=1e-4, atol=1e-5)
    whole = model.embed(CLIPS[:2])
    tensor = keras.ops.convert_to_tensor(CLIPS[:2])
    if keras.backend.backend() == "torch":
        tensor.requires_grad_()  # NumPy would not take it as it is
    assert_same_parts(model.embed(tensor), whole)
    assert_same_parts(model.embed(CLIPS[:2].tolist()), whole)
    pixels = np.round(255 * CLIPS).astype("uint8")
    assert_same_parts(model.embed(pixels), model.embed(pixels.astype("float32") / 255))


def outputs(embedder, names):
    parts = embedder(CLIPS)
    assert set(parts) == set(names)
    return {name: numpy(parts[name]) for name in names}


@VARIANTS
def test_the_embedder_is_a_model_of_its_own_with_the_same_weights(decoupling):
    model = make_framework("vmoco", decoupling)
    weights = len(model.weights)
    embedder = model.embedder()
    before = model.embed(CLIPS)
    assert_same_parts(outputs(embedder, before), before, atol=1e-6)
    train(model, make_views())
    after = model.embed(CLIPS)
    assert np.abs(after["static"] - before["static"]).max() > 1e-4
    assert_same_parts(outputs(embedder, after), after, atol=1e-6)
    assert len(model.weights) == weights


@VARIANTS
def test_a_loaded_model_gives_the_same_parts(decoupling, tmp_path):
    model = make_framework("vbyol", decoupling)
    train(model, make_views())
    model.save(tmp_path / "model.keras")
    assert_same_parts(bod_keras.load(tmp_path / "model.keras").embed(CLIPS), model.embed(CLIPS))


def test_a_plain_models_parts_are_the_same_in_every_process():
    """They come through fixed bases."""
    one, other = [make_framework("vsimclr", None) for _ in range(2)]
    keras.utils.set_random_seed(5)
    assert_same_parts(one.embed(CLIPS), other.embed(CLIPS))


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (CLIPS[:, :2], r"embed expects clips \(N, 4, 8, 8, 3\). Received: \(7, 2, 8, 8, 3\)"),
        (CLIPS[:0], r"Received: \(0, 4, 8, 8, 3\)"),
        (CLIPS[0, 0], r"Received: \(8, 8, 3\)"),
        (255 * CLIPS, r"must lie in \[0, 1\]. Received values from .*divide by 255"),
        (CLIPS.astype("int32"), "floats in .* or uint8. Received: int32"),
    ],
    ids=["length", "none", "frame", "range", "integers"],
)
def test_other_clips_are_refused(clips, message):
    with pytest.raises(bod_keras.UserError, match=message):
        make_framework("vsimclr", True).embed(clips)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a SavedModel is TensorFlow's")
def test_export_carries_all_three_parts(tmp_path):
    import tensorflow as tf

    model = make_framework("vsimclr", simple())
    model.export(tmp_path / "saved", verbose=False)
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    parts = {name: part.numpy() for name, part in saved.serve(CLIPS).items()}
    own = model.embed(CLIPS)
    assert_same_parts({name: parts[name] for name in own}, own, rtol=1e-4, atol=1e-5)
