"""Whether the parts react to a change of the clip as they should."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bod_keras.errors import UserError

_LEAST_REPLACED = 0.05  # of the pixels: less of another background is no test
_SHOULD = (
    ("shuffled", "static", False, "the static part must not change when frames are shuffled"),
    ("shuffled", "dynamic", True, "the dynamic part must change when frames are shuffled"),
    ("background", "static", True, "the static part must change with the background"),
    ("background", "dynamic", False, "the dynamic part must not change with the background"),
)


def sensitivity_verdicts(
    moved: Mapping[str, Mapping[str, float]],
    replaced: float,
    changed: float = 0.5,
    unchanged: float = 0.25,
) -> list[str]:
    """Return a sentence for each of four expectations: it holds, does not hold, is unclear or was not tested.

    Args:
        moved: from a change ("shuffled", "background") to part to its `sensitivity`.
        replaced: share of the pixels that the other background replaced; below 0.05, as where the camera
            moves, expectations about the background were not tested.
        changed: sensitivity from which on a part counts as changed.
        unchanged: sensitivity up to which it counts as unchanged; below `changed`.

    Example:
        >>> from bod_keras.evaluation.verdicts import sensitivity_verdicts
        >>> moved = {change: {"static": 0.1, "dynamic": 0.9} for change in ("shuffled", "background")}
        >>> for verdict in sensitivity_verdicts(moved, replaced=0.8): print(verdict)
        holds: the static part must not change when frames are shuffled (0.10, at most 0.25)
        holds: the dynamic part must change when frames are shuffled (0.90, at least 0.50)
        does not hold: the static part must change with the background (0.10, at least 0.50)
        does not hold: the dynamic part must not change with the background (0.90, at most 0.25)
    """
    if not 0 <= unchanged < changed:
        raise UserError(
            f"unchanged must be below changed. Received: unchanged={unchanged}, changed={changed}."
        )
    sentences = []
    for change, part, must, expectation in _SHOULD:
        value = moved[change][part]
        limit = f"at least {changed:.2f}" if must else f"at most {unchanged:.2f}"
        said = f"{expectation} ({value:.2f}, {limit})"
        if change == "background" and replaced < _LEAST_REPLACED:
            verdict = "not tested"
            said = f"{expectation}; only {replaced:.1%} of the pixels were taken for background"
        elif math.isnan(value):
            verdict = "does not hold"
            said = f"{expectation}; the part is the same for all videos"
        elif unchanged < value < changed:
            verdict = "unclear"
        else:
            verdict = "holds" if (value >= changed) == must else "does not hold"
        sentences.append(f"{verdict}: {said}")
    return sentences
