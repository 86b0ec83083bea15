"""Can each part's own factors be predicted from it, and not the other's?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bod_keras.errors import UserError

_PREDICTS, _IGNORES = 0.5, 0.1  # excess over chance from which on, and up to which


def factor_table(
    factors: Mapping[str, Mapping],
    static: Sequence[str],
    dynamic: Sequence[str],
    measures: Sequence[str] = ("linear", "mlp"),
) -> tuple[dict, list[str]]:
    """Return which static and dynamic factors are predicted from both parts, as a table and in words.

    Accuracies of factors with few and with many classes are put on one scale,

        excess = (accuracy - chance) / (1 - chance),

    0 for an answer that is always the same, 1 for one that is always right. A part predicts a factor from 0.5
    on and does not predict it up to 0.1; between them it partly predicts it. The largest excess over the
    measures counts, so that a part is not called free of a factor because one kind of probe does not find it.

    Args:
        factors: as `factor_probes` returns it, with the parts "static" and "dynamic".
        static, dynamic: names of the factors of either kind.
        measures: which of its measures to take.

    Returns:
        `(table, sentences)`. Table: from measure to part ("static", "dynamic") to factor to the excess.
        Sentences: one for each part.

    Raises:
        ValueError: if a factor, a part or a measure is not there, or chance is 1.

    Example:
        >>> from bod_keras.evaluation import factor_table
        >>> scores = {"linear": 0.9}, {"linear": 0.1}
        >>> digit = {"static": scores[0], "dynamic": scores[1], "chance": 0.1}
        >>> motion = {"static": scores[1], "dynamic": scores[0], "chance": 0.1}
        >>> table, words = factor_table({"digit": digit, "motion": motion}, ["digit"], ["motion"], ["linear"])
        >>> round(table["linear"]["static"]["digit"], 3), table["linear"]["dynamic"]["digit"]
        (0.889, 0.0)
        >>> print(words[0])  # doctest: +ELLIPSIS
        static part: predicts digit (0.900, chance 0.100), ... motion (0.100, chance 0.100), as it should.
    """
    kinds = {"static": list(static), "dynamic": list(dynamic)}
    wanted = [*kinds["static"], *kinds["dynamic"]]
    for factor in wanted:
        cells = factors.get(factor, {})
        absent = [part for part in kinds if part not in cells]
        absent += [m for m in measures if any(m not in cells.get(part, {m}) for part in kinds)]
        if absent or not cells.get("chance", 1) < 1:
            raise UserError(
                f"The table of factors needs both parts, {', '.join(measures)} of each and a chance below 1 "
                f"for the factor {factor!r}, which lacks {absent or 'that'}; the factors are {list(factors)}."
            )
    table = {
        measure: {
            part: {factor: _excess(factors[factor], part, measure) for factor in wanted}
            for part in kinds
        }
        for measure in measures
    }
    return table, [_sentence(factors, kinds, part, measures) for part in kinds]


def _excess(cells: Mapping, part: str, measure: str) -> float:
    return float((cells[part][measure] - cells["chance"]) / (1 - cells["chance"]))


def _sentence(factors: Mapping, kinds: Mapping, part: str, measures: Sequence[str]) -> str:
    """What a part predicts, its own factors first, and whether that is as it should be."""
    other = "dynamic" if part == "static" else "static"
    said, right = [], True
    for kind in (part, other):
        for factor in kinds[kind]:
            cells = factors[factor]
            best = max(measures, key=lambda measure: cells[part][measure])
            excess = _excess(cells, part, best)
            does = "predicts" if excess >= _PREDICTS else "partly predicts"
            verb = "does not predict" if excess <= _IGNORES else does
            right &= verb == ("predicts" if kind == part else "does not predict")
            said.append(f"{verb} {factor} ({cells[part][best]:.3f}, chance {cells['chance']:.3f})")
    return f"{part} part: {', '.join(said)}, {'as it should' if right else 'NOT as it should'}."
