"""Swapped prediction of cluster assignments (SwAV)."""

from __future__ import annotations

import keras
from keras import ops

from bod_keras.errors import UserError
from bod_keras.losses._checks import check_sinkhorn, check_temperature
from bod_keras.losses.sinkhorn import sinkhorn


@keras.saving.register_keras_serializable("bod_keras")
class SwappedPrediction(keras.losses.Loss):
    """Predict the balanced prototype assignment of one view from another view of the same video (SwAV).

    With codes q = sinkhorn(target scores), and t the temperature,

        l_i = -sum_k q_ik log softmax_k(prediction_i / t).

    The codes get no gradient: the prototypes learn from the predicted view.

    Args:
        temperature: t > 0.
        epsilon, iterations: as in `sinkhorn`.

    Call arguments:
        scores_target: (B, K), cosine similarities to K prototypes, not divided by a temperature; or a tuple of
            these and more scores (N, K), such as those of a queue of features or of other replicas: codes are
            balanced over all B + N rows, and only the B are used.
        scores_prediction: (B, K), likewise, of the view that predicts.

    Returns:
        Reduced as `reduction` says from one value per video, (B,), float32. One direction: a framework adds
        the one with the views exchanged.

    Raises:
        ValueError: a temperature or an epsilon that is not positive, no iteration, or scores of different or
            wrong shape.

    Example:
        >>> import numpy as np
        >>> from bod_keras.losses import SwappedPrediction
        >>> scores = np.eye(4, dtype="float32")  # one video per prototype
        >>> float(SwappedPrediction(temperature=0.1)(scores, scores)) < 1e-3
        True

    Reference:
        Caron et al., "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments",
        arXiv 2006.09882, eq. 2.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
        reduction: str | None = "sum_over_batch_size",
        name: str = "swapped_prediction",
    ):
        super().__init__(reduction=reduction, name=name, dtype="float32")
        check_temperature(temperature)
        check_sinkhorn(epsilon, iterations)
        self.temperature = temperature
        self.epsilon = epsilon
        self.iterations = iterations

    def call(self, scores_target, scores_prediction):
        queue = None
        if isinstance(scores_target, (tuple, list)):
            if len(scores_target) != 2:
                raise UserError(
                    "SwappedPrediction expects (scores, prediction) or ((scores, queue), prediction). "
                    f"Received as first argument: {len(scores_target)} tensors"
                )
            scores_target, queue = scores_target
        if len(scores_prediction.shape) != 2 or tuple(scores_target.shape) != tuple(
            scores_prediction.shape
        ):
            raise UserError(
                "SwappedPrediction expects scores of two views of equal shape (batch, prototypes). "
                f"Received: {tuple(scores_target.shape)} and {tuple(scores_prediction.shape)}"
            )
        codes = self._codes(scores_target, queue)
        logits = scores_prediction / self.temperature
        return -ops.sum(codes * ops.log_softmax(logits, axis=-1), axis=-1)

    def _codes(self, scores, queue):
        if queue is None:
            return sinkhorn(scores, self.epsilon, self.iterations)
        if len(queue.shape) != 2 or queue.shape[-1] != scores.shape[-1]:
            raise UserError(
                f"SwappedPrediction expects a queue of shape (length, {scores.shape[-1]}), with as many "
                f"prototypes as the scores. Received: {tuple(queue.shape)}"
            )
        joint = ops.concatenate([scores, queue], axis=0)
        return sinkhorn(joint, self.epsilon, self.iterations)[: ops.shape(scores)[0]]

    def get_config(self):
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "epsilon": self.epsilon,
            "iterations": self.iterations,
        }
