"""`KeyQueue` against a list that is cut to its last N keys, alone and inside of a compiled v-MoCo."""

import keras
import numpy as np
import pytest

import bod_keras
from tests import references
from tests.tiny_models import in_training, make_clips, make_framework, make_views, numpy, train


def draw(rows, width=3, seed=0):
    keys = np.random.default_rng(seed).normal(size=(rows, width)).astype("float32")
    return keys * 5.0  # not unit vectors


def oldest_first(queue):
    """The valid rows of a queue, by its public view, which puts rows never written first."""
    rows = numpy(queue.in_order())
    filled = int(queue.filled)
    np.testing.assert_array_equal(rows[: len(rows) - filled], 0.0)
    return rows[len(rows) - filled :]


@pytest.mark.parametrize("size", [1, 4, 7])
@pytest.mark.parametrize("batch", [1, 3, 4, 10])
def test_it_holds_the_last_keys_in_order(size, batch):
    queue = bod_keras.KeyQueue(size)
    history = []
    for step in range(6):
        keys = draw(batch, seed=step)
        rows, filled = queue(keys, training=True)
        rows, filled = numpy(rows), int(filled)
        # What it returns is what it held before, the valid rows first.
        assert rows.shape == (size, 3)
        assert filled == min(len(history), size)
        held = sorted(rows[:filled].tolist())
        truth = [references.normalize(key) for key in history[len(history) - filled :]]
        np.testing.assert_allclose(held, sorted(np.reshape(truth, (-1, 3)).tolist()), atol=1e-6)
        np.testing.assert_array_equal(rows[filled:], 0.0)
        history += list(keys)
        kept = history[-size:]
        assert int(queue.filled) == len(kept)
        truth = [references.normalize(key) for key in kept]
        np.testing.assert_allclose(oldest_first(queue), truth, atol=1e-6)


def test_batches_of_different_size_wrap_around():
    queue = bod_keras.KeyQueue(5)
    history = []
    for step, batch in enumerate([2, 4, 1, 12, 3, 5]):
        keys = draw(batch, seed=step)
        queue(keys, training=True)
        history += list(keys)
        truth = [references.normalize(key) for key in history[-5:]]
        np.testing.assert_allclose(oldest_first(queue), truth, atol=1e-6)


def test_only_training_fills_it():
    queue = bod_keras.KeyQueue(4)
    queue(draw(2), training=True)
    before = [numpy(w).copy() for w in queue.weights]
    rows, filled = queue(draw(3, seed=1))
    np.testing.assert_array_equal(numpy(rows), numpy(queue.rows))
    assert int(filled) == 2
    for weight, old in zip(queue.weights, before, strict=True):
        np.testing.assert_array_equal(numpy(weight), old)
    assert queue.trainable_weights == []


def test_what_it_returned_does_not_change_when_it_goes_on():
    queue = bod_keras.KeyQueue(4)
    queue(draw(2), training=True)
    rows, filled = queue(draw(2, seed=1), training=True)
    held = numpy(rows).copy()
    queue(draw(4, seed=2), training=True)
    np.testing.assert_array_equal(numpy(rows), held)
    assert int(filled) == 2


def test_keys_of_half_precision_are_held_in_single():
    keras.config.set_dtype_policy("mixed_float16")
    queue = bod_keras.KeyQueue(4)
    queue(draw(3).astype("float16"), training=True)
    assert keras.backend.standardize_dtype(queue.rows.dtype) == "float32"
    np.testing.assert_allclose(np.linalg.norm(oldest_first(queue), axis=1), 1.0, atol=1e-5)


def test_it_goes_on_from_a_file(tmp_path):
    def wrap(queue):
        inputs = keras.Input((3,))
        return keras.Model(inputs, queue(inputs))

    queue = bod_keras.KeyQueue(5)
    model = wrap(queue)
    model(draw(4), training=True)
    model(draw(3, seed=1), training=True)
    model.save(tmp_path / "queue.keras")
    loaded = keras.models.load_model(tmp_path / "queue.keras")
    other = loaded.layers[-1]
    assert type(other) is bod_keras.KeyQueue
    assert other.get_config() == queue.get_config()
    assert other.size == 5
    for one in (model, loaded):
        one(draw(4, seed=2), training=True)
    assert int(other.filled) == 5
    for x, y in zip(queue.weights, other.weights, strict=True):
        np.testing.assert_array_equal(numpy(x), numpy(y))


@pytest.mark.parametrize("size", [0, -3])
def test_a_queue_without_room_is_refused(size):
    with pytest.raises(ValueError, match=f"size must be at least 1 .* Received: {size}"):
        bod_keras.KeyQueue(size)


def test_compiled_steps_of_v_moco_fill_each_parts_queue_with_its_momentum_keys():
    """Five steps of eight keys into twelve places: the keys of a batch, view after view."""
    model = make_framework("vmoco", eager=False, queue_size=12)
    networks = (model.momentum_encoder, model.momentum_head, model.momentum_split)
    history = {"static": [], "dynamic": []}

    def keys_by_hand(clips):
        frames = clips
        for network in networks:
            frames = network(frames, training=True)
        return frames

    for step in range(5):
        batch = make_views(seed=step)
        static, dynamic = in_training(model, lambda batch=batch: keys_by_hand(make_clips(batch)))
        train(model, batch)
        for part, keys in (("static", static), ("dynamic", dynamic)):
            assert len(keys) == 8
            history[part] += list(references.normalize(keys))
            kept = history[part][-12:]
            assert int(model.queues[part].filled) == len(kept)
            np.testing.assert_allclose(oldest_first(model.queues[part]), kept, atol=2e-5)
    for keys in map(np.array, history.values()):  # no two are alike, so that an order was tested
        distances = np.linalg.norm(keys[:, None] - keys, axis=-1)
        assert np.min(distances + np.eye(len(keys))) > 1e-3
