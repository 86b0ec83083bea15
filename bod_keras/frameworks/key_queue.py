"""A ring buffer of embeddings of earlier videos."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bod_keras.errors import UserError
from bod_keras.koopman.linalg import normalize_frames


@keras.saving.register_keras_serializable("bod_keras")
class KeyQueue(keras.layers.Layer):
    """Keep the last `size` L2-normalized embeddings that were put in; the oldest are overwritten.

    The rows are weights: they are saved with a model, and a resumed run continues with the same negatives.

    Args:
        size: N, rows of the buffer.

    Call arguments:
        keys: (B, D) embeddings, any B.
        training: whether they are put in.

    Returns:
        ``(rows (N, D), filled)``, what the queue held BEFORE these keys: of the rows, the first `filled` are
        valid, in the order of the buffer; the others are zero.

    Raises:
        ValueError: a size below 1.

    Example:
        >>> from keras import ops
        >>> import numpy as np, bod_keras
        >>> queue = bod_keras.KeyQueue(3)
        >>> for key in np.eye(4, dtype="float32"):
        ...     _ = queue(key[None], training=True)
        >>> ops.convert_to_numpy(queue.in_order()).argmax(axis=1).tolist()
        [1, 2, 3]

    Reference:
        He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", arXiv 1911.05722.
    """

    def __init__(self, size: int, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        if size < 1:
            raise UserError(f"size must be at least 1 (65536 is usual). Received: {size}")
        self.size = size

    def build(self, keys_shape):
        self.rows = self._state("rows", (self.size, keys_shape[-1]), "float32")
        self.pointer = self._state("pointer", (), "int32")
        self.filled = self._state("filled", (), "int32")

    def call(self, keys, training=False):
        # Copies: on PyTorch the weights are written in place.
        held = ops.copy(self.rows), ops.copy(self.filled)
        if training:
            self.enqueue(keys)
        return held

    def enqueue(self, keys: Any) -> None:
        """Put keys (B, D) in, the first row first. Of more than N, the last N are kept."""
        keys = normalize_frames(ops.stop_gradient(keys))[-self.size :]
        count = ops.shape(keys)[0]
        start = ops.convert_to_tensor(self.pointer)
        places = (start + ops.arange(count, dtype="int32")) % self.size
        self.rows.assign(ops.scatter_update(self.rows, places[:, None], keys))
        self.pointer.assign((start + count) % self.size)
        self.filled.assign(ops.minimum(self.filled + count, self.size))

    def in_order(self) -> Any:
        """The rows (N, D), oldest first; before the queue is full, those that are zero come first."""
        return ops.roll(self.rows, -int(self.pointer), axis=0)

    def _state(self, name, shape, dtype):
        return self.add_weight(
            name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=False
        )

    def get_config(self):
        return {**super().get_config(), "size": self.size}
