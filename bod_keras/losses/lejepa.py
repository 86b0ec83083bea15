"""Invariance of views and isotropic Gaussian embeddings (LeJEPA)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from bod_keras.errors import UserError
from bod_keras.losses._checks import check_views

# The points t and their weights: the trapezoidal rule times the Gaussian window exp(-t^2 / 2).
_POINTS = np.linspace(-5.0, 5.0, 17)
_GAUSSIAN = np.exp(-(_POINTS**2) / 2)
_WEIGHTS = (_POINTS[1] - _POINTS[0]) * _GAUSSIAN
_WEIGHTS[[0, -1]] /= 2


@keras.saving.register_keras_serializable("bod_keras")
class LeJEPA(keras.losses.Loss):
    """Pull two views together while the embeddings of each stay standard normal (LeJEPA).

    For embeddings A, B (B, D) of two views,

        l    = (1 - weight) mean_ij (A_ij - B_ij)^2 / 4 + weight [g(A) + g(B)] / 2,
        g(Z) = mean_a B sum_t w_t |1/B sum_i exp(i t <a, z_i>) - exp(-t^2 / 2)|^2,

    SIGReg, the Epps-Pulley test of the projections on random unit vectors a. The sum is the trapezoidal
    rule with a Gaussian window, 17 points t from -5 to 5. The first term is the mean squared distance of both
    views to their mean.

    These are statistics of the batch, so the loss is ONE value, not one per video (see `VICReg`).

    Args:
        weight: of SIGReg, in [0, 1].
        slices: how many random vectors.
        seed: an integer: every call has the same vectors. None: each draws its own, by `seed_generator`, which
            a model must hold as an attribute.

    Call arguments:
        view_a, view_b: (B, D) embeddings, row i of both from video i; not normalized.

    Returns:
        A float32 scalar; (1,) with `reduction=None`.

    Raises:
        ValueError: an argument out of its range, or views of different or wrong shape.

    Example:
        >>> import numpy as np
        >>> from bod_keras.losses import LeJEPA
        >>> wide = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
        >>> loss = LeJEPA(seed=0)
        >>> float(loss(wide, wide)) < float(loss(0 * wide, 0 * wide))  # collapse costs more
        True

    Reference:
        Balestriero, LeCun, "LeJEPA: Provable and Scalable Self-Supervised Learning Without the Heuristics",
        arXiv 2511.08544, algorithm 1.
    """

    def __init__(
        self,
        weight: float = 0.05,
        slices: int = 256,
        seed: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "lejepa",
    ):
        super().__init__(reduction=reduction, name=name, dtype="float32")
        if not 0 <= weight <= 1:
            raise UserError(f"weight must lie in [0, 1] (0.05 is usual). Received: {weight}")
        if slices < 1:
            raise UserError(f"slices must be at least 1. Received: {slices}")
        self.weight = weight
        self.slices = slices
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator() if seed is None else None

    def call(self, view_a, view_b):
        check_views("LeJEPA", view_a, view_b)
        distance = ops.mean(ops.square(view_a - view_b)) / 4
        vectors = self.vectors(view_a.shape[-1])
        normality = (sigreg(view_a, vectors) + sigreg(view_b, vectors)) / 2
        # Not a scalar: Keras would not divide that by the number of replicas, whose gradients it adds.
        return ops.reshape((1 - self.weight) * distance + self.weight * normality, (1,))

    def vectors(self, width: int) -> Any:
        """Draw unit vectors, (width, slices)."""
        seed = self.seed_generator if self.seed is None else self.seed
        vectors = keras.random.normal((width, self.slices), dtype="float32", seed=seed)
        return vectors / ops.norm(vectors, axis=0)

    def get_config(self):
        return {
            **super().get_config(),
            "weight": self.weight,
            "slices": self.slices,
            "seed": self.seed,
        }


def sigreg(embeddings: Any, vectors: Any) -> Any:
    """g(Z) of embeddings (B, D) and unit vectors (D, S), a scalar."""
    angles = ops.matmul(embeddings, vectors)[..., None] * ops.cast(_POINTS, "float32")
    real = ops.mean(ops.cos(angles), axis=0) - ops.cast(_GAUSSIAN, "float32")
    imaginary = ops.mean(ops.sin(angles), axis=0)
    error = (ops.square(real) + ops.square(imaginary)) * ops.cast(_WEIGHTS, "float32")
    return ops.cast(ops.shape(embeddings)[0], "float32") * ops.mean(ops.sum(error, axis=-1))
