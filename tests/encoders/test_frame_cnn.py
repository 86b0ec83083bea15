"""`FrameCNN`: no look across time, shapes, and the encoders as Keras layers."""

import keras
import numpy as np
import pytest
from keras import ops

from bod_keras import encoders
from bod_keras.encoders.frame_cnn import FoldTime, UnfoldTime
from tests.layer_harness import check_layer


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def make_clips(batch=2, frames=4, size=8, seed=0):
    return np.random.default_rng(seed).random((batch, frames, size, size, 3), "float32")


def test_every_frame_is_encoded_on_its_own():
    encoder = encoders.FrameCNN((None, 8, 8, 3), widths=(4, 6))
    clips = make_clips()
    features = numpy(encoder(clips))
    assert features.shape == (2, 4, 6)
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(numpy(encoder(clips[:, order])), features[:, order], atol=1e-6)
    for t in range(4):
        alone = numpy(encoder(clips[:, t : t + 1]))
        np.testing.assert_allclose(alone[:, 0], features[:, t], atol=1e-6)
    assert np.abs(features - features[:, :1]).max() > 1e-3


def test_fold_time_keeps_the_frames_of_a_clip_together_and_unfold_time_undoes_it():
    clips = make_clips(batch=3)
    frames = numpy(FoldTime()(clips))
    np.testing.assert_array_equal(frames[4 * 2 + 1], clips[2, 1])
    features = frames.mean((1, 2))
    np.testing.assert_array_equal(numpy(UnfoldTime()(features, clips))[2, 1], features[4 * 2 + 1])


def test_each_region_has_a_mean_of_its_own():
    whole = encoders.FrameCNN((4, 16, 16, 3), widths=(4, 6))
    parts = encoders.FrameCNN((4, 16, 16, 3), widths=(4, 6), regions=2)
    parts.set_weights(whole.get_weights())
    maps = keras.Model(whole.input, whole.get_layer("stage2_relu").output)
    clips = make_clips(size=16)
    expected = numpy(maps(clips)).reshape(2, 4, 2, 2, 2, 2, 6).mean((3, 5)).reshape(2, 4, 24)
    np.testing.assert_allclose(numpy(parts(clips)), expected, atol=1e-6)


@pytest.mark.parametrize(
    "regions, shape", [(3, (4, 16, 16, 3)), (2, (4, None, 16, 3)), (0, (4, 16, 16, 3))]
)
def test_regions_that_do_not_fit_are_refused(regions, shape):
    with pytest.raises(ValueError, match=f"regions must be.*regions={regions}"):
        encoders.FrameCNN(shape, widths=(4, 6), regions=regions)


@pytest.mark.parametrize("widths", [(5,), (4, 8, 12)])
@pytest.mark.parametrize("shape", [(4, 8, 8, 3), (None, None, None, 3)])
def test_output_shape_and_parameters(shape, widths):
    encoder = encoders.FrameCNN(shape, widths=widths, name="mine")
    assert encoder.name == "mine"
    assert encoder.output_shape == (None, shape[0], widths[-1])
    kernels = [25] + [9] * (len(widths) - 1)
    parameters = sum(
        k * inside * outside + 2 * outside
        for k, inside, outside in zip(kernels, (3, *widths), widths)
    )
    assert sum(int(np.prod(w.shape)) for w in encoder.trainable_weights) == parameters


@pytest.mark.parametrize(
    ("make", "shapes", "options"),
    [
        (
            lambda: encoders.FrameCNN((4, 8, 8, 3), widths=(4, 6)),
            [(4, 8, 8, 3)],
            {"output_dtype": "float32"},
        ),
        (
            lambda: encoders.R3D18((2, 16, 16, 3), width=1),
            [(2, 16, 16, 3)],
            {"policies": ("float32",)},  # it is slow to build
        ),
        # One frame a clip, so that the rows of the outputs are those of the inputs.
        (FoldTime, [(1, 8, 8, 3)], {"arguments": {}}),
        (UnfoldTime, [(5,), (1, 2, 2, 3)], {"arguments": {}}),
    ],
    ids=["FrameCNN", "R3D18", "FoldTime", "UnfoldTime"],
)
def test_it_is_a_keras_layer(make, shapes, options, tmp_path):
    check_layer(make, *shapes, tmp_path=tmp_path, **options)


@pytest.mark.parametrize("shape", [(8, 32, 32), (8, 32, 32, 1), (None, 8, 32, 32, 3)])
def test_wrong_input_shapes_are_named(shape):
    with pytest.raises(ValueError) as error:
        encoders.FrameCNN(shape)
    assert f"must be (time, height, width, 3). Received: {shape}" in str(error.value)


def test_no_stage_is_refused():
    with pytest.raises(ValueError, match="at least one stage. Received"):
        encoders.FrameCNN(widths=())


def test_open_sizes_work_in_a_compiled_call():
    open_sizes = encoders.FrameCNN((None, None, None, 3), widths=(4,))
    fixed = encoders.FrameCNN((3, 12, 8, 3), widths=(4,))
    fixed.set_weights(open_sizes.get_weights())
    clips = np.random.default_rng(0).random((2, 3, 12, 8, 3), "float32")
    np.testing.assert_allclose(
        open_sizes.predict(clips, verbose=0), fixed.predict(clips, verbose=0), atol=1e-6
    )
