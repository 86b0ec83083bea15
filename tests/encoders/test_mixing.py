"""`mixes_frames` and `pads_time_with_zeros` against what the outputs do when a frame changes."""

import keras
import numpy as np
import pytest

from bod_keras import encoders
from bod_keras.encoders.mixing import mixes_frames, pads_time_with_zeros
from tests.encoders.test_every_encoder import SHAPE, TINY, built

layers = keras.layers


def over_time(*stack):
    """Per-frame features, and then layers (B, T, C) to (B, T', C)."""
    clips = keras.Input((6, 8, 8, 3))
    x = layers.Dense(5)(layers.Reshape((6, 8 * 8 * 3))(clips))
    for layer in stack:
        x = layer(x)
    return keras.Model(clips, x)


def attention():
    encoder = over_time()
    x = encoder.output
    return keras.Model(encoder.input, layers.MultiHeadAttention(1, 4)(x, x))


# Of the user's own: whether frames mix, and whether a convolution sees zeros beyond the ends.
OWN = {
    "per frame": (over_time, False, False),
    "one frame wide": (lambda: over_time(layers.Conv1D(4, 1, padding="same")), False, False),
    "every other frame": (lambda: over_time(layers.Conv1D(4, 1, strides=2)), False, False),
    "causal": (lambda: over_time(layers.Conv1D(4, 2, padding="causal")), True, True),
    "dilated": (
        lambda: over_time(layers.Conv1D(4, 3, padding="same", dilation_rate=2)),
        True,
        True,
    ),
    "separable": (lambda: over_time(layers.SeparableConv1D(4, 3, padding="same")), True, True),
    "pairs of frames": (lambda: over_time(layers.Conv1D(4, 2, strides=2)), True, False),
    "recurrent": (lambda: over_time(layers.GRU(4, return_sequences=True)), True, False),
    "backward": (
        lambda: over_time(layers.GRU(4, return_sequences=True, go_backwards=True)),
        True,
        False,
    ),
    "attention": (attention, True, False),
    "mean over time": (lambda: over_time(layers.AveragePooling1D(6)), True, False),
}


def dependence(encoder):
    """(T, T'): whether each output changes with each frame alone."""
    shape = encoder.input_shape[1:]
    clip, other = np.random.default_rng(3).random((2, *shape), "float32")
    clips = np.stack([clip] * (shape[0] + 1))
    for frame in range(shape[0]):
        clips[frame + 1, frame] = other[frame]
    features = keras.ops.convert_to_numpy(encoder(clips, training=False))
    return np.abs(features[1:] - features[0]).max(axis=-1) > 1e-5 * np.abs(features).max()


def still_features_change(encoder):
    """Whether the features of a clip of equal frames do, by more than rounding."""
    shape = encoder.input_shape[1:]
    frame = np.random.default_rng(4).random((1, 1, *shape[1:]), "float32")
    features = keras.ops.convert_to_numpy(encoder(np.repeat(frame, shape[0], 1), training=False))
    return np.ptp(features, axis=1).max() > 1e-4 * np.abs(features).max()


@pytest.mark.parametrize("name", TINY)
def test_whether_frames_mix_is_what_changing_one_frame_shows(name):
    encoder = built(name)
    found = dependence(encoder)
    assert found.any(axis=0).all(), "an output that depends on nothing proves nothing"
    assert mixes_frames(encoder) == (found.sum(axis=0) > 1).any()


@pytest.mark.parametrize("name", TINY)
def test_zeros_at_the_ends_are_what_a_still_clip_shows(name):
    encoder = built(name)
    if name == "video_vit":  # its positions are another change in time, which every clip shares
        assert not pads_time_with_zeros(encoder)
        return
    assert pads_time_with_zeros(encoder) == still_features_change(encoder)
    encoders.repeat_edges(encoder)
    assert not pads_time_with_zeros(encoder)
    assert not still_features_change(encoder)


@pytest.mark.parametrize("name", OWN)
def test_encoders_of_the_users_own(name):
    build, mixes, pads = OWN[name]
    encoder = build()
    found = dependence(encoder)
    assert (found.sum(axis=0) > 1).any() == mixes
    assert mixes_frames(encoder) == mixes
    assert pads_time_with_zeros(encoder) == pads


@pytest.mark.parametrize("frames", [2, 3, 5, 8])
def test_any_number_of_frames(frames):
    for temporal in (False, True):
        build = encoders.R3D18 if temporal else encoders.FrameCNN
        size = {"width": 2} if temporal else {"widths": (4,)}
        assert mixes_frames(build((frames, *SHAPE[1:]), **size)) == temporal


def test_an_encoder_of_unknown_size_is_taken_to_mix_frames():
    assert mixes_frames(encoders.FrameCNN((None, 16, 16, 3), widths=(4,)))
