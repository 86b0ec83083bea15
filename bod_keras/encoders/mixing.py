"""Does an encoder mix frames, and what does it see beyond the ends of a clip?"""

from __future__ import annotations

import keras
import numpy as np

from bod_keras.backend.keras_private import all_layers
from bod_keras.encoders._layers import PaddedConv3D

_OVER_TIME = (
    keras.layers.Conv1D,
    keras.layers.SeparableConv1D,
    keras.layers.DepthwiseConv1D,
    keras.layers.Conv3D,
)


def mixes_frames(encoder: keras.Model) -> bool:
    """Return whether any feature depends on more than one frame: kernels over time, attention, recurrence.

    This is measured: a clip's frames are changed in two complementary groups, for each binary digit of their
    numbers. Two frames differ in a digit, so a feature that depends on both changes with either group.

    Args:
        encoder: clips (B, T, H, W, 3) to frame features (B, T', C), of known T, H and W.

    Returns:
        The answer; of an encoder of unknown size True, which is the safe one.

    Example:
        >>> from bod_keras.encoders import FrameCNN, R3D18, mixes_frames
        >>> mixes_frames(FrameCNN((4, 16, 16, 3), widths=(4,))), mixes_frames(R3D18((4, 16, 16, 3), width=4))
        (False, True)
    """
    shape = encoder.input_shape[1:]
    if None in shape or encoder.output_shape[1] is None:
        return True
    rng = np.random.default_rng(0)
    clip, other = rng.random((2, *shape), dtype="float32")
    frames = np.arange(shape[0])
    for digit in range(int(frames[-1]).bit_length()):
        group = (frames >> digit & 1).astype(bool).reshape(-1, *[1] * (len(shape) - 1))
        clips = np.stack([clip, np.where(group, clip, other), np.where(group, other, clip)])
        features = keras.ops.convert_to_numpy(encoder(clips, training=False)).astype("float64")
        change = np.abs(features[1:] - features[0]).max(axis=-1)
        if (change.min(axis=0) > 1e-4 * np.abs(features).max()).any():
            return True
    return False


def pads_time_with_zeros(encoder: keras.Model) -> bool:
    """Return whether a convolution over time sees zeros beyond a clip's ends (see `repeat_edges`)."""
    for layer in all_layers(encoder):
        if not isinstance(layer, _OVER_TIME) or layer.kernel_size[0] == 1:
            continue
        if isinstance(layer, PaddedConv3D):
            if not layer.repeat_edges:
                return True
        elif layer.padding in ("same", "causal"):
            return True
    return False
