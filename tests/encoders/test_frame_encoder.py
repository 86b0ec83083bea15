"""`FrameEncoder`: the image model on every frame, with the colors that it was trained on."""

import keras
import numpy as np
import pytest
from keras import applications, layers

from bod_keras.encoders import ENCODERS, FrameEncoder, RematModel
from tests.tiny_models import gradients_of, numpy


def images(shape=(8, 8, 3)):
    """A map of features, without padding, so that colors are all that matters."""
    return keras.Sequential([keras.Input(shape), layers.Conv2D(4, 3, activation="tanh")])


def make_clips(size=8):
    return np.random.default_rng(0).random((2, 3, size, size, 3), "float32")


@pytest.mark.parametrize(
    ("preprocessing", "prepare"),
    [
        ("unit", lambda pixels: pixels / 255),
        ("pixels", applications.convnext.preprocess_input),
        ("tf", applications.mobilenet.preprocess_input),
        ("torch", applications.densenet.preprocess_input),
        ("caffe", applications.resnet.preprocess_input),
    ],
)
def test_equals_the_model_on_each_frame_as_keras_prepares_it(preprocessing, prepare):
    model = images()
    encoder = FrameEncoder(model, preprocessing)
    assert encoder.output_shape == (None, None, 4)
    assert encoder.weights == model.weights
    clips = make_clips()
    got = numpy(encoder(clips))
    for t in range(3):
        want = numpy(model(prepare(255 * clips[:, t]))).mean((1, 2))
        np.testing.assert_allclose(got[:, t], want, rtol=1e-4, atol=1e-4)


def test_a_vector_stays_as_it_is():
    model = keras.Sequential([images(), layers.Flatten(), layers.Dense(5)])
    got = numpy(FrameEncoder(model, "unit", input_shape=(3, 8, 8, 3))(make_clips()))
    np.testing.assert_allclose(got[:, 1], numpy(model(make_clips()[:, 1])), rtol=1e-5, atol=1e-6)


def test_a_network_of_keras_applications_trains_the_same_with_remat():
    model = applications.MobileNet((32, 32, 3), alpha=0.25, include_top=False, weights=None)
    clips = make_clips(32)
    results = []
    for remat in (False, True):
        keras.utils.set_random_seed(0)
        encoder = FrameEncoder(model, "tf", remat=remat)
        assert any(isinstance(layer, RematModel) for layer in encoder.layers) == remat
        gradients = gradients_of(
            encoder, lambda e=encoder: keras.ops.sum(keras.ops.square(e(clips, training=True)))
        )
        results.append(gradients)
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * (1e-3 + np.abs(one).max()))


def test_it_comes_back_from_a_file(tmp_path):
    encoder = FrameEncoder(images(), "caffe")
    encoder.save(tmp_path / "encoder.keras")
    again = keras.models.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(numpy(again(make_clips())), numpy(encoder(make_clips())))


def test_regions_and_tokens_keep_what_one_mean_forgets():
    model, clips = images(), make_clips()
    got = numpy(FrameEncoder(model, "unit", (3, 8, 8, 3), regions=2)(clips))
    maps = numpy(model(clips[:, 1])).reshape(2, 2, 3, 2, 3, 4)
    np.testing.assert_allclose(got[:, 1], maps.mean((2, 4)).reshape(2, -1), rtol=1e-5, atol=1e-6)
    tokens = keras.Sequential([model, layers.Reshape((36, 4))])
    got = numpy(FrameEncoder(tokens, "unit", (3, 8, 8, 3))(clips))
    np.testing.assert_allclose(got, numpy(FrameEncoder(model, "unit")(clips)), rtol=1e-5, atol=1e-6)


def test_a_frozen_model_is_as_in_evaluation_also_in_training_and_from_a_file(tmp_path):
    model = keras.Sequential([images(), layers.BatchNormalization(), layers.Dropout(0.5)])
    model.save(tmp_path / "images.keras")
    arguments = {"preprocessing": "unit", "frozen": True}
    encoder = ENCODERS["frame_encoder"](
        input_shape=(3, 8, 8, 3), model=str(tmp_path / "images.keras"), **arguments
    )
    assert encoder.weights and not encoder.trainable_variables
    clips = make_clips()
    want = numpy(FrameEncoder(model, "unit")(clips))
    for training in (True, False):
        np.testing.assert_allclose(numpy(encoder(clips, training=training)), want, rtol=1e-5)
    with pytest.raises(ValueError, match="as random as it is made"):
        ENCODERS["frame_encoder"](input_shape=(3, 32, 32, 3), model="MobileNet", **arguments)
    with pytest.raises(ValueError, match="there is no such file"):
        ENCODERS["frame_encoder"](input_shape=(3, 8, 8, 3), model="no.keras", **arguments)
    (tmp_path / "bad.keras").write_bytes(b"PK bad")
    with pytest.raises(ValueError, match="is not read as a Keras model"):
        ENCODERS["frame_encoder"](
            input_shape=(3, 8, 8, 3), model=str(tmp_path / "bad.keras"), **arguments
        )


def test_wrong_arguments():
    with pytest.raises(
        ValueError, match="one of unit, pixels, tf, torch, caffe.* Received: 'imagenet'"
    ):
        FrameEncoder(images(), "imagenet")
    with pytest.raises(ValueError, match="input_shape must be .* Received: .None, 8, 8, 1."):
        FrameEncoder(images((8, 8, 1)), "unit")
    told = r"takes images \(8, 8, 1\).*clips are \(8, 8, 3\).*clips.size"
    with pytest.raises(ValueError, match=told):
        FrameEncoder(images((8, 8, 1)), "unit", (3, 8, 8, 3))
    with pytest.raises(ValueError, match=r"takes images \(8, 8, 3\).*clips are \(9, 8, 3\)"):
        FrameEncoder(images(), "unit", (3, 9, 8, 3))
    assert FrameEncoder(images(), "unit", (3, None, None, 3)).output_shape == (None, 3, 4)
    pair = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="one map .* or one vector .* pass include_top=False"):
        FrameEncoder(keras.Model(pair, [pair, pair]), "unit")
    with pytest.raises(ValueError, match="needs a Functional model of one input. Received: own"):
        FrameEncoder(Own(name="own"), "unit", (3, 8, 8, 3), remat=True)


class Own(keras.Model):
    def call(self, x):
        return x
