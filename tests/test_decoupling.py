"""`Decoupling` as a value: it survives Keras' serialization, with objects of the user's own in it."""

import dataclasses
import json

import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from keras import ops

import bod_keras


@keras.saving.register_keras_serializable("tests")
class Spread(bod_keras.koopman.ReadOut):
    def call(self, operator):
        return ops.std(operator.future, axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


@keras.saving.register_keras_serializable("tests")
class Mirror(keras.layers.Layer):
    def call(self, clips, training=False):
        return ops.flip(clips, axis=3)


def again(settings):
    """Through text, as in a file."""
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(settings)))
    return keras.saving.deserialize_keras_object(config)


@pytest.mark.parametrize(
    "settings",
    [
        bod_keras.Decoupling(),
        bod_keras.Decoupling.named("paper"),
        bod_keras.Decoupling.named("reference-code"),
        bod_keras.Decoupling(threshold=0.3, base_weight=0.5, read_out="mean", bilevel=None),
    ],
    ids=["recommended", "paper", "reference-code", "custom"],
)
def test_it_comes_back_equal(settings):
    assert again(settings) == settings
    assert again(settings).bilevel == settings.bilevel


def test_read_outs_and_views_of_the_users_own_come_back():
    settings = bod_keras.Decoupling(
        read_out=Spread(), motion_view=Mirror(), static_view=bod_keras.FrameShuffle(seed=3)
    )
    back = again(settings)
    assert isinstance(back.read_out, Spread) and isinstance(back.motion_view, Mirror)
    assert isinstance(back.static_view, bod_keras.FrameShuffle) and back.static_view.seed == 3
    operator = again(bod_keras.Decoupling(read_out=bod_keras.OperatorReadOut(5))).read_out
    assert isinstance(operator, bod_keras.OperatorReadOut) and operator.columns == 5


def test_a_model_with_them_comes_back_from_a_file(tmp_path):
    encoder = bod_keras.encoders.FrameCNN((4, 8, 8, 3), widths=(4, 6))
    settings = bod_keras.Decoupling(read_out=Spread(), motion_view=Mirror())
    bod_keras.VSimCLR(encoder, settings).save(tmp_path / "model.keras")
    loaded = bod_keras.load(tmp_path / "model.keras")
    assert isinstance(loaded.split.read_out, Spread) and isinstance(loaded.motion_view, Mirror)


def test_the_published_code_differs_from_the_papers_text_in_the_split_alone():
    code, text = (bod_keras.Decoupling.named(name) for name in ("reference-code", "paper"))
    assert code != text and dataclasses.replace(code, reference_code=False) == text
    with pytest.raises(bod_keras.UserError, match="Did you mean reference-code"):
        bod_keras.Decoupling.named("reference_code")


positive = some.sampled_from([1e-3, 0.1, 2.0])


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    some.fixed_dictionaries(
        {},
        optional={
            "threshold": some.none() | positive,
            "ridge": positive,
            "read_out": some.sampled_from(["operator", "mean"]),
            "projector_gradient": some.booleans(),
            "heads": some.sampled_from([1, 2]),
            "bilevel": some.none() | some.builds(bod_keras.BiLevel, some.integers(1, 3), positive),
            "dynamic_temperature": some.none() | positive,
            "dynamic_weight": some.just(0.0) | positive,
            "base_weight": some.just(0.0) | positive,
            "standardize": some.booleans(),
            "motion_view": some.sampled_from([None, "background_swap"]),
            "static_view": some.sampled_from([None, "auto", "frame_shuffle"]),
        },
    )
)
def test_any_settings_come_back_equal(settings):
    settings = bod_keras.Decoupling(**settings)
    assert again(settings) == settings and again(settings).bilevel == settings.bilevel
