"""Every encoder trains two steps, plain and decoupled, and comes back from a file."""

import keras
import numpy as np
import pytest

import bod_keras

ENCODERS = {
    "frame_cnn": lambda: bod_keras.encoders.FrameCNN((4, 16, 16, 3), widths=(4, 8)),
    "r3d18": lambda: bod_keras.encoders.R3D18((4, 16, 16, 3), width=2),
}


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("name", ENCODERS)
def test_two_steps(name, decoupled, tmp_path):
    parts = {}
    if decoupled:
        parts = {"decoupling": bod_keras.KoopmanSplit(basis=4), "bilevel": bod_keras.BiLevel()}
    model = bod_keras.VSimCLR(
        ENCODERS[name](), projection_head=bod_keras.ProjectionHead(8, 6), **parts
    )
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    before = [keras.ops.convert_to_numpy(w).copy() for w in model.encoder.trainable_weights]
    views = np.random.default_rng(0).random((4, 2, 4, 16, 16, 3), "float32")
    history = model.fit(views, batch_size=4, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    moved = [
        np.abs(keras.ops.convert_to_numpy(w) - old).max()
        for w, old in zip(model.encoder.trainable_weights, before)
    ]
    assert min(moved) > 0
    model.encoder.save(tmp_path / "encoder.keras")
    again = keras.models.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(again(views[:, 0])),
        keras.ops.convert_to_numpy(model.encoder(views[:, 0])),
    )
