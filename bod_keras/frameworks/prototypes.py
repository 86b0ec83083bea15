"""Learned unit vectors that embeddings are compared with."""

from __future__ import annotations

import keras
from keras import ops

from bod_keras.errors import UserError
from bod_keras.koopman.linalg import normalize_frames


@keras.saving.register_keras_serializable("bod_keras")
class Prototypes(keras.layers.Layer):
    """Cosine similarity of embeddings to `count` learned prototypes c_k,

        s_ik = z_i . c_k / |z_i|,   |c_k| = 1.

    An optimizer moves prototypes off the sphere: call `normalize` after its step.

    Args:
        count: K.

    Call arguments:
        embeddings: (B, D); they need not be normalized.
        frozen: a boolean, or a scalar tensor: whether the prototypes get no gradient.

    Returns:
        Scores (B, K), float32.

    Raises:
        ValueError: fewer than 2 prototypes.

    Example:
        >>> import numpy as np, bod_keras
        >>> prototypes = bod_keras.Prototypes(16)
        >>> prototypes(np.ones((4, 8), "float32")).shape[-1]
        16

    Reference:
        Caron et al., "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments",
        arXiv 2006.09882.
    """

    def __init__(self, count: int = 1000, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        if count < 2:
            raise UserError(f"count must be at least 2 (1000 is usual). Received: {count}")
        self.count = count

    def build(self, embeddings_shape):
        normal = keras.initializers.RandomNormal()
        # Not `normalize` after it: in a symbolic call Keras would initialize again later.
        self.vectors = self.add_weight(
            name="vectors",
            shape=(self.count, embeddings_shape[-1]),
            initializer=lambda shape, dtype: normalize_frames(normal(shape, dtype)),
        )

    def call(self, embeddings, frozen=False):
        vectors = ops.convert_to_tensor(self.vectors)
        vectors = ops.where(frozen, ops.stop_gradient(vectors), vectors)
        return ops.matmul(normalize_frames(embeddings), ops.transpose(vectors))

    def normalize(self) -> None:
        """Put every prototype back on the unit sphere."""
        self.vectors.assign(normalize_frames(ops.convert_to_tensor(self.vectors)))

    def compute_output_shape(self, embeddings_shape):
        return (*embeddings_shape[:-1], self.count)

    def get_config(self):
        return {**super().get_config(), "count": self.count}
