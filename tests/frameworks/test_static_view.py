"""A framework with a `static_view`: which part sees which view, in training, lower level, targets and files."""

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.training import Monitors
from tests.tiers import first_of
from tests.tiny_models import (
    FRAMES,
    SIZE,
    assert_same_state,
    in_training,
    make_clips,
    make_framework,
    make_moving_views,
    make_views,
    numpy,
    simple,
    train,
)

SWAP = bod_keras.BackgroundSwap(0.1)


def with_static_view(name="vsimclr", **settings):
    return make_framework(name, simple(static_view=bod_keras.FrameShuffle(seed=1), **settings))


@pytest.mark.parametrize("motion_view", [None, SWAP])
@pytest.mark.parametrize("count", [2, 3])
def test_the_static_part_sees_shuffled_views_and_the_dynamic_part_does_not(motion_view, count):
    views = make_views(4, count)
    model = with_static_view(base_weight=1.0, motion_view=motion_view)
    made = numpy(model.all_views(views))
    shuffle = bod_keras.FrameShuffle(seed=1)
    expected = [numpy(shuffle(views[:, i], training=True)) for i in range(count - 1)]
    expected += [views[:, -1], views[:, 0] if motion_view is None else numpy(SWAP(views[:, -1]))]
    np.testing.assert_array_equal(made, np.stack(expected, axis=1))
    clips, every = make_clips(made), count + 1

    def seen():
        embeddings = model(clips, training=True)
        return model.split_views(embeddings, model.split, every)[0]

    def embeddings():
        return model.split(model(clips, training=True))

    seen, (static, dynamic) = in_training(model, seen), in_training(model, embeddings)
    assert len(seen["static"]) == len(seen["base"]) == count and len(seen["dynamic"]) == 2
    np.testing.assert_array_equal(np.concatenate(seen["static"]), static[:-4])
    np.testing.assert_array_equal(np.concatenate(seen["dynamic"]), dynamic[-8:])


def test_the_lower_level_sees_frames_in_order():
    """The operators of a shuffled clip predict nothing, so its J is that of the last two views alone."""
    model = with_static_view(bilevel=bod_keras.BiLevel())
    plain = make_framework("vsimclr", simple(bilevel=bod_keras.BiLevel()))
    for one in (model, plain):
        one.projection_head = keras.layers.Identity()
    frames = np.random.default_rng(0).normal(size=(12, 4, 6)).astype("float32")
    expected = float(plain.lower_loss(frames[4:], 2))
    assert float(model.lower_loss(frames, 3)) == pytest.approx(expected, rel=1e-6)
    assert abs(float(plain.lower_loss(frames, 3)) / expected - 1) > 1e-3


@pytest.mark.parametrize("name", first_of(["vsimclr", "vmoco"]))  # without targets and with
def test_a_framework_trains_with_it_and_comes_back_from_a_file(name, tmp_path):
    views = make_moving_views(4)
    bilevel = bod_keras.BiLevel(inner_learning_rate=0.1)
    model = with_static_view(name, bilevel=bilevel, motion_view=SWAP)
    history = train(model, views, epochs=2)
    assert all(np.isfinite(history["loss"]))
    without = train(
        make_framework(name, simple(bilevel=bilevel, motion_view=SWAP)), views, epochs=2
    )
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


def test_an_encoder_that_mixes_frames_gets_it_by_itself_and_is_warned_of_zeros_at_the_ends():
    clips = keras.Input((FRAMES, SIZE, SIZE, 3))
    features = keras.layers.Conv3D(4, 3, padding="same")(clips)
    encoder = keras.Model(clips, keras.ops.mean(features, axis=(2, 3)))
    with pytest.warns(UserWarning, match="zeros beyond the ends of a clip"):
        model = make_framework("vsimclr", True, encoder=encoder)
    assert isinstance(model.static_view, bod_keras.FrameShuffle)
    assert model.decoupling.static_view == "frame_shuffle"
    assert (
        make_framework("vsimclr", True).static_view is None
    )  # of an encoder that sees frame by frame
