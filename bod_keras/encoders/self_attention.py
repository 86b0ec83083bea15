"""`SelfAttention`: every place of a map attends to every other, in space and time."""

from __future__ import annotations

import keras
from keras import layers, ops

from bod_keras.errors import UserError


@keras.saving.register_keras_serializable("bod_keras")
class SelfAttention(layers.Layer):
    """Scaled dot-product attention among all places of a map, before the projection of its output.

    With q, k, v one linear map of the input each, cut into heads of d channels,

        y = softmax(q k' / sqrt(d)) v

    Keys have no bias, as in BEiT and VideoMAE: it would add the same to all scores of a query.

    Args:
        heads: number of heads, which divides the channels.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        x: (B, ..., C); all axes but the first and the last are places.

    Returns:
        The same shape: the heads' outputs side by side.

    Raises:
        ValueError: the number of channels is unknown, or `heads` does not divide it.

    Example:
        >>> import numpy as np
        >>> from bod_keras.encoders.self_attention import SelfAttention
        >>> SelfAttention(heads=2)(np.ones((3, 2, 4, 4, 6), "float32")).shape == (3, 2, 4, 4, 6)
        True

    Reference:
        Vaswani et al., arXiv 1706.03762; Bao et al., "BEiT", arXiv 2106.08254.
    """

    def __init__(self, heads: int, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, input_shape):
        width = input_shape[-1]
        if width is None or self.heads < 1 or width % self.heads:
            raise UserError(
                f"heads must divide the number of channels. Received: heads={self.heads} and an input of "
                f"shape {tuple(input_shape)}"
            )
        self.kernel = self.add_weight(
            name="kernel", shape=(width, 3 * width), initializer="glorot_uniform"
        )
        self.query_bias = self.add_weight(name="query_bias", shape=(width,), initializer="zeros")
        self.value_bias = self.add_weight(name="value_bias", shape=(width,), initializer="zeros")

    def call(self, x):
        shape = ops.shape(x)
        query_bias, value_bias = map(ops.convert_to_tensor, (self.query_bias, self.value_bias))
        bias = ops.concatenate([query_bias, ops.zeros_like(query_bias), value_bias])
        x = ops.matmul(x, self.kernel) + bias
        x = ops.reshape(x, (shape[0], -1, 3, self.heads, x.shape[-1] // (3 * self.heads)))
        x = ops.dot_product_attention(x[:, :, 0], x[:, :, 1], x[:, :, 2])
        return ops.reshape(x, shape)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "heads": self.heads}
