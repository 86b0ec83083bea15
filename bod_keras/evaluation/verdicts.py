"""What the reactions of the parts to a changed clip say of them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bod_keras.errors import UserError

# Of the pixels: less of another background is no test, and more leaves nothing of the clip.
_LEAST_REPLACED, _MOST_REPLACED = 0.05, 0.95
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
            moves, or above 0.95, as where nothing does, expectations about the background were not tested.
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
        if change == "background" and not _LEAST_REPLACED <= replaced <= _MOST_REPLACED:
            verdict = "not tested"
            said = f"{expectation}; {replaced:.1%} of the pixels were taken for background"
        elif math.isnan(value):
            verdict = "does not hold"
            said = f"{expectation}; the part is the same for all videos"
        elif unchanged < value < changed:
            verdict = "unclear"
        else:
            verdict = "holds" if (value >= changed) == must else "does not hold"
        sentences.append(f"{verdict}: {said}")
    return sentences


_KEPT = 0.5  # of what is above chance: from there on a condition counts as enough
_KNOWS = 0.1  # above chance: less of ordered clips is no knowledge


def bias_verdicts(
    rows: Mapping[str, Mapping[str, Mapping[str, float]]], replaced: float
) -> list[str]:
    """Return a sentence for each part: by what it knows classes, and what it loses with the background.

    A condition keeps (accuracy - chance) / (accuracy of ordered clips - chance). Half is enough: of the first
    frame, the part reads appearance; of appearance-free clips, motion.

    Args:
        rows: of the table of the protocol "bias": condition -> part -> ``{"top1": share}``, and its "chance".
        replaced: share of the pixels that another background replaced.

    Example:
        >>> from bod_keras.evaluation.verdicts import bias_verdicts
        >>> accuracies = {"ordered": 0.9, "first_frame": 0.9, "appearance_free": 0.5, "background": 0.5}
        >>> rows = {name: {"static": {"top1": a}, "chance": 0.5} for name, a in accuracies.items()}
        >>> for verdict in bias_verdicts(rows, replaced=0.8): print(verdict)
        static: appearance (of 0.90, chance 0.50: the first frame keeps 100 %, motion alone 0 %)
        static: with another background 0.50 of 0.90 is left (background)
    """
    sentences = []
    for part in rows["ordered"]:
        if part == "chance":
            continue
        usual, base = rows["ordered"][part]["top1"], rows["ordered"]["chance"]
        if usual - base < _KNOWS:
            sentences.append(f"{part}: nothing ({usual:.2f}, chance {base:.2f})")
            continue
        kept = {
            name: (rows[name][part]["top1"] - rows[name]["chance"]) / (usual - base)
            for name in ("first_frame", "appearance_free")
            if name in rows
        }
        reads = [
            what
            for what, name in (("appearance", "first_frame"), ("motion", "appearance_free"))
            if kept.get(name, 0.0) >= _KEPT
        ]
        still = max(0.0, kept["first_frame"])
        said = f"the first frame keeps {still:.0%}".replace("%", " %")
        if "appearance_free" in kept:
            moving = max(0.0, kept["appearance_free"])
            said += f", motion alone {moving:.0%}".replace("%", " %")
        elif not reads:
            reads = ["more than a still"]
        name = " and ".join(reads) or "neither a still nor motion alone"
        sentences.append(f"{part}: {name} (of {usual:.2f}, chance {base:.2f}: {said})")
        swapped = "action_swap" if "action_swap" in rows else "background"
        if swapped == "background" and not _LEAST_REPLACED <= replaced <= _MOST_REPLACED:
            sentences.append(
                f"{part}: another background was not tested, {replaced:.1%} of the pixels were replaced"
            )
        else:
            left = rows[swapped][part]["top1"]
            sentences.append(
                f"{part}: with another background {left:.2f} of {usual:.2f} is left ({swapped})"
            )
    return sentences
