"""Where a token is: `SinusoidalPositions`."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable("bod_keras")
class SinusoidalPositions(layers.Layer):
    """Add sines and cosines of each token's number, which counts along the width, the height, then time.

        n = (t H + h) W + w
        p[n, 2i] = sin(n / 10000^(2i / C)),  p[n, 2i + 1] = cos(n / 10000^(2i / C))

    Where tokens are closer in time than those that were numbered, what lies between two is interpolated.

    Args:
        step: distance of neighboring tokens in time, in units of t; at most 1.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        x: (B, T, H, W, C), C even.

    Returns:
        The same shape.

    Example:
        >>> import numpy as np
        >>> from bod_keras.encoders.token_positions import SinusoidalPositions
        >>> y = SinusoidalPositions()(np.zeros((1, 2, 2, 2, 4), "float32"))
        >>> bool(abs(y[0, 1, 0, 1, 0] - np.sin(5)) < 1e-6)
        True

    Reference:
        Vaswani et al., arXiv 1706.03762, section 3.5; so numbered in Tong et al., "VideoMAE", arXiv 2203.12602.
    """

    def __init__(self, step: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.step = step

    def call(self, x):
        _, time, height, width, channels = ops.shape(x)
        rates = 10000.0 ** (-np.arange(0, channels, 2) / channels)
        rates = ops.convert_to_tensor(rates, dtype="float32")
        place = ops.reshape(ops.arange(height * width, dtype="float32"), (1, height, width, 1))
        t = ops.reshape(ops.arange(time, dtype="float32"), (-1, 1, 1, 1)) * self.step
        before = ops.floor(t)

        def codes(t):
            angle = (t * ops.cast(height * width, "float32") + place) * rates
            pairs = ops.stack([ops.sin(angle), ops.cos(angle)], axis=-1)
            return ops.reshape(pairs, (-1, height, width, channels))

        positions = codes(before)
        if self.step != 1:
            positions += (t - before) * (codes(before + 1) - positions)
        return x + ops.cast(positions, x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "step": self.step}
