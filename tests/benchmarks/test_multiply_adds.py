"""Multiply-adds: by hand for one layer of each kind, and the published numbers of whole networks."""

import keras
import pytest
from keras import layers

from benchmarks.multiply_adds import multiply_adds
from bod_keras import encoders
from bod_keras.encoders.self_attention import SelfAttention
from tests.tiers import slow


@pytest.mark.parametrize(
    "layer, shape, expected",
    [
        (layers.Conv3D(5, (1, 3, 3), strides=(1, 2, 2)), (4, 9, 9, 3), 4 * 4 * 4 * 9 * 3 * 5),
        (layers.DepthwiseConv2D(3, padding="same"), (6, 7, 4), 6 * 7 * 9 * 4),
        (layers.SeparableConv2D(5, 3, padding="same"), (6, 7, 4), 6 * 7 * (9 * 4 + 4 * 5)),
        (layers.Dense(5), (6, 3), 6 * 3 * 5),
        (layers.EinsumDense("abc,cd->abd", (None, 5)), (6, 3), 6 * 3 * 5),
        (SelfAttention(2), (2, 3, 4), 6 * 4 * 12 + 2 * 6 * 6 * 4),
        (layers.BatchNormalization(), (6, 3), 0),
    ],
    ids=lambda value: value.name if isinstance(value, layers.Layer) else None,
)
def test_one_layer(layer, shape, expected):
    source = keras.Input(shape)
    assert multiply_adds(keras.Model(source, layer(source)), shape) == expected


def test_multi_head_attention_counts_projections_and_products():
    source = keras.Input((6, 8))
    attended = layers.MultiHeadAttention(2, key_dim=3)(source, source)
    expected = 4 * 6 * 8 * 6 + 2 * 6 * 6 * 6
    assert multiply_adds(keras.Model(source, attended), (6, 8)) == expected


def test_frames_that_are_folded_into_the_batch_count_each():
    one, four = (multiply_adds(encoders.FrameCNN((t, 32, 32, 3)), (t, 32, 32, 3)) for t in (1, 4))
    assert four == 4 * one > 0


@slow
@pytest.mark.parametrize(
    "builder, arguments, clip, classes, published",
    [
        # torchvision's table of video models.
        (encoders.R3D18, {"temporal_stride": 8}, (16, 112, 112, 3), 400, 40.697),
        (encoders.R2Plus1D18, {"temporal_stride": 8}, (16, 112, 112, 3), 400, 40.519),
        (encoders.MC3_18, {}, (16, 112, 112, 3), 400, 43.343),
        # The model zoo of PyTorchVideo, slow_r50 8 x 8, of 256 x 256.
        (encoders.SlowOnlyR50, {}, (8, 256, 256, 3), 400, 54.52),
    ],
)
def test_the_published_numbers(builder, arguments, clip, classes, published):
    model = builder(input_shape=clip, **arguments)
    classifier = model.output_shape[-1] * classes
    assert (multiply_adds(model, clip) + classifier) / 1e9 == pytest.approx(published, rel=1e-3)
