"""`BackgroundSwap`: against a slow truth, on a clip with a known background, and as a Keras layer."""

import numpy as np
import pytest

import bod_keras
from tests.layer_harness import check_layer
from tests.tiny_models import numpy


def truth(clips, threshold, donor):
    backgrounds = [np.sort(clip, axis=0)[len(clip) // 2] for clip in clips]
    result = np.empty_like(clips)
    for i, clip in enumerate(clips):
        other = backgrounds[(i + donor) % len(clips)]
        for t, y, x in np.ndindex(clip.shape[:3]):
            moves = np.abs(clip[t, y, x] - backgrounds[i][y, x]).max() > threshold
            result[i, t, y, x] = clip[t, y, x] if moves else other[y, x]
    return result


@pytest.mark.parametrize("donor, offset", [("next", 1), ("previous", -1)])
@pytest.mark.parametrize("frames", [3, 4, 7])
def test_it_equals_the_slow_truth(frames, donor, offset):
    clips = np.random.default_rng(0).random((3, frames, 4, 5, 3), "float32")
    swapped = numpy(bod_keras.BackgroundSwap(0.3, donor)(clips))
    np.testing.assert_array_equal(swapped, truth(clips, 0.3, offset))
    assert 0.1 < np.mean(swapped == clips) < 0.9  # neither nothing nor everything moves


def test_what_moves_is_kept_and_the_rest_is_of_the_next_clip():
    backgrounds = np.random.default_rng(0).uniform(0, 0.6, (3, 1, 8, 8, 3)).astype("float32")
    clips = np.repeat(backgrounds, 5, axis=1)
    expected = np.repeat(np.roll(backgrounds, -1, axis=0), 5, axis=1)
    for t in range(5):
        for array in (clips, expected):
            array[:, t, 2:4, t : t + 2] = 0.9  # it covers a pixel in two frames of five
    swapped = numpy(bod_keras.BackgroundSwap()(clips))
    np.testing.assert_array_equal(swapped, expected)


def test_one_clip_keeps_its_background():
    clip = np.random.default_rng(0).random((1, 5, 4, 4, 3), "float32") * 0.05
    swapped = numpy(bod_keras.BackgroundSwap()(clip))
    np.testing.assert_array_equal(swapped, np.repeat(np.median(clip, 1, keepdims=True), 5, 1))


def test_it_is_a_keras_layer(tmp_path):
    check_layer(
        lambda: bod_keras.BackgroundSwap(0.2, "previous"),
        (4, 5, 5, 3),
        tmp_path=tmp_path,
        arguments={"threshold": 0.2, "donor": "previous"},
    )


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"threshold must lie in \(0, 1\).*Received: 0"):
        bod_keras.BackgroundSwap(0)
    with pytest.raises(ValueError, match=r"donor must be.*next.*previous.*Received: .*last"):
        bod_keras.BackgroundSwap(donor="last")
    with pytest.raises(ValueError, match=r"expects clips.*Received: \(2, 2, 4, 8, 8, 3\)"):
        bod_keras.BackgroundSwap()(np.zeros((2, 2, 4, 8, 8, 3), "float32"))
