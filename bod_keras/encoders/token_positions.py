"""Where a token is: `SinusoidalPositions`, which are fixed, and `SeparablePositions`, which are learned."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from bod_keras.errors import UserError


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


@keras.saving.register_keras_serializable("bod_keras")
class SeparablePositions(layers.Layer):
    """Add a learned vector for each place in space and one for each time.

        y[b, t, h, w] = x[b, t, h, w] + space[h, w] + time[t]

    Args:
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        x: (B, T, H, W, C), all but B known.

    Returns:
        The same shape.

    Raises:
        ValueError: T, H or W is None: there is a weight for each.

    Example:
        >>> import numpy as np
        >>> from bod_keras.encoders.token_positions import SeparablePositions
        >>> layer = SeparablePositions()
        >>> y = layer(np.zeros((1, 2, 3, 3, 4), "float32"))
        >>> [tuple(w.shape) for w in layer.weights]
        [(1, 3, 3, 4), (2, 1, 1, 4)]

    Reference:
        Feichtenhofer et al., "Masked Autoencoders As Spatiotemporal Learners", arXiv 2205.09113, section 3.
    """

    def build(self, input_shape):
        _, time, height, width, channels = input_shape
        if None in (time, height, width):
            raise UserError(
                "Learned positions need a known time, height and width. Received: tokens of shape "
                f"{tuple(input_shape)}. Give them in input_shape, or use sinusoidal positions."
            )
        normal = keras.initializers.TruncatedNormal(stddev=0.02)
        self.space = self.add_weight(
            name="space", shape=(1, height, width, channels), initializer=normal
        )
        self.time = self.add_weight(name="time", shape=(time, 1, 1, channels), initializer="zeros")

    def call(self, x):
        return x + self.space + self.time

    def compute_output_shape(self, input_shape):
        return input_shape
