"""How well a Koopman operator predicts frames: the lower level of the bi-level update."""

import keras
from keras import ops

from bod_keras.errors import UserError
from bod_keras.koopman import linalg

_KINDS = ("cross_clip", "held_out", "in_sample")


@keras.saving.register_keras_serializable("bod_keras")
class KoopmanPrediction(keras.losses.Loss):
    """Squared error of frames predicted by a fitted operator, averaged over frames and width.

    With A the ridge operator of `KoopmanSplit`, X the past and Y the future frames of a clip:

    * ``"cross_clip"``: fit on one view, predict the other of the same video, mean of both directions,
      |X_b A_a - Y_b|^2. One video has one dynamics, so this carries signal.
    * ``"held_out"``: fit on the first half of a clip's transitions, then predict the remaining frames one
      after the other from the last fitted one, x A^k. Mean over both views. Needs T >= 3.
    * ``"in_sample"``: |X A - Y|^2 on the clip that A was fitted to, mean over both views. The published
      form; with D >= T-1 it is nothing but the effect of the ridge.

    Args:
        kind: as above.
        ridge, normalize: as in `KoopmanSplit`; use the same values.

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
        >>> loss = bod_keras.KoopmanPrediction("held_out", ridge=1e-6)
        >>> float(loss(clip, clip)) < 1e-4
        True

    Reference:
        arXiv 2407.14069, section on the bi-level optimisation; cross-clip and held-out prediction are ours.
    """

    def __init__(
        self,
        kind="cross_clip",
        ridge=1e-2,
        normalize=True,
        reduction="sum_over_batch_size",
        name="koopman_prediction",
    ):
        super().__init__(reduction=reduction, name=name, dtype="float32")
        if kind not in _KINDS:
            raise UserError(
                f"kind must be one of {', '.join(map(repr, _KINDS))}. Received: {kind!r}"
            )
        self.kind = kind
        self.ridge = ridge
        self.normalize = normalize

    def call(self, view_a, view_b):
        fewest = 3 if self.kind == "held_out" else 2
        if len(view_a.shape) != 3 or tuple(view_a.shape) != tuple(view_b.shape):
            raise UserError(
                "KoopmanPrediction expects two views of equal shape (batch, time, width). "
                f"Received: {tuple(view_a.shape)} and {tuple(view_b.shape)}"
            )
        if view_a.shape[1] < fewest:
            raise UserError(
                f'KoopmanPrediction("{self.kind}") needs at least {fewest} frames. '
                f"Received: {view_a.shape[1]}. Sample longer clips."
            )
        a = linalg.transitions(view_a, self.normalize)
        b = linalg.transitions(view_b, self.normalize)
        # Both directions, or both views, as one batch: small systems cost by their number of calls.
        both = _stack(a, b)
        if self.kind == "cross_clip":
            errors = self._one_step(both, _stack(b, a))
        elif self.kind == "in_sample":
            errors = self._one_step(both, both)
        else:
            errors = self._roll_out(*both)
        return ops.mean(ops.stack(ops.split(errors, 2, axis=0)), axis=0)

    def _one_step(self, fitted, predicted):
        past, future = fitted
        gram = linalg.regularised_gram(past, self.ridge)
        start, target = predicted
        coefficients = ops.matmul(start, ops.swapaxes(past, -1, -2))
        operator_rows = linalg.solve(gram, future)
        return _mean_square(ops.matmul(coefficients, operator_rows) - target)

    def _roll_out(self, past, future):
        fitted = past.shape[-2] // 2
        rest = past.shape[-2] - fitted
        x, y = past[:, :fitted], future[:, :fitted]
        gram = linalg.regularised_gram(x, self.ridge)
        matrix = linalg.reduced_operator(x, y, gram)
        # x A^k = x X^+ M^(k-1) Y: only the row of coefficients x X^+ M^(k-1) is rolled on.
        cross = ops.matmul(x, ops.swapaxes(past[:, fitted : fitted + 1], -1, -2))
        row = ops.swapaxes(linalg.solve(gram, cross), -1, -2)
        error = 0.0
        for k in range(rest):
            if k:
                row = ops.matmul(row, matrix)
            target = future[:, fitted + k : fitted + k + 1]
            error = error + _mean_square(ops.matmul(row, y) - target)
        return error / rest

    def get_config(self):
        return {
            **super().get_config(),
            "kind": self.kind,
            "ridge": self.ridge,
            "normalize": self.normalize,
        }


def _stack(a, b):
    return [ops.concatenate(pair, axis=0) for pair in zip(a, b)]


def _mean_square(x):
    return ops.mean(ops.square(x), axis=(-2, -1))
