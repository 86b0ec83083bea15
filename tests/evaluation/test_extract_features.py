"""Feature extraction: values, views, order, inference mode and errors."""

import keras
import numpy as np
import pytest

from bod_keras.encoders import FrameCNN
from bod_keras.evaluation.features import iterate_features
from bod_keras.evaluation.read_out import ReadOut


def clips(videos, views=1, seed=0):
    return np.random.default_rng(seed).normal(size=(videos, views, 4, 3, 3, 3)).astype("float32")


def batches(views, sizes, index=None):
    index = np.arange(len(views), dtype="int32") if index is None else np.asarray(index)
    stops = np.cumsum(sizes)
    return [
        {"views": views[stop - size : stop], "index": index[stop - size : stop]}
        for size, stop in zip(sizes, stops)
    ]


def extract_features(model, dataset):
    """All batches as one."""
    found = list(iterate_features(ReadOut(model), dataset))
    features = {p: np.concatenate([batch[p] for batch, _ in found]) for p in found[0][0]}
    return features, np.concatenate([index for _, index in found])


def encoder():
    """Frame features are the flattened frames: the truth needs no network."""
    return keras.Sequential([keras.Input((4, 3, 3, 3)), keras.layers.Reshape((4, 27))])


class Framework(keras.Model):
    """Has a read-out of three parts, and layers that behave differently in training."""

    def __init__(self, bad=None):
        super().__init__()
        self.encoder = encoder()
        self.norm = keras.layers.BatchNormalization(epsilon=0.0)
        self.drop = keras.layers.Dropout(0.5, seed=0)
        self.bad = bad
        self.build((None, 4, 3, 3, 3))

    def build(self, input_shape):
        self.norm.build((None, 4, 27))

    def embedder(self):
        return self.parts

    def parts(self, clips, training):
        frames = self.drop(self.norm(self.encoder(clips)))
        parts = {
            "pooled": keras.ops.mean(frames, axis=1),
            "static": frames[:, 0, :5],
            "dynamic": frames[:, -1, :2] - frames[:, 0, :2],
        }
        if self.bad == "nan":
            parts["dynamic"] = keras.ops.sqrt(-1.0 - keras.ops.square(parts["dynamic"]))
        if self.bad == "rank":
            parts["static"] = frames
        return parts


def test_an_encoder_gives_the_mean_over_time():
    views = clips(5)
    features, index = extract_features(encoder(), batches(views, [2, 2, 1]))
    assert list(features) == ["pooled"]
    assert features["pooled"].dtype == np.float32 and index.dtype == np.int64
    np.testing.assert_allclose(
        features["pooled"], views[:, 0].reshape(5, 4, 27).mean(axis=1), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(index, np.arange(5))


def test_a_read_out_gives_its_parts_in_inference_mode():
    views = clips(5)
    features, _ = extract_features(Framework(), batches(views, [3, 2]))
    assert list(features) == ["pooled", "static", "dynamic"]
    frames = views[:, 0].reshape(5, 4, 27)
    close = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(features["pooled"], frames.mean(axis=1), **close)
    np.testing.assert_allclose(features["static"], frames[:, 0, :5], **close)
    np.testing.assert_allclose(
        features["dynamic"], frames[:, -1, :2] - frames[:, 0, :2], rtol=1e-5, atol=1e-5
    )


def test_views_are_averaged_and_the_order_is_kept():
    views = clips(4, views=3)
    features, index = extract_features(encoder(), batches(views, [2, 2], index=[9, 2, 7, 0]))
    single = [
        extract_features(encoder(), batches(views[:, v : v + 1], [4]))[0]["pooled"]
        for v in range(3)
    ]
    np.testing.assert_allclose(features["pooled"], np.mean(single, axis=0), rtol=1e-5, atol=1e-6)
    assert index.tolist() == [9, 2, 7, 0]


def test_twice_is_identical():
    model, data = Framework(), batches(clips(3), [2, 1])
    first, second = extract_features(model, data)[0], extract_features(model, data)[0]
    for part in first:
        np.testing.assert_array_equal(first[part], second[part])


def test_weights_stay_as_they_were():
    model = Framework()
    extract_features(model, batches(clips(2), [2]))
    before = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    extract_features(model, batches(10 + clips(2), [2]))
    for old, new in zip(before, model.weights):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(new))


def test_half_precision_models_give_float32():
    layer = keras.layers.Reshape((4, 27), dtype="mixed_float16")
    model = keras.Sequential([keras.Input((4, 3, 3, 3)), layer])
    features, _ = extract_features(model, batches(clips(2), [2]))
    assert features["pooled"].dtype == np.float32


def test_errors_of_the_dataset():
    with pytest.raises(ValueError, match=r'dicts with "views" and "index". Received: \[.views.\]'):
        extract_features(encoder(), [{"views": clips(2)}])
    with pytest.raises(ValueError, match=r"Received: \(2, 4, 3, 3, 3\) and \(2,\)"):
        extract_features(encoder(), [{"views": clips(2)[:, 0], "index": np.arange(2)}])
    with pytest.raises(ValueError, match=r"each video once. Received: the indices \[0, 1\] again"):
        extract_features(encoder(), batches(clips(2), [2]) * 2)


def test_errors_of_the_model():
    with pytest.raises(ValueError, match="a framework, or an encoder.*Received: an output"):
        extract_features(keras.Sequential([keras.layers.Flatten()]), batches(clips(2), [2]))
    with pytest.raises(
        ValueError, match=r"shape \(2, K\). Received: \(2, 4, 27\) for part 'static'"
    ):
        extract_features(Framework("rank"), batches(clips(2), [2]))
    with pytest.raises(ValueError, match=r"part 'dynamic' of the videos \[0, 1\] must be finite"):
        extract_features(Framework("nan"), batches(clips(2), [2]))


def test_pooled_features_keep_stretches_of_time():
    encoder = FrameCNN((4, 8, 8, 3), widths=(4,))
    batch = np.random.default_rng(0).random((2, 4, 8, 8, 3), "float32")
    (values,) = ReadOut(encoder, "pooled", time_steps=2).predict_on_batch(batch).values()
    frames = encoder.predict(batch, verbose=0)
    halves = np.concatenate([frames[:, :2].mean(axis=1), frames[:, 2:].mean(axis=1)], axis=1)
    np.testing.assert_allclose(values, halves, atol=1e-6)
