"""InfoNCE with in-batch negatives."""

from __future__ import annotations

import keras
from keras import ops

from bod_keras.backend.replicas import own_rows
from bod_keras.koopman.linalg import normalize_frames
from bod_keras.losses._checks import check_several, check_temperature, check_views


@keras.saving.register_keras_serializable("bod_keras")
class InfoNCE(keras.losses.Loss):
    """Contrast two views of the same videos against all other clips of the batch (NT-Xent).

    For clip i of view a, with s the cosine similarity and t the temperature,

        l(a_i) = -log( exp(s(a_i, b_i)/t) / [ sum_j exp(s(a_i, b_j)/t) + sum_{j != i} exp(s(a_i, a_j)/t) ] )

    and the loss of video i is the mean of l(a_i) and l(b_i). Identical embeddings give log(2B - 1).

    Args:
        temperature: t > 0.
        gathered: whether, in a step of several replicas, the views hold the rows of all of them, as
            `replicas.gather` puts them together. Each replica then computes the values of its own videos alone,
            against all others: the work is divided, and the mean over replicas is that of the joint batch.

    Call arguments:
        view_a, view_b: (B, D) embeddings, row i of both from video i; they need not be normalized.

    Returns:
        Reduced as `reduction` says from one value per video, (B,), float32; of R replicas (B / R,) if
        `gathered`.

    Raises:
        ValueError: a temperature that is not positive, views of different or wrong shape, or a batch of one
            video, which has no negatives.

    Example:
        >>> import numpy as np, bod_keras
        >>> views = np.eye(4, dtype="float32")
        >>> float(bod_keras.InfoNCE(temperature=0.1)(views, views)) < 1e-3
        True

    Reference:
        Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations",
        arXiv 2002.05709, eq. 1.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "info_nce",
        gathered: bool = False,
    ):
        super().__init__(reduction=reduction, name=name, dtype="float32")
        check_temperature(temperature)
        self.temperature = temperature
        self.gathered = gathered

    def call(self, view_a, view_b):
        check_views("InfoNCE", view_a, view_b)
        check_several("InfoNCE", view_a)
        a, b = normalize_frames(view_a), normalize_frames(view_b)
        return 0.5 * (self._direction(a, b) + self._direction(b, a))

    def _direction(self, view, other):
        numbers = ops.arange(ops.shape(view)[0])
        own, own_numbers = (own_rows(x) if self.gathered else x for x in (view, numbers))
        across, within = (
            ops.matmul(own, ops.transpose(x)) / self.temperature for x in (other, view)
        )
        # The clip itself is no candidate: its own entry is masked before the log-sum-exp.
        itself = ops.equal(own_numbers[:, None], numbers[None])
        within = ops.where(itself, -float("inf"), within)
        candidates = ops.concatenate([across, within], axis=-1)
        positive = ops.sum(ops.where(itself, across, 0.0), axis=-1)
        return ops.logsumexp(candidates, axis=-1) - positive

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature, "gathered": self.gathered}
