"""Balanced soft assignments by the Sinkhorn-Knopp algorithm (SwAV)."""

from __future__ import annotations

from typing import Any

from keras import ops

from bod_keras.errors import UserError
from bod_keras.losses._checks import check_sinkhorn


def sinkhorn(scores: Any, epsilon: float = 0.05, iterations: int = 3) -> Any:
    """Assign samples to prototypes so that every prototype is used equally much.

    From Q = exp(scores / epsilon), `iterations` times: scale the columns to equal sums, then the rows to sum 1.
    This converges to the Q with rows of sum 1 and columns of sum B/K that maximizes

        <Q, scores> + epsilon entropy(Q).

    Everything is done on log Q in float32, so that nothing overflows; the codes get no gradient.

    Args:
        scores: (B, K), similarity of B samples to K prototypes.
        epsilon: weight of the entropy, > 0; smaller is harder.
        iterations: at least 1; SwAV uses 3.

    Returns:
        Codes (B, K), float32, rows of sum 1.

    Raises:
        ValueError: scores that are not a matrix, an epsilon that is not positive, or no iteration.

    Example:
        >>> import numpy as np
        >>> from keras import ops
        >>> from bod_keras.losses import sinkhorn
        >>> scores = np.array([[0.9, 0.8], [0.9, 0.1]], "float32")  # both prefer prototype 0
        >>> ops.convert_to_numpy(sinkhorn(scores)).argmax(axis=1).tolist()
        [1, 0]

    Reference:
        Caron et al., "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments",
        arXiv 2006.09882, eq. 3 to 5; Cuturi, "Sinkhorn Distances", arXiv 1306.0895.
    """
    check_sinkhorn(epsilon, iterations)
    if len(scores.shape) != 2:
        raise UserError(
            f"sinkhorn expects scores of shape (batch, prototypes). Received: {tuple(scores.shape)}"
        )
    log_q = ops.stop_gradient(ops.cast(scores, "float32")) / epsilon
    rows = 0.0
    for _ in range(iterations):
        # Only the scales are updated: rounding errors of an updated log Q would add up in one direction. A
        # common factor of the columns is undone by the rows; without one the scales do not grow.
        columns = ops.logsumexp(log_q - rows, axis=0, keepdims=True)
        columns = columns - ops.mean(columns)
        rows = ops.logsumexp(log_q - columns, axis=1, keepdims=True)
    return ops.exp(log_q - columns - rows)
