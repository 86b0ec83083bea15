"""A new model that begins with the weights of a saved one."""

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.errors import UserError
from bod_keras.training import take_weights


def make(framework=bod_keras.VSimCLR, width=8, seed=0, **arguments):
    keras.utils.set_random_seed(seed)
    encoder = bod_keras.encoders.FrameCNN((4, 16, 16, 3), widths=(4, 8))
    return framework(encoder, projection_head=bod_keras.ProjectionHead(8, width), **arguments)


def values(network):
    return [keras.ops.convert_to_numpy(weight) for weight in network.weights]


def assert_equal(one, other):
    for a, b in zip(values(one), values(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def saved(tmp_path, eagerly):
    """A trained v-MoCo and its file."""
    model = make(bod_keras.VMoCo, queue_size=8, momentum=0.5)
    model.compile("adam")
    views = np.random.default_rng(0).random((4, 2, 4, 16, 16, 3), "float32")
    model.fit(views, batch_size=4, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    return model, tmp_path / "model.keras"


def test_encoder_and_head_are_taken_and_the_counters_are_not(saved):
    old, path = saved
    new = make(bod_keras.VMoCo, seed=1, queue_size=8)
    report = take_weights(new, path)
    assert report["taken"] == report["of"] and not report["not_taken"]
    assert_equal(new.encoder, old.encoder)
    assert_equal(new.projection_head, old.projection_head)
    assert int(old.steps_taken) == 2 and int(new.steps_taken) == int(new.next_position) == 0


def test_momentum_networks_begin_as_copies(saved, tmp_path):
    """Also where the old run had none, or another one than its encoder."""
    new = make(bod_keras.VBYOL, seed=1)
    take_weights(new, saved[1])
    momentum_encoder, momentum_head = new.target_networks
    assert_equal(momentum_encoder, new.encoder)
    assert_equal(momentum_head, new.projection_head)
    assert_equal(new.encoder, saved[0].encoder)


def test_what_does_not_fit_stays_and_is_named(saved):
    new = make(width=6, seed=1)
    before = values(new.projection_head)[-1]
    report = take_weights(new, saved[1])
    assert list(report["not_taken"].values()) == ["shape (8, 8) there, (8, 6) here"]
    np.testing.assert_array_equal(values(new.projection_head)[-1], before)
    assert_equal(new.encoder, saved[0].encoder)


def test_if_nothing_fits_it_is_an_error(saved, tmp_path):
    new = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    with pytest.raises(UserError, match="No weight of .* fits the new model:\n  layers/dense"):
        take_weights(new, saved[1])
    (tmp_path / "half.keras").write_bytes(saved[1].read_bytes()[:1000])
    with pytest.raises(UserError, match="half.keras is no complete .keras file"):
        take_weights(new, tmp_path / "half.keras")
