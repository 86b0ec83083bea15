"""The backbone on chunks of a batch: the step is that of the whole batch."""

import types

import keras
import numpy as np
import pytest
from keras import layers, ops

import bod_keras
from bod_keras.training import chunks as module
from tests.tiers import slow
from tests.tiny_models import (
    FRAMES,
    SIZE,
    TINY,
    assert_same_state,
    assert_same_weights,
    make_framework,
    make_moving_views,
    make_views,
    simple,
    state_of,
    train,
    weights_of,
)

BACKEND = keras.backend.backend()
EAGER = BACKEND != "jax"  # which compiles every operation by itself, and for minutes
HEAD = bod_keras.BiLevel(inner_learning_rate=0.1)
VIEWS = make_moving_views(
    videos=8
)  # with real motion: of noise the operator is a matter of rounding
VARIANTS = {"plain": None, "decoupled": {"bilevel": HEAD, "base_weight": 0.5, "ridge": 0.1}}


def frame_encoder(statistics=False, dropout=0.0):
    """Each frame by itself; with batch statistics and random numbers only where asked for."""
    clips = keras.Input((FRAMES, SIZE, SIZE, 3))
    x = layers.Conv3D(4, (1, 3, 3), (1, 2, 2), padding="same")(clips)
    x = layers.BatchNormalization(momentum=0.9)(x) if statistics else layers.LayerNormalization()(x)
    x = layers.Conv3D(6, (1, 3, 3), (1, 2, 2), padding="same")(layers.Activation("relu")(x))
    if dropout:
        x = layers.Dropout(dropout, seed=0)(x)
    return keras.Model(clips, ops.mean(x, axis=(2, 3)))


@keras.saving.register_keras_serializable("tests")
class InChunks(keras.Model):
    """The slow truth: an encoder that sees the videos of a batch in two turns, in one graph."""

    def call(self, clips, training=None, mask=None):
        if not training:
            return super().call(clips, training=training)
        videos = clips.shape[0] // 2
        features = [None] * 2 * videos
        for first in (0, 1):
            rows = [v * videos + i for v in (0, 1) for i in range(first, videos, 2)]
            chunk = ops.stack([clips[row] for row in rows])
            for row, one in zip(rows, ops.unstack(super().call(chunk, training=True), len(rows))):
                features[row] = one
        return ops.stack(features)


# In the first tier one of both variants of each framework; JAX compiles for long.
FIRST = {"vsimclr": "decoupled", "vmoco": "decoupled"} if BACKEND != "jax" else {}
CASES = [
    pytest.param(
        name,
        variant,
        marks=()
        if variant == FIRST.get(name, "plain") and (BACKEND != "jax" or name == "vmoco")
        else slow,
    )
    for name in TINY
    for variant in VARIANTS
]


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_the_step_is_that_of_the_whole_batch(name, variant):
    """Losses, and every weight after two steps: gradients, queues, momentum networks, lower level."""
    rate = (
        2.0**-15 if name in ("vvicreg", "vbarlow_twins") else 2.0**-9
    )  # theirs are large and steep
    models, histories = [], []
    for chunks in (1, 2):
        optimizer = keras.optimizers.SGD(rate, momentum=0.9)
        settings = VARIANTS[variant]
        decoupling = settings and simple(**settings)
        arguments = {"encoder": frame_encoder(), "chunks": chunks, "eager": EAGER}
        model = make_framework(name, decoupling, optimizer, **arguments)
        before = weights_of(model.encoder)
        histories.append(train(model, VIEWS))
        models.append(model)
    for key, values in histories[0].items():
        assert values == pytest.approx(histories[1][key], rel=1e-4), key
    for one, other in zip(*[model.weights for model in models]):
        # Keys of a queue come from the split, which multiplies rounding.
        atol = 1e-4 if one.path.endswith("_queue/rows") else 1e-5
        values = [ops.convert_to_numpy(weight) for weight in (one, other)]
        np.testing.assert_allclose(*values, atol=atol, rtol=1e-5, err_msg=one.path)
    moved = [np.abs(x - y).max() for x, y in zip(before, weights_of(models[1].encoder))]
    assert max(moved) > 1e-3


@pytest.mark.parametrize("decoupled", [False, True] if EAGER else [False])
def test_batch_statistics_and_random_numbers_are_those_of_the_chunks(decoupled):
    """Both passes see the same dropout; moving statistics move once a chunk."""
    models = []
    for chunks in (1, 2):
        encoder = frame_encoder(statistics=True, dropout=0.5)
        if chunks == 1:
            encoder = InChunks(encoder.inputs, encoder.outputs)
        decoupling = simple(ridge=0.1) if decoupled else None
        model = make_framework("vmoco", decoupling, encoder=encoder, chunks=chunks, eager=EAGER)
        train(model, VIEWS)
        models.append(model)
    assert_same_weights(*models, atol=1e-5, rtol=1e-5)
    seeds = [[ops.convert_to_numpy(s) for s in model.seed_variables()] for model in models]
    np.testing.assert_array_equal(*seeds)


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="JAX's other tests are compiled, PyTorch's none"
)
def test_a_compiled_step_equals_an_eager_one_and_a_saved_model_goes_on(tmp_path):
    views, models = make_moving_views(), []
    for eager in (True, False):
        encoder = frame_encoder(statistics=True, dropout=0.5)
        arguments = {"decoupling": None, "chunks": 2, "eager": eager}
        models.append(make_framework("vmoco", encoder=encoder, **arguments))
        train(models[-1], views, epochs=2)
    assert_same_weights(*models, atol=1e-5, rtol=1e-4)
    models[1].save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.chunks == 2
    for model in (models[1], loaded):
        train(model, views)
    assert_same_state(models[1], loaded)


def test_gradients_in_chunks_are_accumulated_like_any_other():
    """Two batches of two chunks each are four chunks, of which two share their negatives."""
    states = []
    for chunks in (1, 2):
        optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
        arguments = {"decoupling": None, "chunks": chunks, "eager": EAGER}
        model = make_framework("vsimclr", optimizer=optimizer, encoder=frame_encoder(), **arguments)
        train(model, make_views(batch=8))
        states.append(state_of(model))
    for x, y in zip(*states):
        np.testing.assert_allclose(x, y, atol=1e-5)


def test_a_batch_that_does_not_divide_is_an_error():
    message = "chunks=3 must divide the batch of videos"
    model = make_framework("vsimclr", decoupling=None, chunks=3, eager=EAGER)
    with pytest.raises(ValueError, match=f"{message}. Received: 4 videos"):
        model.train_on_batch(make_views())
    if BACKEND == "tensorflow":  # whose graphs do not know how large a batch will be
        model = make_framework("vsimclr", decoupling=None, chunks=3, eager=False)
        with pytest.raises(Exception, match=f"{message}[\\s\\S]*4"):
            train(model, make_views())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chunks": 0}, "chunks must be at least 1, the whole batch. Received: chunks=0"),
        (
            {"chunks": 2, "decoupling": "paper"},
            'scope="all" moves the backbone within a step, so that chunks=2',
        ),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_framework("vsimclr", **arguments)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="about XLA on TensorFlow")
def test_xla_on_tensorflow_is_refused():
    model = make_framework("vsimclr", decoupling=None)
    with pytest.raises(ValueError, match="merges the two passes of chunks=2"):
        model.compile("sgd", chunks=2, jit_compile=True)


def test_a_size_that_is_known_in_the_step_alone_is_checked_there(monkeypatch):
    """As TensorFlow traces it: 6 clips of 2 views."""
    told = []
    monkeypatch.setattr(
        module.autodiff, "check", lambda *said: told.append((bool(said[0]), said[2]))
    )
    monkeypatch.setattr(module.ops, "shape", lambda x: (6, 4))
    clips = types.SimpleNamespace(shape=(None, 4))
    module.check_chunks(clips, 2, 3)
    module.check_chunks(clips, 2, 2)
    assert told == [(True, 3), (False, 3)]
