"""What every framework has from `ContrastiveModel`: config, logs, a warning, standardized parts."""

import warnings

import numpy as np
import pytest

import bod_keras
from bod_keras.frameworks import FRAMEWORKS
from tests.tiny_models import make_framework, make_moving_views, make_views, simple, train


def test_a_config_is_left_as_it_was():
    config = make_framework("vsimclr", simple()).get_config()
    kept = dict(config)
    bod_keras.VSimCLR.from_config(config)
    assert config.keys() == kept.keys() and all(config[name] is kept[name] for name in kept)


@pytest.mark.parametrize("name", ["projection_head", "augmenter"])
def test_what_is_no_layer_is_refused(name):
    encoder = make_framework("vsimclr", None).encoder
    with pytest.raises(bod_keras.UserError, match=f"{name} must be None or a Keras layer.*32"):
        bod_keras.VSimCLR(encoder, **{name: 32})


def test_two_heads_have_statistics_each():
    statistics = {"static_eigenvalues", "no_static", "spectral_radius"}
    for heads in (1, 2):
        history = train(make_framework("vsimclr", simple(heads=heads)), make_moving_views(4))
        assert statistics <= set(history)
        assert {f"dynamic_{name}" in history for name in statistics} == {heads == 2}
        if heads == 2:
            assert history["dynamic_spectral_radius"][-1] > 0


def test_only_zeros_beyond_the_ends_of_a_clip_are_warned_of():
    encoder = bod_keras.encoders.repeat_edges(bod_keras.encoders.R3D18((4, 16, 16, 3), width=4))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert bod_keras.VSimCLR(encoder, decoupling=True).static_view is not None


@pytest.mark.parametrize("name", ["vsimclr", "vbarlow_twins", "vvicreg", "vlejepa"])
def test_one_video_a_batch_is_refused_where_videos_are_compared(name):
    with pytest.raises(bod_keras.UserError, match="at least 2 of them"):
        make_framework(name, None).train_on_batch(make_views()[:1])


@pytest.mark.parametrize("name", sorted(FRAMEWORKS))
def test_one_view_a_video_is_refused(name):
    with pytest.raises(bod_keras.UserError, match="at least 2 views of a video.*1 view a video"):
        make_framework(name, None).train_on_batch(make_views(views=1))


def test_parts_that_are_equal_for_all_videos_are_finite():
    same = np.repeat(make_views()[:1], 4, axis=0)
    same[:, 1] = same[:, 0]
    assert np.isfinite(
        train(make_framework("vsimclr", simple(standardize=True)), same)["loss"]
    ).all()
