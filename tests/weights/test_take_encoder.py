"""`config.encoder.weights` of a run: all weights, or one line about what differs."""

import numpy as np
import pytest

import bod_keras
from bod_keras.configs import base
from bod_keras.experiment import build_encoder
from tests.small_run import write_run


@pytest.fixture
def config(tmp_path):
    config = base.shared()
    config.encoder.name = "frame_cnn"
    with config.unlocked():
        config.encoder.arguments.widths = (4, 8)
    config.clips.update({"frames": 6, "size": 16})
    config.encoder.weights = str(write_run(tmp_path / "run"))
    return config


def test_an_encoder_begins_with_the_weights_of_a_run(config):
    run = bod_keras.load(config.encoder.weights)
    run.encoder.save(f"{config.encoder.weights}/encoder.keras")
    encoder = build_encoder(config.to_dict())
    assert encoder.input_shape[1] == 6  # other clips
    for here, there in zip(encoder.get_weights(), run.encoder.get_weights()):
        np.testing.assert_array_equal(here, there)
    config.encoder.weights += "/encoder.keras"
    np.testing.assert_array_equal(
        build_encoder(config.to_dict()).get_weights()[0], encoder.get_weights()[0]
    )


def test_another_encoder_is_refused(config):
    config.encoder.weights += "/model.keras"
    for widths, message in (
        ((4, 9), "has shape .* there, .* here"),
        ((4, 8, 8), "weights? there|here"),
    ):
        with config.unlocked():
            config.encoder.arguments.widths = widths
        with pytest.raises(bod_keras.UserError, match=f"holds another encoder: .*{message}"):
            build_encoder(config.to_dict())
