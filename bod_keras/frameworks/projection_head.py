"""The projection head of contrastive frameworks, applied to every frame."""

import keras

from bod_keras.training.batch_norm import BatchNorm


@keras.saving.register_keras_serializable("bod_keras")
class ProjectionHead(keras.layers.Layer):
    """Dense, batch normalisation, ReLU, Dense without bias, on the last axis.

        z = W2 relu(BN(W1 r + b1))

    Computed in float32 under every precision policy: the bi-level update differentiates it twice, and beside
    an encoder it costs little.

    Args:
        hidden: width of the hidden layer.
        width: D, width of the embedding.

    Call arguments:
        features: (..., C) features; all leading axes are treated as one batch.

    Returns:
        (..., D) embeddings, float32.

    Raises:
        ValueError: a width that is not positive.

    Example:
        >>> import numpy as np, bod_keras
        >>> bod_keras.ProjectionHead(64, 32)(np.zeros((2, 8, 48), "float32")).shape[-1]
        32

    Reference:
        Chen et al., arXiv 2002.05709, section 4.2.
    """

    def __init__(self, hidden=256, width=128, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        if hidden < 1 or width < 1:
            raise ValueError(
                f"hidden and width must be positive. Received: hidden={hidden}, width={width}"
            )
        self.hidden = hidden
        self.width = width
        self.expand = keras.layers.Dense(hidden, name="expand", dtype="float32")
        self.norm = BatchNorm(momentum=0.9, epsilon=1e-5, name="norm", dtype="float32")
        self.project = keras.layers.Dense(width, use_bias=False, name="project", dtype="float32")

    def build(self, input_shape):
        self.expand.build(input_shape)
        hidden_shape = (*input_shape[:-1], self.hidden)
        self.norm.build(hidden_shape)
        self.project.build(hidden_shape)

    def call(self, features, training=False):
        x = self.norm(self.expand(features), training=training)
        return self.project(keras.ops.relu(x))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.width)

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden, "width": self.width}
