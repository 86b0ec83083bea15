"""`AppearanceSwap`: a `BackgroundSwap` whose colors turn, against a slow truth, and as a Keras layer."""

import colorsys

import keras
import numpy as np
import pytest

import bod_keras
from tests.layer_harness import check_layer
from tests.tiny_models import numpy


def clips_of(batch, seed=0):
    return np.random.default_rng(seed).random((batch, 5, 4, 6, 3), "float32")


def test_it_equals_the_slow_truth():
    clips = clips_of(3)
    swapped = numpy(bod_keras.BackgroundSwap(0.3)(clips))
    generator = keras.random.SeedGenerator(7)
    draws = numpy(keras.random.uniform((3, 2), seed=generator))
    gray = np.ones(3) / np.sqrt(3)
    expected = np.empty_like(clips)
    for i, (share, gain) in enumerate(draws):
        for index in np.ndindex(clips.shape[1:4]):
            color = swapped[i][index].astype("float64") - 0.5
            # Rodrigues' formula for a turn about the gray axis.
            turned = color * np.cos(2 * np.pi * share) + np.cross(gray, color) * np.sin(
                2 * np.pi * share
            )
            turned += gray * (gray @ color) * (1 - np.cos(2 * np.pi * share))
            expected[i][index] = np.clip(0.5 + (0.6 + 0.6 * gain) * turned, 0, 1)
    np.testing.assert_allclose(
        numpy(bod_keras.AppearanceSwap(0.3, seed=7)(clips, training=True)), expected, atol=1e-5
    )


def test_gray_stays_gray_and_hues_go_all_around():
    clips = np.full((64, 3, 2, 2, 3), 0.5, "float32")
    clips[:32] += np.float32((0.2, 0.0, -0.2))
    turned = numpy(bod_keras.AppearanceSwap(seed=0)(clips, training=True))
    # A background comes from the next clip: rows 31 and 63 have the other kind.
    colored, gray = turned[:31, 0, 0, 0], turned[32:63, 0, 0, 0]
    np.testing.assert_allclose(gray, 0.5, atol=1e-5)
    hues = [colorsys.rgb_to_hsv(*map(float, color))[0] for color in colored]
    assert np.histogram(hues, 6, (0, 1))[0].min() >= 1


def test_every_clip_and_every_call_has_its_own_turn_and_all_frames_of_a_clip_the_same():
    still = np.repeat(clips_of(1)[:, :1], 5, axis=1)
    layer = bod_keras.AppearanceSwap(seed=0)
    clips = np.repeat(still, 4, axis=0)
    first, second = (numpy(layer(clips, training=True)) for _ in range(2))
    assert np.abs(first[0] - first[1]).max() > 0.05 and np.abs(first - second).max() > 0.05
    np.testing.assert_array_equal(first, np.repeat(first[:, :1], 5, axis=1))
    again = numpy(bod_keras.AppearanceSwap(seed=0)(clips, training=True))
    np.testing.assert_array_equal(first, again)
    swapped = numpy(bod_keras.BackgroundSwap()(clips))
    np.testing.assert_array_equal(numpy(layer(clips)), swapped)


def test_it_is_a_keras_layer(tmp_path):
    check_layer(
        lambda: bod_keras.AppearanceSwap(0.2, seed=1),
        (4, 5, 5, 3),
        tmp_path=tmp_path,
        arguments={"threshold": 0.2, "seed": 1},
    )


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"threshold must lie in \(0, 1\).*Received: 2"):
        bod_keras.AppearanceSwap(2)
