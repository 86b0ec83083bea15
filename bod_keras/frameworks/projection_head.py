"""The projection head of contrastive frameworks: a multilayer perceptron with batch normalization."""

from __future__ import annotations

import keras

from bod_keras.decoupling import HIDDEN, WIDTH
from bod_keras.errors import UserError


@keras.saving.register_keras_serializable("bod_keras")
class ProjectionHead(keras.layers.Layer):
    """Dense, batch normalization, ReLU, Dense without bias, on the last axis; for `depth` 2

        z = W2 relu(BN(W1 r + b1)).

    The projection head of frame features, and the predictor or expander of the parts. Computed in float32 under
    every precision policy: the bi-level update differentiates it twice, and beside an encoder it costs little.

    Args:
        hidden: width of the hidden layer.
        width: D, width of the embedding.
        depth: dense layers, at least 2; all but the last are followed by batch normalization and ReLU.

    Call arguments:
        features: (..., C) features; all leading axes are treated as one batch.

    Returns:
        (..., D) embeddings, float32.

    Raises:
        ValueError: a width that is not positive, or a depth below 2.

    Example:
        >>> import numpy as np, bod_keras
        >>> bod_keras.ProjectionHead(64, 32)(np.zeros((2, 8, 48), "float32")).shape[-1]
        32

    Reference:
        Chen et al., arXiv 2002.05709, section 4.2.
    """

    def __init__(self, hidden: int = HIDDEN, width: int = WIDTH, depth: int = 2, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        if hidden < 1 or width < 1 or depth < 2:
            raise UserError(
                "hidden and width must be positive and depth at least 2. "
                f"Received: hidden={hidden}, width={width}, depth={depth}"
            )
        self.hidden = hidden
        self.width = width
        self.depth = depth
        self.expand, self.norm = [], []
        for i in range(1, depth):
            dense = keras.layers.Dense(hidden, name=f"expand{i}", dtype="float32")
            norm = keras.layers.BatchNormalization(
                momentum=0.9, epsilon=1e-5, name=f"norm{i}", dtype="float32"
            )
            self.expand.append(dense)
            self.norm.append(norm)
        self.project = keras.layers.Dense(width, use_bias=False, name="project", dtype="float32")

    def build(self, input_shape):
        shape = tuple(input_shape)
        for expand, norm in zip(self.expand, self.norm):
            expand.build(shape)
            shape = (*shape[:-1], self.hidden)
            norm.build(shape)
        self.project.build(shape)

    def call(self, features, training=False):
        x = features
        for expand, norm in zip(self.expand, self.norm):
            x = keras.ops.relu(norm(expand(x), training=training))
        return self.project(x)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.width)

    def get_config(self):
        settings = {"hidden": self.hidden, "width": self.width, "depth": self.depth}
        return {**super().get_config(), **settings}


def part_networks(parts: dict[str, int], hidden: int, kind: str, width: int | None = None) -> dict:
    """Return a built `ProjectionHead` for each part, of the part's own width if `width` is None."""
    networks = {}
    for part, size in parts.items():
        networks[part] = ProjectionHead(hidden, width or size, name=f"{part}_{kind}")
        networks[part].build((None, size))
    return networks
