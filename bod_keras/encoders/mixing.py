"""Does an encoder mix frames, and what does it see beyond the ends of a clip?"""

from __future__ import annotations

import keras
import numpy as np

from bod_keras.backend.keras_private import all_layers
from bod_keras.encoders._layers import PaddedConv3D


def mixes_frames(encoder: keras.Model) -> bool:
    """Return whether a frame's features depend on other frames: kernels over time, attention, recurrence.

    Measured: one clip, and the same clip with another last frame.

    Args:
        encoder: clips (B, T, H, W, 3) to frame features (B, T', C), of known T, H and W.

    Returns:
        True if features before the last change; of an encoder of unknown size True, which is the safe answer.

    Example:
        >>> from bod_keras.encoders import FrameCNN, R3D18, mixes_frames
        >>> mixes_frames(FrameCNN((4, 16, 16, 3), widths=(4,))), mixes_frames(R3D18((4, 16, 16, 3), width=4))
        (False, True)
    """
    shape = encoder.input_shape[1:]
    if None in shape or encoder.output_shape[1] in (None, 1):
        return True
    clips = np.random.default_rng(0).random((2, *shape), dtype="float32")
    clips[1, :-1] = clips[0, :-1]
    features = keras.ops.convert_to_numpy(encoder(clips, training=False))
    change = np.abs(features[1] - features[0]).max(axis=-1)
    return bool(change[:-1].max() > 1e-4 * (np.abs(features).max() + 1e-12))


def pads_time_with_zeros(encoder: keras.Model) -> bool:
    """Return whether a convolution over time sees zeros beyond a clip's ends (see `repeat_edges`)."""
    for layer in all_layers(encoder):
        over_time = isinstance(layer, keras.layers.Conv3D) and layer.kernel_size[0] > 1
        if over_time and layer.padding == "same":
            return True
        if isinstance(layer, PaddedConv3D) and not layer.repeat_edges and layer.kernel_size[0] > 1:
            return True
    return False
