"""Variance-invariance-covariance regularization (VICReg)."""

from __future__ import annotations

import keras
from keras import ops

from bod_keras.errors import UserError
from bod_keras.losses._checks import check_several, check_views


@keras.saving.register_keras_serializable("bod_keras")
class VICReg(keras.losses.Loss):
    """Pull two views together while every dimension keeps its spread and no two dimensions agree (VICReg).

    For embeddings A, B (B, D) of two views, with Cov the unbiased covariance over the batch,

        l    = invariance mean_ij (A_ij - B_ij)^2 + variance [v(A) + v(B)] + covariance [c(A) + c(B)],
        v(Z) = 1/D sum_j max(0, gamma - sqrt(Cov(Z)_jj + epsilon)),
        c(Z) = 1/D sum_{j != k} Cov(Z)_jk^2.

    This is the paper's algorithm 1. The authors' code halves v(A) + v(B): `variance=12.5` gives its loss.

    These are statistics of the batch, so the loss is ONE value, not one per video. Under data
    parallelism gather the embeddings of all replicas before the call, differentiably: every replica then
    computes the loss of the joint batch, Keras' reduction divides it by their number, and their gradients add
    up to that of one device. Without gathering each replica regularizes its own small batch, which is a
    different loss.

    Args:
        invariance, variance, covariance: weights of the three terms, >= 0.
        gamma: standard deviation below which a dimension is pushed apart, > 0.
        epsilon: added to the variances, > 0; bounds the gradient of a dimension that has collapsed.

    Call arguments:
        view_a, view_b: (B, D) embeddings, row i of both from video i, B >= 2; not normalized.

    Returns:
        A float32 scalar; (1,) with `reduction=None`.

    Raises:
        ValueError: an argument out of its range, views of different or wrong shape, or a batch of one video.

    Example:
        >>> import numpy as np
        >>> from bod_keras.losses import VICReg
        >>> view = 2.0 * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], "float32")
        >>> float(VICReg()(view, view))  # equal views, wide and uncorrelated dimensions
        0.0

    Reference:
        Bardes et al., "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning",
        arXiv 2105.04906, eq. 1 to 6 and algorithm 1.
    """

    def __init__(
        self,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        gamma: float = 1.0,
        epsilon: float = 1e-4,
        reduction: str | None = "sum_over_batch_size",
        name: str = "vicreg",
    ):
        super().__init__(reduction=reduction, name=name, dtype="float32")
        weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
        for argument, value in weights.items():
            if not value >= 0:
                raise UserError(f"{argument} must not be negative. Received: {value}")
        for argument, value in {"gamma": gamma, "epsilon": epsilon}.items():
            if not value > 0:
                raise UserError(f"{argument} must be positive. Received: {value}")
        self.invariance = invariance
        self.variance = variance
        self.covariance = covariance
        self.gamma = gamma
        self.epsilon = epsilon

    def call(self, view_a, view_b):
        check_views("VICReg", view_a, view_b)
        check_several("VICReg", view_a)
        loss = self.invariance * ops.mean(ops.square(view_a - view_b))
        for view in (view_a, view_b):
            spread, agreement = self._statistics(view)
            loss = loss + self.variance * spread + self.covariance * agreement
        # Not a scalar: Keras would not divide that by the number of replicas, whose gradients it adds.
        return ops.reshape(loss, (1,))

    def _statistics(self, view):
        """v and c of one view."""
        centered = view - ops.mean(view, axis=0)
        covariance = ops.matmul(ops.transpose(centered), centered)
        # A batch of one video is refused; where its size is known too late for that, it must not spoil weights.
        others = ops.maximum(ops.cast(ops.shape(view)[0], "float32") - 1.0, 1.0)
        covariance = covariance / others
        deviation = ops.sqrt(ops.diagonal(covariance) + self.epsilon)
        # Not `view.shape`: gathered over replicas, even the width may be unknown while tracing.
        off_diagonal = covariance * (1.0 - ops.eye(ops.shape(view)[1], dtype="float32"))
        return (
            ops.mean(ops.relu(self.gamma - deviation)),
            ops.mean(ops.sum(ops.square(off_diagonal), axis=1)),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "invariance": self.invariance,
            "variance": self.variance,
            "covariance": self.covariance,
            "gamma": self.gamma,
            "epsilon": self.epsilon,
        }
