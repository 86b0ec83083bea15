"""Every encoder trains two steps, plain and decoupled, comes back from a file and refuses bad arguments."""

import functools
import gc
import inspect

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras import encoders
from bod_keras.experiment import ENCODERS as NAMED
from tests.tiers import slow_unless

SHAPE = (4, 32, 32, 3)


def image_model():
    layers = keras.layers
    return keras.Sequential([keras.Input(SHAPE[1:]), layers.Conv2D(4, 5, 4), layers.ReLU()])


# Name in configs: an encoder small enough to train in a test
TINY = {
    "frame_cnn": lambda: encoders.FrameCNN(SHAPE, widths=(4, 8)),
    "r3d18": lambda: encoders.R3D18(SHAPE, width=2),
    "mc3_18": lambda: encoders.MC3_18(SHAPE, width=2),
    "r2plus1d18": lambda: encoders.R2Plus1D18(SHAPE, width=2),
    "c3d": lambda: encoders.C3D(SHAPE, width=2),
    "s3d": lambda: encoders.S3D(SHAPE, width=2),
    "s3dg": lambda: encoders.S3D(SHAPE, width=2, gating=True),
    "slow_only_r50": lambda: encoders.SlowOnlyR50(SHAPE, width=2),
    "video_vit": lambda: encoders.VideoViT(SHAPE, width=24, depth=2, heads=2),
    "frame_encoder": lambda: encoders.FrameEncoder(image_model(), "unit", SHAPE),
    "remat": lambda: encoders.FrameCNN(SHAPE, widths=(4, 8), remat=True),
}
# Built once, for tests that change no weight.
built = functools.cache(lambda name: TINY[name]())
# Of networks that one builder makes, one is of the first tier.
OF_ONE_BUILDER = ("mc3_18", "r2plus1d18", "s3d")
# Published network without classifier: trainable parameters, and how they follow from a published number
PUBLISHED = {
    "r3d18": (lambda: encoders.R3D18(temporal_stride=8), 33_371_472 - 400 * 513),
    "mc3_18": (encoders.MC3_18, 11_695_440 - 400 * 513),
    "r2plus1d18": (lambda: encoders.R2Plus1D18(temporal_stride=8), 31_505_325 - 400 * 513),
    "s3d": (lambda: encoders.S3D(temporal_stride=8), 8_320_048 - 400 * 1025),
    # With 101 classes 78,409,573, of which 50,753,637 are of fully connected layers; normalization adds two
    # of each of 2,752 channels.
    "c3d": (lambda: encoders.C3D(temporal_stride=8), 78_409_573 - 50_753_637 + 2 * 2_752),
}


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.fixture(autouse=True)
def compile_quickly(monkeypatch):
    """JAX compiles each network once, for two steps."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    rng = np.random.default_rng(0)

    def draw(initializer, shape, dtype=None):
        """He's normal numbers from NumPy: JAX compiles a program for each shape of a weight."""
        fan_in = np.prod(shape[:-1])
        return jax.numpy.asarray(rng.normal(0, np.sqrt(2 / fan_in), shape), dtype)

    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", draw)
    gc.disable()  # a fifth of the tracing
    yield
    gc.enable()


def test_every_encoder_is_named_in_configs_and_tested_here():
    built = {builder for _, builder in NAMED.items()}
    public = [getattr(encoders, name) for name in encoders.__all__]
    functions = {encoder for encoder in public if inspect.isfunction(encoder)}
    functions -= {
        encoders.feature_map,
        encoders.repeat_edges,
        encoders.mixes_frames,
    }  # of an encoder
    # A config cannot hold the model that FrameEncoder wraps, only its name.
    assert built >= functions - {encoders.FrameEncoder}
    # What takes features is no encoder of clips, and is tested in tests/data/test_feature_files.py.
    assert {name for name, _ in NAMED.items()} - {"features"} <= set(TINY)


@pytest.mark.parametrize(
    ("name", "decoupled"),
    [
        pytest.param(name, decoupled, marks=slow_unless(decoupled and name not in OF_ONE_BUILDER))
        for name in TINY
        for decoupled in (False, True)
    ],
)
def test_two_steps(name, decoupled):
    parts = {}
    if decoupled:
        settings = bod_keras.Decoupling(
            read_out=bod_keras.OperatorReadOut(4), motion_view=None, static_view=None
        )
        parts = {"decoupling": settings}
    model = bod_keras.VSimCLR(TINY[name](), projection_head=bod_keras.ProjectionHead(8, 6), **parts)
    # Eagerly JAX would compile every operation alone, TensorFlow saves the tracing.
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=keras.backend.backend() != "jax")
    before = [numpy(w).copy() for w in model.encoder.trainable_weights]
    views = np.random.default_rng(0).random((4, 2, *SHAPE), "float32")
    history = model.fit(views, batch_size=4, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    moved = [
        np.abs(numpy(w) - old).max() for w, old in zip(model.encoder.trainable_weights, before)
    ]
    assert min(moved) > 0


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=slow_unless(name not in OF_ONE_BUILDER)) for name in TINY]
)
def test_it_comes_back_from_a_file(name, tmp_path):
    encoder = built(name)
    clips = np.random.default_rng(0).random((2, *SHAPE), "float32")
    features = numpy(encoder(clips))
    assert features.shape == (2, *encoder.output_shape[1:])
    assert features.dtype == "float32"
    encoder.save(tmp_path / "encoder.keras")
    again = keras.models.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(numpy(again(clips)), features)
    assert type(again) is type(encoder)


@pytest.mark.parametrize("name", TINY)
def test_bytes_are_clips_in_0_to_1(name, tmp_path):
    """Called, in `predict`, saved and loaded, and inside of other models; not 255 times too bright."""
    encoder = TINY[name]()
    pixels = np.random.default_rng(0).integers(0, 256, (2, *SHAPE), "uint8")
    clips = pixels.astype("float32") / 255
    expected = numpy(encoder(clips))
    close = {"rtol": 1e-3, "atol": 1e-3 * np.abs(expected).max()}
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(numpy(encoder(pixels)), expected, **close)
    np.testing.assert_allclose(
        numpy(encoder(keras.ops.convert_to_tensor(pixels))), expected, **close
    )
    if name in ("frame_cnn", "r3d18", "remat"):  # what follows is the same code for all
        np.testing.assert_allclose(encoder.predict(pixels, verbose=0), expected, **close)
        encoder.save(tmp_path / "encoder.keras")
        again = bod_keras.load_encoder(tmp_path / "encoder.keras")
        np.testing.assert_allclose(numpy(again(pixels)), expected, **close)
        maps = encoders.feature_map(encoder)
        np.testing.assert_allclose(numpy(maps(pixels)), numpy(maps(clips)), **close)
        symbolic = keras.Input(SHAPE, dtype="uint8")
        outer = keras.Model(symbolic, encoder(symbolic))
        np.testing.assert_allclose(numpy(outer(pixels)), expected, **close)
        model = bod_keras.VSimCLR(encoder, projection_head=bod_keras.ProjectionHead(8, 6))
        np.testing.assert_allclose(numpy(model(pixels)), numpy(model(clips)), **close)
        parts, same = (model.embedder()(x) for x in (pixels, clips))
        np.testing.assert_allclose(numpy(parts["static"]), numpy(same["static"]), **close)
    with pytest.raises(ValueError, match="floats in .0, 1. or uint8. Received: int32"):
        encoder(pixels.astype("int32"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_parameter_count(name):
    build, parameters = PUBLISHED[name]
    assert sum(int(np.prod(w.shape)) for w in build().trainable_weights) == parameters


NETWORKS_3D = {name: NAMED[name] for name in ("mc3_18", "r2plus1d18", "c3d", "s3d", "s3dg")}


@pytest.mark.parametrize("name", NETWORKS_3D)
def test_bad_arguments_are_named(name):
    build = NETWORKS_3D[name]
    for bad, message in (
        ({"width": 0}, "width must be a positive integer .*Received: 0"),
        ({"temporal_stride": 3}, "temporal_stride must be 1, 2, 4 or 8 .*Received: 3. Use 1 to"),
        ({"remat": "yes"}, "remat must be True .*Received: 'yes'"),
        ({"input_shape": (8, 32, 32, 1)}, "input_shape must be .*Received: .8, 32, 32, 1."),
        ({"input_shape": (8, 15, 32, 3)}, "height and width are at least (16|32)"),
    ):
        with pytest.raises(ValueError, match=message):
            build(**{"width": 1, "input_shape": (8, 32, 32, 3), **bad})


def test_too_few_frames_for_the_stride_are_refused():
    for build, frames in ((encoders.C3D, 7), (encoders.S3D, 4)):
        with pytest.raises(ValueError, match=f"time is at least {frames + 1}, .*Received"):
            build(input_shape=(frames, 32, 32, 3), temporal_stride=8, width=1)


def test_gating_is_yes_or_no():
    with pytest.raises(ValueError, match="gating must be True .S3D-G. or False .*Received: 'time'"):
        encoders.S3D(gating="time")


@pytest.mark.parametrize("name", NETWORKS_3D)
def test_frames_for_each_stride(name):
    """C3D and S3D drop a frame that has no partner in a maximum, the others keep it."""
    for stride in (2, 8):
        encoder = NETWORKS_3D[name](input_shape=(None, 32, 32, 3), width=1, temporal_stride=stride)
        assert encoder.output_shape[1] is None
        if name == "c3d":
            expected = 13 // stride
        elif name in ("s3d", "s3dg"):
            expected = -(-13 * 2 // stride) // 2
        else:
            expected = -(-13 // stride)
        assert encoder.compute_output_shape((1, 13, 32, 32, 3))[1] == expected


@pytest.mark.parametrize("name", NETWORKS_3D)
def test_time_is_kept(name):
    """A frame's feature knows its neighbors, not the whole clip: except through the gates of S3D-G."""
    encoder = NETWORKS_3D[name](input_shape=(None, 32, 32, 3), width=1)
    rng = np.random.default_rng(0)
    for weight in encoder.weights:  # so that no channel is dead
        shift = weight.path.endswith(("beta", "moving_mean"))
        value = np.zeros(weight.shape) if shift else rng.uniform(0.5, 1.0, weight.shape)
        weight.assign(value / np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else value)
    clips = rng.random((1, 32, 32, 32, 3), "float32")
    changed = clips.copy()
    changed[:, 18:] = 0.0  # R3D-18 and R(2+1)D-18 see 17 frames to each side
    one, other = numpy(encoder(clips)), numpy(encoder(changed))
    scale = np.abs(one).max()
    assert np.abs(one - other)[:, -1].max() > 1e-3 * scale
    first = np.abs(one - other)[:, 0].max()
    assert first > 0 if name == "s3dg" else first <= 1e-6 * scale
