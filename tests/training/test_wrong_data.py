"""`fit` on data that would train in silence on nothing: it says so; and it takes what only looks wrong."""

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.backend.unit_range import unit_floats
from tests.tiny_models import (
    SIZE,
    assert_same_weights,
    make_framework,
    make_model,
    make_views,
    weights_of,
)
from tests.tiny_models import train_on_array as train

EAGER = pytest.mark.parametrize("eager", [True, False])


def stream(*batches):
    """As a data set gives them, without end, so that `fit` sees no array."""
    while True:
        for batch in batches:
            yield (batch,)


def bytes_of(views):
    return np.round(255 * views).astype("uint8")


@EAGER
def test_bytes_are_the_same_clips(eager):
    """From an array and from a stream, to the last bit."""
    pixels = bytes_of(make_views(batch=8))
    by_floats, by_bytes, by_stream = [make_model(None, eager=eager) for _ in range(3)]
    train(by_floats, pixels.astype("float32") / np.float32(255))
    train(by_bytes, pixels)
    by_stream.fit(stream(pixels[:4], pixels[4:]), steps_per_epoch=2, verbose=0)
    for model in (by_bytes, by_stream):
        for one, other in zip(weights_of(model), weights_of(by_floats), strict=True):
            np.testing.assert_array_equal(one, other)


@EAGER
@pytest.mark.parametrize("source", ["array", "stream"])
def test_clips_out_of_range_are_refused(source, eager):
    model, views = make_model(eager=eager), 255 * make_views()
    with pytest.raises(bod_keras.UserError, match=r"floats in \[0, 1\] or uint8.*as far out as 25"):
        if source == "array":
            train(model, views)
        else:
            model.fit(stream(views), steps_per_epoch=3, verbose=0)
    assert bod_keras.training.steps_taken(model) == (0 if source == "array" else 1)


def test_clips_that_leave_the_range_by_a_little_are_not_refused():
    """As those of an interpolation do."""
    views = 1.06 * make_views() - 0.03
    assert np.isfinite(train(make_model(), views)["loss"]).all()


def test_batches_out_of_range_are_refused_one_by_one():
    with pytest.raises(bod_keras.UserError, match="divide them by 255"):
        make_model().train_on_batch(255 * make_views())


@EAGER
def test_integers_that_are_no_bytes_are_refused(eager):
    with pytest.raises(bod_keras.UserError, match="uint8. Received: int32"):
        make_model(eager=eager).train_on_batch(bytes_of(make_views()).astype("int32"))


@pytest.mark.parametrize("name", ["vbarlow_twins", "vlejepa", "vsimclr", "vvicreg"])
def test_one_video_left_over_is_refused_before_a_step(name):
    model = make_framework(name, decoupling=None)
    before = weights_of(model)
    with pytest.raises(bod_keras.UserError, match="at least 2 of them.*leaves no single video"):
        train(model, make_views(batch=9), batch_size=8)
    for one, old in zip(weights_of(model), before, strict=True):
        np.testing.assert_array_equal(one, old)
    train(model, make_views(batch=10), batch_size=8)  # two are enough


def test_a_schedule_that_has_ended_is_refused():
    rate = keras.optimizers.schedules.CosineDecay(0.1, 2)
    model = make_model(optimizer=keras.optimizers.SGD(rate))
    train(model, make_views(batch=8))
    with pytest.raises(bod_keras.UserError, match="has ended at 0.*Compile the model with a new"):
        train(model, make_views())
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    train(model, make_views())


def test_an_endless_data_set_needs_steps():
    tf = pytest.importorskip("tensorflow")
    endless = tf.data.Dataset.from_tensors(make_views()).repeat()
    model = make_model()
    with pytest.raises(bod_keras.UserError, match="endless. Pass steps_per_epoch"):
        model.fit(endless, verbose=0)
    model.fit(endless, steps_per_epoch=2, verbose=0)
    assert bod_keras.training.steps_taken(model) == 2


def generated(views):
    """A tf.data data set that says neither how many batches it has nor how long and high its clips are."""
    import tensorflow as tf

    shape = (None, 2, None, None, SIZE, 3)
    return tf.data.Dataset.from_generator(
        lambda: iter([views[:4], views[4:]]), output_signature=tf.TensorSpec(shape, "float32")
    )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="others know every shape")
def test_a_length_and_a_size_that_the_data_do_not_say_are_the_encoders():
    views = make_views(batch=8)
    models = [make_model(None, eager=False) for _ in range(2)]
    models[0].fit(generated(views), verbose=0)
    train(models[1], views)
    assert_same_weights(*models, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about TensorFlow's graphs")
def test_a_step_that_finds_no_more_data_is_not_counted():
    """Not in the steps, and not in the place where the queue continues."""
    model = make_framework("vmoco", None, eager=False)
    model.fit(generated(make_views(batch=8)), verbose=0)
    assert bod_keras.training.steps_taken(model) == 2
    assert int(model.queues["base"].pointer) == int(model.queues["base"].filled) == 16


class _Bytes(keras.layers.Layer):
    def call(self, clips):
        return unit_floats(clips)


@pytest.mark.parametrize("jit", [False, "auto", True])
def test_bytes_become_floats_to_the_last_bit(jit):
    """Also where a compiler makes a division by a constant a product."""
    inputs = keras.Input((1,), dtype="uint8")
    model = keras.Model(inputs, _Bytes()(inputs))
    model.compile(
        run_eagerly=not jit, jit_compile=jit if keras.backend.backend() != "torch" else False
    )
    pixels = np.arange(256, dtype="uint8")[:, None]
    found = model.predict(pixels, batch_size=256, verbose=0)
    np.testing.assert_array_equal(found, pixels / np.float32(255))
