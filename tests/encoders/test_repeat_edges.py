"""`repeat_edges`: against a longer clip, on still clips and in files."""

import keras
import numpy as np
import pytest

from bod_keras.encoders import R3D18, S3D, FrameCNN, R2Plus1D18, repeat_edges
from bod_keras.encoders._layers import PaddedConv3D
from tests.tiers import first_of
from tests.tiny_models import numpy


@pytest.mark.parametrize("kernel", [(3, 3, 3), (3, 1, 1), (5, 3, 3), (1, 3, 3)])
@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 2, 2)])
def test_a_convolution_is_that_of_a_clip_whose_ends_go_on(kernel, strides):
    clips = np.random.default_rng(0).normal(size=(2, 6, 8, 8, 3)).astype("float32")
    layer = PaddedConv3D(4, kernel, strides, repeat_edges=True)
    zeros = PaddedConv3D(4, kernel, strides)
    mine = numpy(layer(clips))
    zeros.build(clips.shape)
    zeros.set_weights(layer.get_weights())
    longer = numpy(zeros(np.pad(clips, [(0, 0), (4, 4), (0, 0), (0, 0), (0, 0)], "edge")))
    first = 4 // strides[0]
    np.testing.assert_allclose(mine, longer[:, first : first + mine.shape[1]], atol=1e-5)
    assert mine.shape == tuple(layer.compute_output_shape(clips.shape))
    assert (np.abs(mine - numpy(zeros(clips))).max() > 1e-2) == (kernel[0] > 1)


@pytest.mark.parametrize(
    "make",
    first_of(
        [
            lambda: R2Plus1D18((6, 32, 32, 3), width=4, remat=True),
            lambda: R3D18((6, 32, 32, 3), width=4),
            lambda: S3D((6, 32, 32, 3), width=8),
        ]
    ),
)
def test_of_a_still_clip_all_features_are_equal(make, tmp_path):
    clips = np.repeat(np.random.default_rng(0).random((2, 1, 32, 32, 3), "float32"), 6, axis=1)
    encoder = make()
    weights, with_zeros = encoder.get_weights(), numpy(encoder(clips))
    assert with_zeros.std(axis=1).max() > 1e-3 * with_zeros.std()
    assert repeat_edges(encoder) is encoder
    features = numpy(encoder(clips))
    assert features.std(axis=1).max() < 1e-5 * features.std()
    assert all(np.array_equal(a, b) for a, b in zip(weights, encoder.get_weights()))
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(numpy(loaded(clips)), features)


def test_a_per_frame_encoder_stays_as_it_is():
    encoder = FrameCNN((4, 16, 16, 3), widths=(4,))
    clips = np.random.default_rng(0).random((2, 4, 16, 16, 3), "float32")
    before = numpy(encoder(clips))
    np.testing.assert_array_equal(numpy(repeat_edges(encoder)(clips)), before)
