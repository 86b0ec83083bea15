"""Models in other runtimes: written, loaded by the runtime itself, and the same outputs."""

import importlib.util

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras import encoders, load_encoder
from bod_keras.encoders import R3D18
from bod_keras.weights import export, load, read_state
from tests.tiers import slow, slow_unless

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
    """With random statistics of batch normalization, which an export in training mode would not read."""
    encoder = R3D18(input_shape=SHAPE, width=2, temporal_stride=2)
    rng = np.random.default_rng(0)
    for layer in encoder.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.weights])
    return encoder


@pytest.mark.parametrize("name", [pytest.param(n, marks=slow_unless("keras" in n)) for n in RUN])
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


@slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="PyTorch's programs take clips of one shape")
def test_clips_of_any_length_and_size_in_onnx(tmp_path):
    pytest.importorskip("onnxruntime", reason="it runs ONNX files")
    encoder = R3D18(input_shape=(None, None, None, 3), width=2)
    export(encoder, tmp_path / "encoder.onnx")
    for shape in ((2, 16, 16, 3), (5, 24, 40, 3)):
        clips = make_clips(2, shape)
        got, want = run_onnx(tmp_path / "encoder.onnx", clips), features(encoder, clips)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


# One of each family: what it is made of differs (GELU, gates, a convolution for each image).
FAMILIES = {
    "resnet": lambda: encoders.R2Plus1D18(SHAPE, width=2),
    "c3d": lambda: encoders.C3D(SHAPE, width=2),
    "s3dg": lambda: encoders.S3D((4, 32, 32, 3), width=2, gating=True),
    "slow_only": lambda: encoders.SlowOnlyR50((4, 32, 32, 3), width=2),
    "vit": lambda: encoders.VideoViT((4, 16, 16, 3), patch=8, width=12, depth=1, heads=2),
    "frame_cnn": lambda: encoders.FrameCNN(SHAPE, widths=(2, 4)),
    "remat": lambda: encoders.FrameCNN(SHAPE, widths=(2, 4), remat=True),
}


def can_write(name):
    backends, package = WRITTEN[name]
    found = importlib.util.find_spec(package) is not None
    if name == "encoder.onnx" and BACKEND == "tensorflow":
        found = found and importlib.util.find_spec("tf2onnx") is not None
    return BACKEND in backends and found


@slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", WRITTEN)
def test_every_family_of_encoders(name, family, tmp_path):
    if not can_write(name):
        pytest.skip(
            f"{name} is written on {' and '.join(WRITTEN[name][0])}, and needs its packages"
        )
    encoder = FAMILIES[family]()
    export(encoder, tmp_path / name)
    clips = make_clips(2, encoder.input_shape[1:])
    got, want = RUN[name](tmp_path / name, clips), features(encoder, clips)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


def run_parts(path, clips):
    """The outputs by name."""
    if path.suffix == ".pt2":
        import torch

        found = torch.export.load(path).module()(torch.from_numpy(clips))
    else:
        import tensorflow as tf

        model = tf.saved_model.load(str(path))
        found = model.serve(tf.constant(clips))
    return {name: keras.ops.convert_to_numpy(x) for name, x in found.items()}


def framework(decoupling):
    encoder = encoders.FrameCNN((4, 8, 8, 3), widths=(4, 6))
    return bod_keras.VSimCLR(encoder, decoupling, projection_head=bod_keras.ProjectionHead(8, 8))


def app():
    """A Functional app of the user's own, with the split in it."""
    clips = keras.Input((4, 8, 8, 3))
    frames = encoders.FrameCNN((4, 8, 8, 3), widths=(4, 6))(clips)
    static, dynamic = bod_keras.KoopmanSplit(threshold=0.5)(keras.layers.Dense(6)(frames))
    return keras.Model(clips, {"what": keras.layers.Dense(3)(static), "how": dynamic})


WITH_A_SPLIT = {
    "recommended": lambda: framework(True),
    "plain": lambda: framework(None),
    "paper": lambda: framework(bod_keras.Decoupling(threshold=0.1, read_out="mean", heads=1)),
    "app": app,
}


@slow
@pytest.mark.parametrize("kind", WITH_A_SPLIT)
@pytest.mark.parametrize("name", ["saved_model", "encoder.pt2"])
def test_all_parts_in_another_runtime(name, kind, tmp_path):
    if not can_write(name) or BACKEND == "jax":
        pytest.skip("see below")
    model = WITH_A_SPLIT[kind]()
    export(model, tmp_path / name)
    for count in (1, 4):
        clips = make_clips(count, (4, 8, 8, 3))
        wanted = model(clips) if kind == "app" else model.embed(clips)
        found = run_parts(tmp_path / name, clips)
        assert set(found) == set(wanted)
        for part, value in wanted.items():
            value = keras.ops.convert_to_numpy(value)
            np.testing.assert_allclose(found[part], value, atol=1e-3 * np.abs(value).max())


@pytest.mark.parametrize("kind", WITH_A_SPLIT)
def test_onnx_refuses_what_it_cannot_hold_before_writing(kind, tmp_path):
    if BACKEND == "jax":
        pytest.skip("JAX writes no ONNX")
    with pytest.raises(bod_keras.UserError, match="ONNX has no operator for .*KoopmanSplit"):
        export(WITH_A_SPLIT[kind](), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@slow
@pytest.mark.skipif(BACKEND != "jax", reason="about JAX")
@pytest.mark.parametrize("kind", WITH_A_SPLIT)
def test_a_runtime_that_does_not_run_it_leaves_nothing(kind, tmp_path):
    """TensorFlow has no kernel for JAX's linear algebra."""
    with pytest.raises(bod_keras.UserError, match="was not written"):
        export(WITH_A_SPLIT[kind](), tmp_path / "saved_model")
    assert not list(tmp_path.iterdir())


@slow
@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("fault", ["numbers", "shape", "missing", "crash"])
def test_what_computes_something_else_is_not_written(name, fault, encoder, tmp_path, monkeypatch):
    if not can_write(name):
        pytest.skip(
            f"{name} is written on {' and '.join(WRITTEN[name][0])}, and needs its packages"
        )
    module = importlib.import_module("bod_keras.weights.export")
    writer = {"saved_model": "_saved_model", "encoder.pt2": "_torch_program"}.get(
        name, f"_onnx_of_{BACKEND}"
    )
    write = getattr(module, writer)

    def faulty(network, file):
        run = write(network, file)

        def other(clips):
            if fault == "crash":
                raise RuntimeError("no kernel")
            found = run(clips)
            changed = {"numbers": lambda x: 1.01 * x, "shape": lambda x: x[:, :1]}
            return {key: changed[fault](x) for key, x in found.items() if fault != "missing"}

        return other

    monkeypatch.setattr(module, writer, faulty)
    with pytest.raises(bod_keras.UserError, match="was not written"):
        export(encoder, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_framework_in_kerass_own_form(tmp_path):
    model = framework(True)
    export(model, tmp_path / "model.keras")
    clips = make_clips(2, (4, 8, 8, 3))
    for name, value in load(tmp_path / "model.keras").embed(clips).items():
        np.testing.assert_array_equal(value, model.embed(clips)[name])


def test_what_has_no_such_form_is_refused(tmp_path):
    form = tmp_path / {"torch": "model.pt2"}.get(BACKEND, "model")
    anything = bod_keras.VSimCLR(encoders.FrameCNN((None, 8, 8, 3), widths=(4, 6)))
    two = [keras.Input((4, 8, 8, 3)) for _ in range(2)]
    for model, message in (
        (anything, "Export model.embedder"),
        (keras.Model(two, keras.layers.Add()(two)), "with one input, the clips"),
    ):
        with pytest.raises(bod_keras.UserError, match=message):
            export(model, form)
    with pytest.raises(bod_keras.UserError, match="is a framework. Export its `encoder`"):
        export(anything, tmp_path / "model.safetensors")
    with pytest.raises(bod_keras.UserError, match=r"weights.export\(model, path\)"):
        framework(True).export(tmp_path / "model.onnx", format="onnx")
    assert not list(tmp_path.iterdir())


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
    with pytest.raises(ValueError, match=r"exported to .keras, .* Received: .safetensors"):
        export(encoder, ".safetensors")
    for address in ("s3://", "s3://bucket/encoder", "gs://bucket/encoder.onnx"):
        with pytest.raises(ValueError, match="is an address, and this is written to local files"):
            export(encoder, address)
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
    with pytest.raises(ImportError, match="pip install tf2onnx onnx onnxruntime"):
        export(encoder, tmp_path / "encoder.onnx")
