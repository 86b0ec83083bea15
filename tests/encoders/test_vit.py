"""`VideoViT`: counts, positions, attention, which frames reach which features; parity is in tests/weights."""

import keras
import numpy as np
import pytest

from bod_keras.encoders import VideoViT
from bod_keras.encoders.self_attention import SelfAttention
from bod_keras.encoders.token_positions import SinusoidalPositions
from tests.layer_harness import check_layer
from tests.tiny_models import numpy


def tiny(shape=(None, 32, 32, 3), **kwargs):
    return VideoViT(shape, **{"width": 8, "depth": 1, "heads": 2, **kwargs})


def make_clips(frames=4, size=32):
    return np.random.default_rng(0).random((2, frames, size, size, 3), "float32")


def parameters(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def test_the_published_parameter_count():
    """A block more is the same number more, so two depths give that of twelve."""
    one, two = (parameters(VideoViT(depth=depth)) for depth in (1, 2))
    assert one + 11 * (two - one) == 86_227_200
    # With VideoMAE's classifier of 400 classes.
    assert 86_227_200 + 768 * 400 + 400 == 86_534_800


@pytest.mark.parametrize(("stride", "frames"), [(1, [4, 5]), (2, [2, 2])])
def test_time_is_kept(stride, frames):
    model = tiny(temporal_stride=stride)
    assert model.output_shape == (None, None, 8)
    for given, kept in zip((4, 5), frames):
        assert tuple(model(make_clips(given)).shape) == (2, kept, 8)
    assert parameters(model) == parameters(tiny())


def test_every_frame_opens_a_tubelet_and_the_last_is_repeated():
    """Before the first block, tokens that open at even frames are those of the published network."""
    published, dense = tiny(temporal_stride=2), tiny(temporal_stride=1)
    dense.set_weights(published.get_weights())
    clips = make_clips()
    tokens = [
        numpy(keras.Model(m.input, m.get_layer("positions").output)(clips))
        for m in (published, dense)
    ]
    np.testing.assert_allclose(tokens[1][:, ::2], tokens[0], atol=1e-5)
    still = np.concatenate([clips[:, :3], clips[:, 3:], clips[:, 3:]], axis=1)[:, 3:]
    last = numpy(keras.Model(published.input, published.get_layer("tubelets").output)(still))
    embedded = numpy(keras.Model(dense.input, dense.get_layer("tubelets").output)(clips))
    np.testing.assert_allclose(embedded[:, 3], last[:, 0], atol=1e-5)


def test_positions_are_the_published_ones_and_their_means_between():
    channels, grid = 6, (3, 2, 4)

    def code(n):
        angle = n / 10000.0 ** (2 * (np.arange(channels) // 2) / channels)
        return np.where(np.arange(channels) % 2, np.cos(angle), np.sin(angle))

    table = np.array([code(n) for n in range(np.prod(grid))]).reshape(*grid, channels)
    got = numpy(SinusoidalPositions()(np.zeros((1, *grid, channels), "float32")))[0]
    np.testing.assert_allclose(got, table, atol=1e-5)
    dense = numpy(SinusoidalPositions(step=0.5)(np.zeros((1, 5, 2, 4, channels), "float32")))[0]
    np.testing.assert_allclose(dense[::2], table, atol=1e-5)
    np.testing.assert_allclose(dense[1::2], (table[:-1] + table[1:]) / 2, atol=1e-5)


def test_attention_equals_the_formula():
    rng = np.random.default_rng(0)
    layer = SelfAttention(heads=2)
    x = rng.normal(size=(2, 3, 1, 2, 6)).astype("float32")
    layer(x)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape).astype("float32"))
    kernel, query_bias, value_bias = map(numpy, layer.weights)
    flat = x.reshape(2, 6, 6)
    q, k, v = np.split(flat @ kernel, 3, axis=-1)
    q, v = q + query_bias, v + value_bias
    want = np.empty_like(flat)
    for head in (slice(0, 3), slice(3, 6)):
        scores = np.exp(q[..., head] @ k[..., head].swapaxes(1, 2) / np.sqrt(3))
        want[..., head] = scores / scores.sum(-1, keepdims=True) @ v[..., head]
    np.testing.assert_allclose(numpy(layer(x)).reshape(2, 6, 6), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "shape", "options"),
    [
        (lambda: SelfAttention(heads=2), (2, 1, 2, 4), {"arguments": {"heads": 2}}),
        (lambda: SinusoidalPositions(step=0.5), (2, 1, 2, 4), {"arguments": {"step": 0.5}}),
        (lambda: tiny((2, 16, 16, 3)), (2, 16, 16, 3), {"output_dtype": "float32"}),
    ],
    ids=["SelfAttention", "SinusoidalPositions", "VideoViT"],
)
def test_it_is_a_keras_layer(make, shape, options, tmp_path):
    check_layer(make, shape, tmp_path=tmp_path, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temporal_stride": 3}, "temporal_stride must be 1 to 2, .* Received: 3"),
        ({"temporal_stride": True}, "temporal_stride must be 1 to 2, .* Received: True"),
        ({"tubelet": 0}, "tubelet must be a positive integer. Received: 0"),
        ({"depth": 1.5}, "depth must be a positive integer. Received: 1.5"),
        ({"width": 7}, "width must be even, .* Received: 7"),
        ({"heads": 3}, "heads must divide the number of channels. Received: heads=3"),
        ({"shape": (4, 8, 32, 3)}, "height and width are at least 16"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny(**arguments)
