"""Redundancy reduction by the cross-correlation of two views (Barlow Twins)."""

from __future__ import annotations

import keras
from keras import ops

from bod_keras.errors import UserError
from bod_keras.losses._checks import check_several, check_views


@keras.saving.register_keras_serializable("bod_keras")
class BarlowTwins(keras.losses.Loss):
    """Bring the cross-correlation matrix of two views to the identity (Barlow Twins).

    With every dimension of the views A, B (B, D) standardized over the batch, (x - mean) / sqrt(var + epsilon),

        C = A' B / B,      l = sum_j (1 - C_jj)^2 + off_diagonal sum_{j != k} C_jk^2.

    Correlations are statistics of the batch, so the loss is ONE value, not one per video (see `VICReg`).

    Args:
        off_diagonal: weight of the redundancy, >= 0.
        epsilon: added to the variances, > 0; a dimension that has collapsed correlates with nothing.

    Call arguments:
        view_a, view_b: (B, D) embeddings, row i of both from video i, B >= 2; not normalized.

    Returns:
        A float32 scalar; (1,) with `reduction=None`.

    Raises:
        ValueError: an argument out of its range, views of different or wrong shape, or a batch of one video.

    Example:
        >>> import numpy as np
        >>> from bod_keras.losses import BarlowTwins
        >>> view = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], "float32")
        >>> float(BarlowTwins()(view, 3.0 * view)) < 1e-6  # uncorrelated dimensions, the same in both
        True

    Reference:
        Zbontar et al., "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", arXiv 2103.03230,
        eq. 1 and 2.
    """

    def __init__(
        self,
        off_diagonal: float = 5e-3,
        epsilon: float = 1e-5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "barlow_twins",
    ):
        super().__init__(reduction=reduction, name=name, dtype="float32")
        if not off_diagonal >= 0:
            raise UserError(f"off_diagonal must not be negative. Received: {off_diagonal}")
        if not epsilon > 0:
            raise UserError(f"epsilon must be positive. Received: {epsilon}")
        self.off_diagonal = off_diagonal
        self.epsilon = epsilon

    def call(self, view_a, view_b):
        check_views("BarlowTwins", view_a, view_b)
        check_several("BarlowTwins", view_a)
        a, b = self._standardize(view_a), self._standardize(view_b)
        correlation = ops.matmul(ops.transpose(a), b) / ops.cast(ops.shape(a)[0], "float32")
        # Not `view_a.shape`: gathered over replicas, even the width may be unknown while tracing.
        identity = ops.eye(ops.shape(a)[1], dtype="float32")
        weight = identity + self.off_diagonal * (1.0 - identity)
        loss = ops.sum(weight * ops.square(correlation - identity))
        # Not a scalar: Keras would not divide that by the number of replicas, whose gradients it adds.
        return ops.reshape(loss, (1,))

    def _standardize(self, view):
        centered = view - ops.mean(view, axis=0)
        return centered * ops.rsqrt(ops.mean(ops.square(centered), axis=0) + self.epsilon)

    def get_config(self):
        return {
            **super().get_config(),
            "off_diagonal": self.off_diagonal,
            "epsilon": self.epsilon,
        }
