"""How well a Koopman operator predicts frames: the lower level of the bi-level update."""

from __future__ import annotations

import keras
from keras import ops

from bod_keras.decoupling import RIDGE
from bod_keras.errors import UserError, check_choice
from bod_keras.koopman import linalg


@keras.saving.register_keras_serializable("bod_keras")
class KoopmanPrediction(keras.losses.Loss):
    """Squared error of frames predicted by a fitted operator, averaged over frames and width.

    With A the ridge operator of `KoopmanSplit`, X the past and Y the future frames of a clip:

    * ``"cross_clip"``: fit on one view, predict the other of the same video, mean of both directions,
      |X_b A_a - Y_b|^2. One video has one dynamics, so this carries signal.
    * ``"in_sample"``: |X A - Y|^2 on the clip that A was fitted to, mean over both views. The published
      form; with D >= T-1 it is nothing but the effect of the ridge.

    Args:
        kind: as above.
        ridge: as in `KoopmanSplit`; use the same value.

    Call arguments:
        view_a, view_b: (B, T, D) frame embeddings, row i of both from video i.

    Returns:
        Reduced as `reduction` says from one value per video, (B,), float32.

    Raises:
        ValueError: an unknown kind, or too few frames for it.

    Example:
        >>> import numpy as np, bod_keras
        >>> angle = 0.5 * np.arange(8)
        >>> clip = np.stack([np.cos(angle), np.sin(angle)], -1)[None].astype("float32")
        >>> loss = bod_keras.KoopmanPrediction(ridge=1e-6)
        >>> float(loss(clip, clip)) < 1e-4
        True

    Reference:
        arXiv 2407.14069, section on the bi-level optimization; cross-clip prediction is ours.
    """

    def __init__(
        self,
        kind: str = "cross_clip",
        ridge: float = RIDGE,
        reduction: str | None = "sum_over_batch_size",
        name: str = "koopman_prediction",
    ):
        super().__init__(reduction=reduction, name=name, dtype="float32")
        check_choice("kind", kind, ("cross_clip", "in_sample"))
        self.kind = kind
        self.ridge = ridge

    def call(self, view_a, view_b):
        if len(view_a.shape) != 3 or tuple(view_a.shape) != tuple(view_b.shape):
            raise UserError(
                "KoopmanPrediction expects two views of equal shape (batch, time, width). "
                f"Received: {tuple(view_a.shape)} and {tuple(view_b.shape)}"
            )
        if view_a.shape[1] < 2:
            raise UserError(
                "KoopmanPrediction needs at least 2 frames: one frame has no motion. "
                f"Received: {view_a.shape[1]}. Sample longer clips."
            )
        a = linalg.transitions(view_a)
        b = linalg.transitions(view_b)
        # Both directions, or both views, as one batch: small systems cost by their number of calls.
        both = _stack(a, b)
        errors = self._one_step(both, _stack(b, a) if self.kind == "cross_clip" else both)
        return ops.mean(ops.stack(ops.split(errors, 2, axis=0)), axis=0)

    def _one_step(self, fitted, predicted):
        past, future = fitted
        start, target = predicted
        coefficients = ops.matmul(start, linalg.pseudo_inverse(past, self.ridge))
        return _mean_square(ops.matmul(coefficients, future) - target)

    def get_config(self):
        return {**super().get_config(), "kind": self.kind, "ridge": self.ridge}


def _stack(a, b):
    return [ops.concatenate(pair, axis=0) for pair in zip(a, b)]


def _mean_square(x):
    return ops.mean(ops.square(x), axis=(-2, -1))
