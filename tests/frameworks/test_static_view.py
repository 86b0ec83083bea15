"""A framework with a `static_view`: which part sees which view, in training, lower level, targets and files."""

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.training import Monitors
from tests.tiny_models import (
    assert_same_state,
    in_training,
    make_clips,
    make_framework,
    make_moving_views,
    make_views,
    numpy,
    train,
)

SWAP = bod_keras.BackgroundSwap(0.1)


def with_static_view(name="VSimCLR", **kwargs):
    return make_framework(name, static_view=bod_keras.FrameShuffle(seed=1), **kwargs)


@pytest.mark.parametrize("motion_view", [None, SWAP])
@pytest.mark.parametrize("count", [2, 3])
def test_the_static_part_sees_shuffled_views_and_the_dynamic_part_does_not(motion_view, count):
    views = make_views(4, count)
    model = with_static_view(base_weight=1.0, motion_view=motion_view)
    made = numpy(model.all_views(views))
    shuffle = bod_keras.FrameShuffle(seed=1)
    expected = [numpy(shuffle(views[:, i], training=True)) for i in range(count - 1)]
    expected += [views[:, -1], views[:, 0] if motion_view is None else numpy(SWAP(views[:, 0]))]
    np.testing.assert_array_equal(made, np.stack(expected, axis=1))
    clips, every = make_clips(made), count + 1

    def seen():
        embeddings = model(clips, training=True)
        return model.split_views(embeddings, model.decoupling, every, True)[0]

    def embeddings():
        return model.decoupling(model(clips, training=True))

    seen, (static, dynamic) = in_training(model, seen), in_training(model, embeddings)
    assert len(seen["static"]) == len(seen["base"]) == count and len(seen["dynamic"]) == 2
    np.testing.assert_array_equal(np.concatenate(seen["static"]), static[:-4])
    np.testing.assert_array_equal(np.concatenate(seen["dynamic"]), dynamic[-8:])


def test_the_lower_level_sees_frames_in_order():
    """The operators of a shuffled clip predict nothing, so its J is that of the last two views alone."""
    model = with_static_view(bilevel=bod_keras.BiLevel())
    plain = make_framework("VSimCLR", bilevel=bod_keras.BiLevel())
    frames = np.random.default_rng(0).normal(size=(12, 4, 6)).astype("float32")
    expected = float(plain._prediction(frames[4:], 2))
    assert float(model._prediction(frames, 3)) == pytest.approx(expected, rel=1e-6)
    assert abs(float(plain._prediction(frames, 3)) / expected - 1) > 1e-3


@pytest.mark.parametrize("name", ["VSimCLR", "VMoCo"])  # without targets and with
def test_a_framework_trains_with_it_and_comes_back_from_a_file(name, tmp_path):
    views = make_moving_views(4)
    bilevel = bod_keras.BiLevel(inner_learning_rate=0.1)
    model = with_static_view(name, bilevel=bilevel, motion_view=SWAP)
    history = train(model, views, epochs=2)
    assert all(np.isfinite(history["loss"]))
    without = train(make_framework(name, bilevel=bilevel, motion_view=SWAP), views, epochs=2)
    assert history["static_loss"] != without["static_loss"]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.static_view.seed == 1
    assert_same_state(loaded, model)
    train(loaded, views), train(model, views)  # the next draws, too
    assert_same_state(loaded, model)


def test_evaluation_and_monitors_have_it_too():
    views = make_moving_views(6)
    model = with_static_view()
    logs = model.evaluate(views, batch_size=6, verbose=0, return_dict=True)
    assert np.isfinite(logs["static_loss"])
    history = train(model, views, batch_size=6, callbacks=[Monitors(views)])
    assert np.isfinite(history["static_gradient_norm"]).all()


def test_a_plain_framework_has_no_use_for_it():
    with pytest.raises(ValueError, match="static_view is a view for the static part"):
        make_framework("VSimCLR", decoupled=False, static_view=bod_keras.FrameShuffle())
