"""What the kernels over time of an encoder see beyond the ends of a clip."""

import keras

from bod_keras.backend.keras_private import all_layers
from bod_keras.encoders._layers import PaddedConv3D


def repeat_edges(encoder: keras.Model) -> keras.Model:
    """Let an encoder's convolutions over time see the first and the last frame repeated, not zeros.

    With a kernel of 2 h + 1 frames, x_t is x_1 for t < 1 and x_T for t > T, instead of 0. Zeros make the
    features of a clip's ends unlike those of its middle, in every clip alike: a change in time that is no
    motion, and that an operator fitted to the frames explains (docs/encoders.md has figures).

    The weights are the same, and the published ones still fit; but features at the ends change, as far as the
    kernels reach, so weights that were trained with zeros should be fine-tuned.

    Args:
        encoder: a model of `bod_keras.encoders`. It is changed, not copied; do it before training. One without
            convolutions over time, as `FrameCNN` and `VideoViT`, has nothing to change.

    Returns:
        The same encoder. A saved one remembers it.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from bod_keras.encoders import R3D18, repeat_edges
        >>> still = np.ones((1, 8, 32, 32, 3), "float32")  # nothing moves
        >>> def change(encoder):
        ...     return float(keras.ops.max(keras.ops.std(encoder(still), axis=1)))
        >>> encoder = R3D18((8, 32, 32, 3), width=4)
        >>> change(encoder) > 1e-3, change(repeat_edges(encoder)) < 1e-5
        (True, True)

    Reference: ours; docs/findings.md, section 1.
    """
    for layer in all_layers(encoder):
        if isinstance(layer, PaddedConv3D):
            layer.repeat_edges = True
    return encoder
