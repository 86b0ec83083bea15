"""Encoders in other runtimes: written, loaded by the runtime itself, and the same features."""

import importlib.util

import keras
import numpy as np
import pytest

from bod_keras import load_encoder
from bod_keras.encoders import R3D18
from bod_keras.weights import export, read_state

BACKEND = keras.backend.backend()
SHAPE = (4, 32, 16, 3)
# What is written on which backend, and the package that is needed to write or to read it.
WRITTEN = {
    "saved_model": (("tensorflow", "jax"), "tensorflow"),
    "encoder.onnx": (("tensorflow", "torch"), "onnxruntime"),
    "encoder.pt2": (("torch",), "torch"),
}


def run_saved_model(path, clips):
    import tensorflow as tf

    model = tf.saved_model.load(str(path))  # a name of its own: its variables live as long as it
    return model.serve(tf.constant(clips)).numpy()


def run_onnx(path, clips):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["clips"]
    return session.run(["frame_features"], {"clips": clips})[0]


def run_program(path, clips):
    import torch

    return torch.export.load(path).module()(torch.from_numpy(clips)).detach().numpy()


def run_keras(path, clips):
    return features(load_encoder(path), clips)


RUN = {
    "saved_model": run_saved_model,
    "encoder.onnx": run_onnx,
    "encoder.pt2": run_program,
    "encoder.keras": run_keras,
}


def features(encoder, clips):
    return keras.ops.convert_to_numpy(encoder(clips, training=False))


def make_clips(count, shape=SHAPE):
    return np.random.default_rng(count).uniform(size=(count, *shape)).astype("float32")


@pytest.fixture(scope="module")
def encoder():
    """With random statistics of batch normalisation, which an export in training mode would not read."""
    encoder = R3D18(input_shape=SHAPE, width=2, temporal_stride=2)
    rng = np.random.default_rng(0)
    for layer in encoder.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.weights])
    return encoder


@pytest.mark.parametrize("name", RUN)
def test_another_runtime_gives_the_same_features(name, encoder, tmp_path):
    """For one clip and for several, whatever their number was when the file was written."""
    backends, package = WRITTEN.get(name, ((BACKEND,), "keras"))
    if BACKEND not in backends:
        pytest.skip(f"{name} is written on {' and '.join(backends)}")
    pytest.importorskip(package, reason=f"it is {package} that runs {name}")
    export(encoder, tmp_path / name)
    for count in (1, 3):
        clips = make_clips(count)
        got = RUN[name](tmp_path / name, clips)
        want = features(encoder, clips)
        assert got.shape == want.shape == (count, 2, 16)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


@pytest.mark.skipif(BACKEND != "tensorflow", reason="PyTorch's programs take clips of one shape")
def test_clips_of_any_length_and_size_in_onnx(tmp_path):
    pytest.importorskip("onnxruntime", reason="it runs ONNX files")
    encoder = R3D18(input_shape=(None, None, None, 3), width=2)
    export(encoder, tmp_path / "encoder.onnx")
    for shape in ((2, 16, 16, 3), (5, 24, 40, 3)):
        clips = make_clips(2, shape)
        got, want = run_onnx(tmp_path / "encoder.onnx", clips), features(encoder, clips)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


def test_weights_by_their_ending(encoder, tmp_path):
    export(encoder, tmp_path / "encoder.safetensors")
    kernel = encoder.get_layer("stem_conv").get_weights()[0]
    saved = read_state(tmp_path / "encoder.safetensors")["stem.0.weight"]
    np.testing.assert_array_equal(saved, kernel.transpose(4, 3, 0, 1, 2))


@pytest.mark.parametrize("name", WRITTEN)
def test_a_backend_that_cannot_write_it_says_which_can(name, encoder, tmp_path):
    backends, _ = WRITTEN[name]
    if BACKEND in backends:
        pytest.skip(f"{BACKEND} writes {name}")
    message = f"Keras on {BACKEND} cannot write .*{name}.*KERAS_BACKEND={' or '.join(backends)}"
    with pytest.raises(ValueError, match=message):
        export(encoder, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_refused_paths(encoder, tmp_path):
    with pytest.raises(ValueError, match=r"exported to .keras, .* Received: encoder.tflite"):
        export(encoder, "encoder.tflite")
    if BACKEND != "torch":
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "mine.txt").write_text("mine")
        with pytest.raises(ValueError, match="folder is there and not empty"):
            export(encoder, tmp_path / "folder")
        assert (tmp_path / "folder" / "mine.txt").read_text() == "mine"


@pytest.mark.skipif(BACKEND != "torch", reason="other backends export clips of any length")
def test_pytorch_wants_the_shape_of_a_clip(tmp_path):
    encoder = R3D18(input_shape=(None, 16, 16, 3), width=2)
    with pytest.raises(ValueError, match=r"of one shape, but r3d18 takes \(None, 16, 16, 3\)"):
        export(encoder, tmp_path / "encoder.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(
    BACKEND != "tensorflow" or importlib.util.find_spec("tf2onnx") is not None,
    reason="tf2onnx is installed, or not needed",
)
def test_a_missing_package_is_named(encoder, tmp_path):
    with pytest.raises(ImportError, match="pip install tf2onnx onnx"):
        export(encoder, tmp_path / "encoder.onnx")
