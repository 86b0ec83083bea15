"""What every encoder does: train two steps, plain and decoupled, come back from a file, refuse bad arguments."""

import inspect

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras import encoders
from bod_keras.experiment import ENCODERS as NAMED

SHAPE = (4, 32, 32, 3)
# name in configs: an encoder small enough to train in a test
TINY = {
    "frame_cnn": lambda **kw: encoders.FrameCNN(SHAPE, widths=(4, 8), **kw),
    "r3d18": lambda **kw: encoders.R3D18(SHAPE, width=2, **kw),
    "mc3_18": lambda **kw: encoders.MC3_18(SHAPE, width=2, **kw),
    "r2plus1d18": lambda **kw: encoders.R2Plus1D18(SHAPE, width=2, **kw),
    "c3d": lambda **kw: encoders.C3D(SHAPE, width=2, **kw),
    "s3d": lambda **kw: encoders.S3D(SHAPE, width=4, **kw),
    "s3dg": lambda **kw: encoders.S3D(SHAPE, width=4, gating=True, **kw),
    "slow_only_r50": lambda **kw: encoders.SlowOnlyR50(SHAPE, width=1, **kw),
}
# published network without classifier: trainable parameters, and how they follow from a published number
PUBLISHED = {
    "r3d18": (lambda: encoders.R3D18(temporal_stride=8), 33_371_472 - 400 * 513),
    "mc3_18": (encoders.MC3_18, 11_695_440 - 400 * 513),
    "r2plus1d18": (lambda: encoders.R2Plus1D18(temporal_stride=8), 31_505_325 - 400 * 513),
    "s3d": (lambda: encoders.S3D(temporal_stride=8), 8_320_048 - 400 * 1025),
    # With 101 classes 78,409,573, of which 50,753,637 are of fully connected layers; normalisation adds two
    # of each of 2,752 channels.
    "c3d": (lambda: encoders.C3D(temporal_stride=8), 78_409_573 - 50_753_637 + 2 * 2_752),
}


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.fixture(autouse=True)
def compile_quickly():
    """JAX compiles each network once, for two steps: time to optimise it would be lost."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def test_every_encoder_has_a_name_in_configs():
    public = {name for name in encoders.__all__ if inspect.isfunction(getattr(encoders, name))}
    assert {builder.__name__ for builder in NAMED.values()} == public
    assert set(NAMED) <= set(TINY)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("name", TINY)
def test_two_steps(name, decoupled, tmp_path):
    parts = {}
    if decoupled:
        parts = {"decoupling": bod_keras.KoopmanSplit(basis=4), "bilevel": bod_keras.BiLevel()}
    model = bod_keras.VSimCLR(
        TINY[name](), projection_head=bod_keras.ProjectionHead(8, 6), **parts
    )
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
    if not decoupled:
        clips = views[:2, 0]
        features = numpy(model.encoder(clips))
        assert features.shape == (2, *model.encoder.output_shape[1:])
        assert features.dtype == "float32"
        model.encoder.save(tmp_path / "encoder.keras")
        again = keras.models.load_model(tmp_path / "encoder.keras")
        np.testing.assert_array_equal(numpy(again(clips)), features)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_parameter_count(name):
    build, parameters = PUBLISHED[name]
    assert sum(int(np.prod(w.shape)) for w in build().trainable_weights) == parameters


@pytest.mark.parametrize("name", [name for name in TINY if name != "frame_cnn"])
def test_bad_arguments_are_named(name):
    with pytest.raises(ValueError, match="width must be a positive integer.*received 0"):
        inspect.getclosurevars(TINY[name])  # keeps the builder's own signature out of the way
        NAMED.get(name, encoders.S3D)(width=0)
