"""SlowOnly R50: counts, two copies of the arithmetic (NumPy, PyTorch), what sees which frame, training."""

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.encoders.slow_only import SlowOnlyR50
from tests.tiers import slow

MEAN, STD = 0.45, 0.225
BLOCKS = {2: 3, 3: 4, 4: 6, 5: 3}
FRAMES = {2: 1, 3: 1, 4: 3, 5: 3}  # temporal kernel of the first convolution of each bottleneck
CLASSIFIER = 2048 * 400 + 400


def expected_parameters(width):
    """Trainable parameters by hand: kernels, and two per channel for each batch normalization."""

    def conv(kernel, inside, outside):
        return kernel * inside * outside + 2 * outside

    total = conv(7 * 7, 3, width)
    for stage, blocks in BLOCKS.items():
        inner = width * 2 ** (stage - 2)
        entering = width if stage == 2 else 2 * inner
        for inside in [entering] + [4 * inner] * (blocks - 1):
            total += conv(FRAMES[stage], inside, inner)
            total += conv(3 * 3, inner, inner) + conv(1, inner, 4 * inner)
        total += conv(1, entering, 4 * inner)
    return total


def trainable_parameters(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def tiny(**kwargs):
    return SlowOnlyR50(**{"input_shape": (None, 32, 32, 3), "width": 2, **kwargs})


def make_clips(batch=2, frames=5, height=45, width=34):
    """Odd and even sizes by default: where the padding shows."""
    return np.random.default_rng(1).random((batch, frames, height, width, 3), "float32")


@pytest.fixture(scope="module")
def model():
    """Any time, height and width, with random weights; built once."""
    return randomize(tiny(input_shape=(None, None, None, 3)))


def randomize(model, seed=0):
    """Gives every weight, moving statistics included, a value unlike its default; depth keeps the scale."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if len(shape) == 5:
            value = rng.normal(0.0, np.sqrt(1.5 / np.prod(shape[:4])), shape)
        elif weight.path.endswith(("gamma", "variance")):
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = rng.normal(0.0, 0.3, shape)
        weight.assign(value.astype("float32"))
    return model


def windows(x, kernel, strides, fill=0.0):
    """(B, T, H, W, C) to windows (B, T', H', W', C, *kernel), padded as PyTorch pads."""
    pads = [(0, 0)] + [(size // 2, size // 2) for size in kernel] + [(0, 0)]
    x = np.pad(x, pads, constant_values=fill)
    x = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(1, 2, 3))
    return x[:, :: strides[0], :: strides[1], :: strides[2]]


def reference(model, clips, training):
    """The network in float64 NumPy, with the weights of `model`."""

    def conv_norm(x, name, strides=(1, 1, 1)):
        kernel = numpy(model.get_layer(f"{name}_conv").kernel).astype("f8")
        x = windows(x, kernel.shape[:3], strides)
        y = np.einsum("bthwiklm,klmio->bthwo", x, kernel, optimize=True)
        gamma, beta, mean, variance = map(numpy, model.get_layer(f"{name}_bn").weights)
        if training:
            mean, variance = y.mean((0, 1, 2, 3)), y.var((0, 1, 2, 3))
        return gamma * (y - mean) / np.sqrt(variance + 1e-5) + beta

    x = np.maximum(conv_norm((clips - MEAN) / STD, "stem", (1, 2, 2)), 0)
    x = windows(x, (1, 3, 3), (1, 2, 2), fill=-np.inf).max((-3, -2, -1))
    for stage, blocks in BLOCKS.items():
        for block in range(1, blocks + 1):
            name = f"stage{stage}_block{block}"
            strides = (1, 2, 2) if stage > 2 and block == 1 else (1, 1, 1)
            shortcut = conv_norm(x, f"{name}_shortcut", strides) if block == 1 else x
            y = np.maximum(conv_norm(x, f"{name}_1"), 0)
            y = np.maximum(conv_norm(y, f"{name}_2", strides), 0)
            x = np.maximum(conv_norm(y, f"{name}_3") + shortcut, 0)
    return x.mean(axis=(2, 3))


def torch_copy(model, torch):
    """The same network of PyTorch's own layers, in float64, with the weights of `model`."""
    nn = torch.nn

    class Bottleneck(nn.Module):
        def __init__(self, name, inside, inner, frames, stride):
            super().__init__()
            s = (1, stride, stride)
            self.a = unit(f"{name}_1", inside, inner, (frames, 1, 1), (1, 1, 1))
            self.b = unit(f"{name}_2", inner, inner, (1, 3, 3), s)
            self.c = unit(f"{name}_3", inner, 4 * inner, (1, 1, 1), (1, 1, 1))
            self.project = nn.Identity()
            if name.endswith("block1"):
                self.project = unit(f"{name}_shortcut", inside, 4 * inner, (1, 1, 1), s)

        def forward(self, x):
            return torch.relu(self.project(x) + self.c(torch.relu(self.b(torch.relu(self.a(x))))))

    def unit(name, inside, outside, kernel, stride):
        padding = tuple(size // 2 for size in kernel)
        conv = nn.Conv3d(inside, outside, kernel, stride, padding, bias=False)
        norm = nn.BatchNorm3d(outside, eps=1e-5, momentum=0.1)
        ours = numpy(model.get_layer(f"{name}_conv").kernel).transpose(4, 3, 0, 1, 2)
        conv.load_state_dict({"weight": torch.tensor(ours)})
        values = [torch.tensor(numpy(w)) for w in model.get_layer(f"{name}_bn").weights]
        names = ("weight", "bias", "running_mean", "running_var")
        norm.load_state_dict(dict(zip(names, values)), strict=False)
        return nn.Sequential(conv, norm)

    width = model.get_layer("stem_conv").filters
    layers = [unit("stem", 3, width, (1, 7, 7), (1, 2, 2)), nn.ReLU()]
    layers.append(nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)))
    inside = width
    for stage, blocks in BLOCKS.items():
        inner = width * 2 ** (stage - 2)
        for block in range(1, blocks + 1):
            stride = 2 if stage > 2 and block == 1 else 1
            name = f"stage{stage}_block{block}"
            layers.append(Bottleneck(name, inside, inner, FRAMES[stage], stride))
            inside = 4 * inner
    return nn.Sequential(*layers).double()


def assert_close(got, want):
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


def test_the_published_parameter_count():
    network = SlowOnlyR50()
    assert network.output_shape == (None, None, 2048)
    assert network.name == "slow_only_r50"
    assert trainable_parameters(network) == expected_parameters(64) == 31_634_496
    # With 400 classes 32.45 M are published.
    assert trainable_parameters(network) + CLASSIFIER == 32_454_096


@pytest.mark.parametrize("training", [False, True])
def test_equals_the_numpy_reference(model, training):
    clips = make_clips()
    want = reference(model, clips.astype("f8"), training)
    assert_close(numpy(model(clips, training=training)), want)


@pytest.mark.parametrize("training", [False, True])
def test_equals_the_network_in_pytorch(model, training):
    torch = pytest.importorskip("torch")
    other = torch_copy(model, torch).train(training)
    clips = make_clips()
    assert trainable_parameters(model) == sum(p.numel() for p in other.parameters())
    with torch.no_grad():
        x = torch.tensor((clips.astype("f8") - MEAN) / STD).permute(0, 4, 1, 2, 3).to("cpu")
        want = other(x).mean((3, 4)).permute(0, 2, 1).numpy()
    assert_close(numpy(model(clips, training=training)), want)


def test_time_is_kept(model):
    assert model.output_shape == (None, None, 64)
    assert trainable_parameters(model) == expected_parameters(2)
    for frames in (1, 2, 7):
        assert tuple(model(make_clips(1, frames, 32, 32)).shape) == (1, frames, 64)


@pytest.mark.parametrize("stride", [2, 8])
def test_time_is_the_ceiling_for_each_stride(stride):
    strided = tiny(temporal_stride=stride)
    assert trainable_parameters(strided) == expected_parameters(2)
    for frames in (8, 9):
        assert strided.compute_output_shape((1, frames, 32, 32, 3))[1] == -(-frames // stride)


def test_wrong_temporal_stride():
    with pytest.raises(
        ValueError, match="temporal_stride must be 1, 2, 4 or 8 .*Received: 3. Use 1"
    ):
        tiny(temporal_stride=3)


def test_a_frame_reaches_nine_frames_to_each_side(model):
    clips = make_clips(1, 24, 32, 32)
    changed = clips.copy()
    changed[:, 12] += 100.0  # so much that the farthest still shows
    middle = keras.Model(model.input, model.get_layer("stage3_block4_relu").output)
    for network, reach in ((middle, 0), (model, 9)):
        difference = np.abs(numpy(network(changed)) - numpy(network(clips)))
        moved = difference.reshape(24, -1).max(axis=1)
        near = np.abs(np.arange(24) - 12) <= reach
        assert moved[~near].max() < 1e-5
        assert moved[near].min() > 1e-4  # what may change does


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_features_are_float32_under_mixed_precision(model, policy):
    clips = make_clips()
    want = numpy(model(clips))
    keras.config.set_dtype_policy(policy)
    mixed = tiny(input_shape=(5, 45, 34, 3))
    assert mixed.output_shape == (None, 5, 64)
    mixed.set_weights(model.get_weights())
    assert mixed.get_layer("stem_conv").compute_dtype == policy.removeprefix("mixed_")
    got = mixed(clips)
    assert keras.backend.standardize_dtype(got.dtype) == "float32"
    assert np.abs(numpy(got) - want).mean() < 0.05 * np.abs(want).mean()


@slow
def test_trains_two_steps_decoupled_and_comes_back_from_a_file(tmp_path):
    encoder = tiny(input_shape=[4, 32, 32, 3])
    model = bod_keras.VSimCLR(
        encoder,
        bod_keras.Decoupling(read_out=bod_keras.OperatorReadOut(4), motion_view=None),
        projection_head=bod_keras.ProjectionHead(8, 6),
    )
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    before = [numpy(w).copy() for w in encoder.trainable_weights]
    views = np.random.default_rng(0).random((4, 2, 4, 32, 32, 3), "float32")
    history = model.fit(views, batch_size=4, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    moved = [np.abs(numpy(w) - old).max() for w, old in zip(encoder.trainable_weights, before)]
    assert min(moved) > 0
    encoder.save(tmp_path / "encoder.keras")
    again = keras.models.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(numpy(again(views[:, 0])), numpy(encoder(views[:, 0])))


@pytest.mark.parametrize(
    "shape",
    [
        (224, 224, 3),
        (8, 224, 224, 1),
        (None, None, None, None),
        (0, 32, 32, 3),
        (8, 31, 32, 3),
        224,
    ],
)
def test_wrong_input_shape(shape):
    with pytest.raises(ValueError, match="input_shape must be .time, height, width, 3.") as error:
        SlowOnlyR50(input_shape=shape)
    assert "height and width are at least 32" in str(error.value)
    assert f"Received: {shape!r}" in str(error.value)
    assert "input_shape=(None, 224, 224, 3)" in str(error.value)


@pytest.mark.parametrize("width", [0, -4, 2.0, True])
def test_wrong_width(width):
    with pytest.raises(
        ValueError, match=rf"width must be a positive integer .*Received: {width!r}"
    ):
        SlowOnlyR50(width=width)
