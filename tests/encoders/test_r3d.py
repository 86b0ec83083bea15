"""R3D-18: counts, shapes, a NumPy copy of the arithmetic, and the round trip through a file."""

import keras
import numpy as np
import pytest

from bod_keras.encoders.r3d import R3D18

MEAN = np.array([0.43216, 0.394666, 0.37645])
STD = np.array([0.22803, 0.22145, 0.216989])
CLASSIFIER = 512 * 400 + 400


def expected_parameters(width):
    """Trainable parameters by hand: kernels, and two per channel for each batch normalization."""

    def conv(kernel, inside, outside):
        return kernel * inside * outside + 2 * outside

    total = conv(3 * 7 * 7, 3, width)
    inside = width
    for stage in range(4):
        outside = width * 2**stage
        total += conv(27, inside, outside) + 3 * conv(27, outside, outside)
        total += conv(1, inside, outside) if stage else 0
        inside = outside
    return total


def trainable_parameters(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def tiny(**kwargs):
    return R3D18(**{"input_shape": (None, 16, 16, 3), "width": 2, **kwargs})


def randomize(model, seed=0):
    """Gives every weight, moving statistics included, a value unlike its default."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        draw = rng.normal(0.0, 0.3, weight.shape)
        weight.assign(np.abs(draw) + 0.5 if "variance" in weight.path else draw)
    return model


def reference(model, clips, temporal):
    """The network in float64 NumPy, padded as PyTorch pads, with these temporal strides."""

    def conv_norm(x, name, strides):
        kernel = keras.ops.convert_to_numpy(model.get_layer(f"{name}_conv").kernel).astype("f8")
        pads = [(0, 0)] + [(size // 2, size // 2) for size in kernel.shape[:3]] + [(0, 0)]
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(x, pads), kernel.shape[:3], axis=(1, 2, 3)
        )
        windows = windows[:, :: strides[0], :: strides[1], :: strides[2]]
        y = np.einsum("bthwiklm,klmio->bthwo", windows, kernel, optimize=True)
        norm = model.get_layer(f"{name}_bn")
        gamma, beta, mean, variance = [keras.ops.convert_to_numpy(w) for w in norm.weights]
        return gamma * (y - mean) / np.sqrt(variance + 1e-5) + beta

    x = np.maximum(conv_norm((clips - MEAN) / STD, "stem", (1, 2, 2)), 0)
    for stage in range(1, 5):
        for block in (1, 2):
            name = f"stage{stage}_block{block}"
            first = (temporal[stage - 2], 2, 2) if stage > 1 and block == 1 else (1, 1, 1)
            shortcut = conv_norm(x, f"{name}_shortcut", first) if first != (1, 1, 1) else x
            y = np.maximum(conv_norm(x, f"{name}_1", first), 0)
            x = np.maximum(conv_norm(y, f"{name}_2", (1, 1, 1)) + shortcut, 0)
    return x.mean(axis=(2, 3))


def test_the_published_parameter_count():
    model = R3D18(temporal_stride=8)
    assert model.output_shape == (None, None, 512)
    assert trainable_parameters(model) == expected_parameters(64) == 33_166_272
    assert trainable_parameters(model) + CLASSIFIER == 33_371_472  # published, with 400 classes


@pytest.mark.parametrize("stride, temporal", [(1, (1, 1, 1)), (4, (1, 2, 2)), (8, (2, 2, 2))])
def test_equals_the_numpy_reference(stride, temporal):
    model = randomize(tiny(input_shape=(None, None, None, 3), temporal_stride=stride))
    clips = np.random.default_rng(1).uniform(size=(2, 5, 20, 17, 3))
    got = keras.ops.convert_to_numpy(model(clips.astype("float32")))
    want = reference(model, clips, temporal)
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3 * np.abs(want).max())


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_time_is_the_ceiling(stride):
    model = tiny(temporal_stride=stride)
    assert model.output_shape == (None, None, 16)
    for frames in (1, 7, 9):
        features = model(np.zeros((1, frames, 16, 16, 3), "float32"))
        assert tuple(features.shape) == (1, -(-frames // stride), 16)
    assert trainable_parameters(model) == expected_parameters(2)


def test_time_is_not_averaged():
    clips = np.random.default_rng(0).uniform(size=(1, 24, 16, 16, 3)).astype("float32")
    features = keras.ops.convert_to_numpy(randomize(tiny())(clips))
    changed = clips.copy()
    changed[:, 23] = 0.0
    later = keras.ops.convert_to_numpy(randomize(tiny())(changed))
    # Seventeen 3-wide temporal kernels see 17 frames to each side, so frames 0-5 cannot know.
    np.testing.assert_allclose(later[:, :6], features[:, :6], rtol=1e-5, atol=1e-5)
    assert np.abs(later[:, 23] - features[:, 23]).max() > 1e-3


def test_default_is_per_frame_and_512_wide():
    assert R3D18(input_shape=(8, 64, 64, 3)).output_shape == (None, 8, 512)


def test_convolutions_start_different():
    keras.utils.set_random_seed(0)
    model = tiny()
    first, second = (
        keras.ops.convert_to_numpy(model.get_layer(f"stage1_block{block}_2_conv").kernel)
        for block in (1, 2)
    )
    assert np.abs(first - second).max() > 1e-3


def test_round_trip(tmp_path):
    model = randomize(tiny())
    model.save(tmp_path / "encoder.keras")
    again = keras.models.load_model(tmp_path / "encoder.keras")
    clips = np.random.default_rng(2).uniform(size=(2, 3, 16, 16, 3)).astype("float32")
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(model(clips)), keras.ops.convert_to_numpy(again(clips))
    )


@pytest.mark.parametrize("stride", [0, 3, 16, 1.5, True, "8", None, {}])
def test_wrong_temporal_stride(stride):
    with pytest.raises(ValueError, match=rf"must be 1, 2, 4 or 8 .*Received: {stride!r}"):
        R3D18(temporal_stride=stride)


@pytest.mark.parametrize(
    "shape",
    [
        (112, 112, 3),
        (8, 112, 112, 1),
        (None, None, None, None),
        (0, 32, 32, 3),
        (8, 15, 32, 3),
        112,
    ],
)
def test_wrong_input_shape(shape):
    with pytest.raises(ValueError, match="input_shape must be .time, height, width, 3.") as error:
        R3D18(input_shape=shape)
    assert f"Received: {shape!r}" in str(error.value)


@pytest.mark.parametrize("width", [0, -4, 2.0, True])
def test_wrong_width(width):
    with pytest.raises(
        ValueError, match=rf"width must be a positive integer .*Received: {width!r}"
    ):
        R3D18(width=width)
