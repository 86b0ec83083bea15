"""The last feature map of an encoder: its mean over space is what the encoder gives."""

import keras
import numpy as np
import pytest

from bod_keras.encoders import FrameEncoder, RematModel, feature_map
from tests.encoders.test_every_encoder import SHAPE, TINY
from tests.tiny_models import draw_matrices, numpy


@pytest.mark.parametrize("name", ["frame_cnn", "frame_encoder", "remat", "r3d18"])
def test_its_mean_over_space_is_the_frame_feature(name):
    encoder = TINY[name]()
    draw_matrices(encoder, np.random.default_rng(0))
    model = feature_map(encoder)
    clips = np.random.default_rng(0).random((2, *SHAPE), "float32")
    maps, features = numpy(model(clips)), numpy(encoder(clips))
    assert maps.shape == (2, *model.output_shape[1:]) and maps.shape[1] == features.shape[1]
    assert np.abs(features).max() > 0
    np.testing.assert_allclose(maps.mean((2, 3)), features, rtol=1e-4, atol=1e-5)
    assert {id(w) for w in model.weights} == {id(w) for w in encoder.weights}
    assert isinstance(model, RematModel) == (name == "remat")


def test_a_normalization_behind_the_mean_is_done_to_the_map():
    encoder = TINY["video_vit"]()
    maps = numpy(feature_map(encoder)(np.random.default_rng(0).random((1, *SHAPE), "float32")))
    assert maps.shape == (1, 4, 2, 2, 24)
    np.testing.assert_allclose(maps.mean(-1), 0, atol=1e-5)
    np.testing.assert_allclose(maps.std(-1), 1, atol=1e-3)


def test_an_encoder_without_a_map_is_named():
    clips = keras.Input(SHAPE)
    flat = keras.Model(clips, keras.layers.Reshape((4, -1))(clips), name="flat")
    vectors = keras.Sequential([keras.Input(SHAPE[1:]), keras.layers.Flatten()])
    for encoder in (flat, FrameEncoder(vectors, "unit", SHAPE, name="flat")):
        with pytest.raises(ValueError, match="flat has no feature map .*averages one over space"):
            feature_map(encoder)
    with pytest.raises(ValueError, match="a Functional model of one input .*Received: <Subclass"):
        feature_map(type("Subclass", (keras.Model,), {})())
