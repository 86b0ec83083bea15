"""How much of a representation is about what stays, what moves, or neither."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from bod_keras.errors import UserError
from bod_keras.feature_checks import check_features, check_widths


def dimension_shares(
    original: ArrayLike, same_static: ArrayLike, same_dynamic: ArrayLike
) -> dict[str, float]:
    """Return estimated shares of a representation's dimensions that are static, dynamic and residual.

    By pairs of clips that share one factor alone,

        rho_f  = sum_d mean_i (a_id - mu_a,d) (b_id - mu_b,d) / sum_d sigma_a,d sigma_b,d
        shares = softmax(rho_dynamic, rho_static, 1)

    so that a representation which one factor alone decides has at most the share e / (2 e + 1) = 0.42 of it,
    with 0.16 of the other: compare them with each other.

    Args:
        original: of N different videos, (N, K), N at least 2.
        same_static: of the same videos, changed so that their motion is another one.
        same_dynamic: of the same videos, changed so that their appearance is another one.

    Returns:
        ``{"static", "dynamic", "residual"}``, which add up to 1; NaN where all videos have one representation.

    Raises:
        ValueError: shapes disagree, there is one video, or values are not finite.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation import dimension_shares
        >>> looks = np.array([[0.0], [1.0], [0.0], [1.0]])  # 1 under another motion, 0 under another appearance
        >>> shares = dimension_shares(looks, looks, looks[[1, 1, 0, 0]])
        >>> {name: round(share, 2) for name, share in shares.items()}
        {'static': 0.42, 'dynamic': 0.16, 'residual': 0.42}

    Reference:
        Islam et al., "Shape or Texture", ICLR 2021; Kowal et al., "A Deeper Dive Into What Deep Spatiotemporal
        Networks Encode", CVPR 2022, arXiv 2206.02846.
    """
    original = check_features(original, "original")
    scores = []
    for name, changed in (("same_dynamic", same_dynamic), ("same_static", same_static)):
        changed = check_features(changed, name)
        check_widths(original, changed, f"original and {name}")
        if len(original) != len(changed) or len(original) < 2:
            raise UserError(
                f"original and {name} must be of the same videos, two or more. Received: {len(original)} and "
                f"{len(changed)}. Pass the clips in one order."
            )
        spreads = np.sum(original.std(axis=0) * changed.std(axis=0))
        one, other = original - original.mean(axis=0), changed - changed.mean(axis=0)
        least = 1e-12 * max(np.mean(original**2), np.mean(changed**2))
        scores.append(np.sum(np.mean(one * other, axis=0)) / spreads if spreads > least else np.nan)
    weights = np.exp([*scores, 1.0])
    dynamic, static, residual = weights / weights.sum()
    return {"static": float(static), "dynamic": float(dynamic), "residual": float(residual)}


def all_shares(features: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, dict[str, float]]:
    """Return `dimension_shares` of every layer and part.

    Args:
        features: "original", "shuffled" (the same appearance) and "appearance" (the same motion), each from the
            name of a layer or part to (N, K).
    """
    return {
        name: dimension_shares(values, features["shuffled"][name], features["appearance"][name])
        for name, values in features["original"].items()
    }
