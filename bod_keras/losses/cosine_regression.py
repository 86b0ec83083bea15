"""Cosine regression onto a target embedding (BYOL, SimSiam)."""

from __future__ import annotations

import keras
from keras import ops

from bod_keras.errors import UserError
from bod_keras.koopman.linalg import normalize_frames


@keras.saving.register_keras_serializable("bod_keras")
class CosineRegression(keras.losses.Loss):
    """Squared distance of the normalized prediction p_i to the normalized target z_i (BYOL),

        l_i = 2 - 2 cos(p_i, z_i),

    between 0 and 4. The target gets no gradient. SimSiam's -cos(p_i, z_i) is l_i / 2 - 1: the same up to a
    factor of 2, which the learning rate takes up, and a constant.

    Call arguments:
        target, prediction: (B, D) embeddings, row i of both from video i; they need not be normalized.

    Returns:
        Reduced as `reduction` says from one value per video, (B,), float32. One direction: a framework adds
        the one with the views exchanged.

    Raises:
        ValueError: target and prediction of different or wrong shape.

    Example:
        >>> import numpy as np
        >>> from bod_keras.losses import CosineRegression
        >>> rows = np.eye(4, dtype="float32")
        >>> float(CosineRegression()(rows, 3 * rows)), float(CosineRegression()(rows, -rows))
        (0.0, 4.0)

    Reference:
        Grill et al., "Bootstrap Your Own Latent", arXiv 2006.07733, eq. 2; Chen and He, "Exploring Simple
        Siamese Representation Learning", arXiv 2011.10566, eq. 1.
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "cosine_regression"
    ):
        super().__init__(reduction=reduction, name=name, dtype="float32")

    def call(self, target, prediction):
        if len(prediction.shape) != 2 or tuple(target.shape) != tuple(prediction.shape):
            raise UserError(
                "CosineRegression expects target and prediction of equal shape (batch, width). "
                f"Received: {tuple(target.shape)} and {tuple(prediction.shape)}"
            )
        z = ops.stop_gradient(normalize_frames(target))
        return 2.0 - 2.0 * ops.sum(z * normalize_frames(prediction), axis=-1)
