"""`FrameShuffle`: what is drawn, how often, and as a Keras layer."""

import numpy as np
import pytest

import bod_keras
from tests.layer_harness import check_layer
from tests.tiny_models import numpy


def test_every_clip_keeps_its_frames_in_an_order_of_its_own():
    clips = np.random.default_rng(0).random((50, 6, 4, 5, 3), "float32")
    shuffled = numpy(bod_keras.FrameShuffle(seed=1)(clips, training=True))
    orders = []
    for clip, other in zip(clips, shuffled):
        same = (clip[:, None] == other).all(axis=(2, 3, 4))
        assert (same.sum(axis=0) == 1).all() and (same.sum(axis=1) == 1).all()
        orders.append(tuple(same.argmax(axis=0)))
    assert len(set(orders)) > 40


def test_all_orders_are_drawn_evenly_and_anew_from_the_seed():
    clips = np.tile(np.arange(3.0, dtype="float32"), (1200, 1))[..., None]
    once, again = (bod_keras.FrameShuffle(seed=2) for _ in range(2))
    drawn = [numpy(layer(clips, training=True)) for layer in (once, again, once)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()
    _, counts = np.unique(drawn[0][..., 0], axis=0, return_counts=True)
    assert len(counts) == 6 and np.abs(counts - 200).max() < 4 * np.sqrt(200)


def test_without_training_nothing_moves():
    clips = np.random.default_rng(0).random((2, 4, 3), "float32")
    np.testing.assert_array_equal(bod_keras.FrameShuffle()(clips), clips)


def test_it_is_a_keras_layer(tmp_path):
    check_layer(
        lambda: bod_keras.FrameShuffle(3), (4, 5, 5, 3), tmp_path=tmp_path, arguments={"seed": 3}
    )


def test_clips_without_time_are_refused():
    with pytest.raises(ValueError, match=r"expects clips.*Received: \(2, 8\)"):
        bod_keras.FrameShuffle()(np.zeros((2, 8), "float32"))
