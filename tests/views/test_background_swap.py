"""`BackgroundSwap` and `BackgroundMix`: against a slow truth, over a known background, and as Keras layers."""

import numpy as np
import pytest

import bod_keras
from tests.layer_harness import check_layer
from tests.tiny_models import numpy


def moving(clip, threshold):
    """Where one clip moves (H, W), grown by one pixel."""
    background = np.sort(clip, axis=0)[len(clip) // 2]
    height, width = clip.shape[1:3]
    grown = np.zeros((height, width), bool)
    for t, y, x in np.ndindex(clip.shape[:3]):
        if np.abs(clip[t, y, x] - background[y, x]).max() > threshold:
            grown[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = True
    return background, grown


def swap_truth(clips, threshold):
    backgrounds, regions = zip(*(moving(clip, threshold) for clip in clips))
    others = [*backgrounds[1:], backgrounds[0]]
    return np.stack(
        [np.where(r[None, :, :, None], x, o) for r, x, o in zip(regions, clips, others)]
    )


def mix_truth(clips, threshold):
    result, half = clips.copy(), len(clips) // 2
    for i in range(half):
        kept = moving(clips[i], threshold)[1]
        if kept.mean() > 0.9:  # both are to be seen
            kept = np.broadcast_to(np.arange(kept.shape[1]) < kept.shape[1] // 2, kept.shape)
        other = moving(clips[(i - 1) % half], threshold)[0]
        result[i] = np.where(kept[None, :, :, None], clips[i], other)
    return result


TRUTHS = {bod_keras.BackgroundSwap: swap_truth, bod_keras.BackgroundMix: mix_truth}


@pytest.mark.parametrize("layer", TRUTHS)
@pytest.mark.parametrize(("frames", "videos"), [(3, 6), (4, 7), (7, 6)])
@pytest.mark.parametrize("threshold", [0.5, 0.75])
def test_it_equals_the_slow_truth(frames, videos, layer, threshold):
    rng = np.random.default_rng(0)
    clips = np.repeat(rng.random((videos, 1, 7, 9, 3), "float32"), frames, axis=1)
    # Few pixels change in the first clip, some in the second, all in the third, and so on.
    for i, clip in enumerate(clips):
        changed = rng.random(clip.shape[:3]) < (0.01, 0.05, 1.0)[i % 3]
        clip[changed] = rng.random((changed.sum(), 3))
    swapped = numpy(layer(threshold)(clips))
    np.testing.assert_array_equal(swapped, TRUTHS[layer](clips, threshold))
    assert 0.1 < np.mean(swapped[:3] == clips[:3]) < 0.95  # neither nothing nor everything moves


def test_of_few_clips_none_is_mixed():
    clips = np.random.default_rng(0).random((3, 4, 6, 6, 3), "float32")
    np.testing.assert_array_equal(numpy(bod_keras.BackgroundMix()(clips)), clips)


def test_each_row_knows_whose_background_it_has():
    rows = np.arange(14).reshape(7, 2)
    expected = rows[[2, 0, 1, 3, 4, 5, 6]]
    np.testing.assert_array_equal(numpy(bod_keras.BackgroundMix.partners(rows)), expected)


def test_what_moves_is_kept_and_the_rest_is_of_the_next_clip():
    backgrounds = np.random.default_rng(0).uniform(0, 0.6, (3, 1, 8, 12, 3)).astype("float32")
    clips = np.repeat(backgrounds, 5, axis=1)
    for t in range(5):
        clips[:, t, 2:4, t : t + 2] = 0.9  # it covers a pixel in two frames of five
    expected = np.repeat(np.roll(backgrounds, -1, axis=0), 5, axis=1)
    expected[:, :, 1:5, :7] = clips[:, :, 1:5, :7]  # its way, and a pixel around
    np.testing.assert_array_equal(numpy(bod_keras.BackgroundSwap()(clips)), expected)


def test_what_moves_grows_with_the_size_of_the_frame():
    clips = np.zeros((2, 3, 64, 96, 3), "float32")
    clips[0, 0, 30, 40] = 1.0
    clips[1] = 0.5
    swapped = numpy(bod_keras.BackgroundSwap()(clips))
    kept = np.argwhere(swapped[0, 1, :, :, 0] == 0)
    assert kept.min(axis=0).tolist() == [28, 38] and kept.max(axis=0).tolist() == [32, 42]


def test_one_clip_keeps_its_background():
    clip = np.random.default_rng(0).random((1, 5, 4, 4, 3), "float32") * 0.05
    swapped = numpy(bod_keras.BackgroundSwap()(clip))
    np.testing.assert_array_equal(swapped, np.repeat(np.median(clip, 1, keepdims=True), 5, 1))


@pytest.mark.parametrize("layer", TRUTHS)
def test_it_is_a_keras_layer(tmp_path, layer):
    check_layer(lambda: layer(0.2), (4, 5, 5, 3), tmp_path=tmp_path, arguments={"threshold": 0.2})


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"threshold must lie in \(0, 1\).*Received: 0"):
        bod_keras.BackgroundSwap(0)
    with pytest.raises(ValueError, match=r"expects clips.*Received: \(2, 2, 4, 8, 8, 3\)"):
        bod_keras.BackgroundSwap()(np.zeros((2, 2, 4, 8, 8, 3), "float32"))
