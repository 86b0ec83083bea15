"""Multinomial logistic regression on the device that Keras uses."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from keras import ops
from scipy.optimize import minimize

_ROWS_AT_ONCE = 65536  # of the logits that exist at a time
_TOLERANCE = 1e-5  # of the largest entry of the mean loss's gradient; scikit-learn's is 1e-4
_ITERATIONS = 2000


def fit_logistic_regression(
    x, y, classes: int, strengths: Sequence[float]
) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
    """Fits a classifier for each strength of the penalty, the features being moved to the device once.

    It minimises scikit-learn's objective (`sklearn.linear_model.LogisticRegression`),

        L(W, b) = 1/N sum_i -log softmax(W x_i + b)[y_i] + a / (2 C N) |W|^2,

    a = 2 for two classes, where scikit-learn penalises one weight vector instead of two, else 1. L-BFGS
    from zero weights, over all samples, its loss and gradient computed with Keras in float32. L is strictly
    convex in W, so the result depends on no seed, and a second run is equal as far as the device's products
    are.

    Args:
        x: features (N, K), standardised.
        y: classes (N,), integers 0 to `classes` - 1.
        classes: their number, at least 2.
        strengths: the C of each fit.

    Returns:
        An iterator over functions from features (M, K) to probabilities (M, classes), float64.

    Raises:
        RuntimeError: if a fit does not converge.

    Example:

    >>> x = np.array([[-1.0], [1.0]])
    >>> (predict,) = fit_logistic_regression(x, np.array([0, 1]), 2, [1.0])
    >>> predict(x).argmax(axis=1).tolist()
    [0, 1]
    """
    x, y = np.asarray(x, np.float32), np.asarray(y)
    blocks = [
        (ops.convert_to_tensor(x[rows]), ops.convert_to_tensor(np.eye(classes, dtype="f")[y[rows]]))
        for rows in _blocks(len(x))
    ]
    for strength in strengths:
        penalty = (2 if classes == 2 else 1) / (strength * len(x))
        solution = minimize(
            _loss_and_gradient,
            np.zeros((x.shape[1] + 1) * classes),
            args=(blocks, len(x), penalty),
            jac=True,
            method="L-BFGS-B",
            options={"gtol": _TOLERANCE, "ftol": 0.0, "maxiter": _ITERATIONS, "maxfun": 10**6},
        )
        yield _predictor(_checked(solution, strength, penalty).reshape(-1, classes))


def _loss_and_gradient(flat, blocks, samples, penalty):
    """The objective and its gradient; the last row of the weights holds the biases."""
    classes = blocks[0][1].shape[1]
    weights = flat.reshape(-1, classes)
    kernel, bias = ops.convert_to_tensor(weights.astype("float32")), weights[-1].astype("float32")
    loss, gradient = 0.0, np.zeros_like(weights)
    for x, target in blocks:
        log_p = ops.log_softmax(ops.matmul(x, kernel[:-1]) + bias)
        error = ops.exp(log_p) - target
        # Summed in float64: a line search compares losses that hardly differ.
        loss -= np.sum(ops.convert_to_numpy(ops.sum(log_p * target, axis=1)), dtype=np.float64)
        gradient[:-1] += ops.convert_to_numpy(ops.matmul(ops.transpose(x), error))
        gradient[-1] += ops.convert_to_numpy(ops.sum(error, axis=0))
    gradient /= samples
    gradient[:-1] += penalty * weights[:-1]
    loss = loss / samples + penalty / 2 * float(np.sum(weights[:-1] ** 2))
    return loss, gradient.ravel()


def _checked(solution, strength, penalty) -> np.ndarray:
    """The weights, if the search ended at its tolerance, or near it at the resolution of float32."""
    gradient = float(np.abs(solution.jac).max())
    # A strong penalty curves the objective, and multiplies the weights' rounding in its gradient.
    enough = 10 * _TOLERANCE * max(1.0, penalty)
    if not solution.success and not gradient < enough:
        raise RuntimeError(
            f"Logistic regression with C={strength:g} did not converge: after {solution.nit} steps the largest "
            f"entry of the gradient is {gradient:.1e}, expected below {enough:.1e} ({solution.message}). Use "
            'solver="lbfgs", and look at the range of the features.'
        )
    return solution.x


def _predictor(weights: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    def predict(x):
        x = np.asarray(x, np.float32)
        kernel, bias = weights[:-1].astype("float32"), weights[-1].astype("float32")
        parts = [
            ops.convert_to_numpy(ops.softmax(ops.matmul(x[rows], kernel) + bias))
            for rows in _blocks(len(x))
        ]
        return np.concatenate(parts).astype(np.float64)

    return predict


def _blocks(rows: int) -> list[slice]:
    return [slice(start, start + _ROWS_AT_ONCE) for start in range(0, rows, _ROWS_AT_ONCE)]
