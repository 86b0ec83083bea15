"""How much of a label a small neural network reads from frozen features."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from bod_keras.evaluation.probes.held_out import choose
from bod_keras.feature_checks import check_split

_CHOICES = ((32, 10.0), (128, 10.0), (128, 0.1))  # width and L2 penalty, the smallest network first
_EPOCHS = 100


def mlp_probe(
    train_x: ArrayLike,
    train_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    seed: int = 0,
) -> float:
    """Return the test accuracy of a network with one hidden layer on standardized features.

    softmax(W_2 relu(W_1 x + b_1) + b_2), trained by Adam (learning rate 0.001, batches of up to 200) for at
    most 100 epochs. Its width and its L2 penalty are chosen as the penalty of `linear_probe` (ties, or no class
    with two samples: the earlier choice). What it predicts and `linear_probe` does not is in the features, but
    not linearly.

    Args:
        train_x, train_y, test_x, test_y: as of `linear_probe`.
        seed: of the draw of the quarter, the first weights and the order of the batches.

    Returns:
        Share of test samples that are classified correctly, in [0, 1].

    Raises:
        UserError: as `linear_probe`.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation import mlp_probe
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(400, 2))
        >>> y = (x[:, 0] * x[:, 1] > 0).astype(int)  # no line separates these
        >>> mlp_probe(x[:300], y[:300], x[300:], y[300:]) > 0.9
        True

    Reference:
        On probes that are not linear, and why they have to be small: Hewitt and Liang, "Designing and
        Interpreting Probes with Control Tasks", arXiv 1909.03368.
    """
    train_x, train_y, test_x, test_y = check_split(train_x, train_y, test_x, test_y)

    def answers(choice, x, y, new) -> np.ndarray:
        return _fit(x, y, *choice, seed)(new)

    chosen = choose(_CHOICES, _CHOICES[0], answers, train_x, train_y, seed)
    return float(np.mean(answers(chosen, train_x, train_y, test_x) == test_y))


def _fit(x, y, width: int, penalty: float, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from features to the classes that a trained network answers."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x)
    network = MLPClassifier(
        (width,), alpha=penalty, batch_size=min(200, len(x)), max_iter=_EPOCHS, random_state=seed
    )
    with warnings.catch_warnings():
        # That it could learn more is no fault: the number of epochs is part of the probe.
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(scaler.transform(x).astype(np.float32), y)
    return lambda new: network.predict(scaler.transform(new).astype(np.float32))
