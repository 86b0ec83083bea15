"""InfoNCE with negatives from a queue of keys (MoCo)."""

from __future__ import annotations

import keras
from keras import ops

from bod_keras.backend.replicas import own_rows
from bod_keras.errors import UserError
from bod_keras.koopman.linalg import normalize_frames
from bod_keras.losses._checks import check_temperature


@keras.saving.register_keras_serializable("bod_keras")
class QueueInfoNCE(keras.losses.Loss):
    """Contrast each query with its own key against a queue of keys of earlier videos (MoCo).

    For query q_i, its key k_i and the queue's rows n_j, all L2-normalized here, with t the temperature,

        l_i = -log( exp(q_i.k_i/t) / [ exp(q_i.k_i/t) + sum_j exp(q_i.n_j/t) ] ).

    Keys and queue get no gradient. Identical embeddings give log(1 + N); an empty queue gives 0.

    Args:
        temperature: t > 0.
        gathered: whether, in a step of several replicas, keys and queries hold the rows of all of them
            (`InfoNCE`). Each replica then computes the values of its own queries alone.

    Call arguments:
        keys_and_queue: a tuple of keys (B, D), row i from the video of query i, and queue (N, D); optionally,
            third, the number of filled rows, a scalar. Only that many rows, from the first, are negatives;
            the others may hold anything.
        queries: (B, D) embeddings; they need not be normalized.

    Returns:
        Reduced as `reduction` says from one value per query, (B,), float32.

    Raises:
        ValueError: a temperature that is not positive, or tensors of different or wrong shape.

    Example:
        >>> import numpy as np
        >>> from bod_keras.losses import QueueInfoNCE
        >>> rows = np.eye(8, dtype="float32")
        >>> queries, queue = rows[:4], rows[4:]
        >>> float(QueueInfoNCE(temperature=0.1)((queries, queue), queries)) < 1e-3
        True

    Reference:
        He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", arXiv 1911.05722, eq. 1.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "queue_info_nce",
        gathered: bool = False,
    ):
        super().__init__(reduction=reduction, name=name, dtype="float32")
        check_temperature(temperature)
        self.temperature = temperature
        self.gathered = gathered

    def call(self, keys_and_queue, queries):
        keys, queue, filled = _unpack(keys_and_queue)
        _check_shapes(keys, queue, filled, queries)
        if self.gathered:
            keys, queries = own_rows(keys), own_rows(queries)
        negatives = ops.arange(ops.shape(queue)[0])
        if filled is not None:
            valid = ops.cast(negatives, "float32") < filled
            # Rows never written are zeroed before the product too: 0 x NaN would be NaN in the gradient.
            queue = ops.where(valid[:, None], queue, 0.0)
        q = normalize_frames(queries)
        k = ops.stop_gradient(normalize_frames(keys))
        n = ops.stop_gradient(normalize_frames(queue))
        positive = ops.sum(q * k, axis=-1, keepdims=True) / self.temperature
        negative = ops.matmul(q, ops.transpose(n)) / self.temperature
        if filled is not None:
            # The positive is finite, so the maximum inside the log-sum-exp is, and there is no inf - inf.
            negative = ops.where(valid, negative, -float("inf"))
        candidates = ops.concatenate([positive, negative], axis=-1)
        return ops.logsumexp(candidates, axis=-1) - positive[:, 0]

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature, "gathered": self.gathered}


def _unpack(keys_and_queue):
    if not isinstance(keys_and_queue, (tuple, list)) or len(keys_and_queue) not in (2, 3):
        received = (
            f"{len(keys_and_queue)} tensors"
            if isinstance(keys_and_queue, (tuple, list))
            else f"one {type(keys_and_queue).__name__}"
        )
        raise UserError(
            "QueueInfoNCE expects ((keys, queue), queries) or ((keys, queue, filled), queries). "
            f"Received as first argument: {received}"
        )
    keys, queue, *filled = keys_and_queue
    return keys, queue, filled[0] if filled else None


def _check_shapes(keys, queue, filled, queries):
    if len(queries.shape) != 2 or tuple(keys.shape) != tuple(queries.shape):
        raise UserError(
            "QueueInfoNCE expects keys and queries of equal shape (batch, width). "
            f"Received: {tuple(keys.shape)} and {tuple(queries.shape)}"
        )
    if len(queue.shape) != 2 or queue.shape[-1] != queries.shape[-1]:
        raise UserError(
            f"QueueInfoNCE expects a queue of shape (length, width) with width {queries.shape[-1]}, that of "
            f"the queries. Received: {tuple(queue.shape)}"
        )
    if filled is not None and len(filled.shape) != 0:
        raise UserError(
            "QueueInfoNCE expects the number of filled rows as a scalar. "
            f"Received: a tensor of shape {tuple(filled.shape)}"
        )
