"""Results of several folds and seeds as one, and results as a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from numbers import Real

from bod_keras.evaluation.protocols._kinds import KINDS
from bod_keras.evaluation.tables import CIRCUMSTANCES, format_table, numbers_of, summarize

_WIDEST = 12  # columns of a table that holds whatever numbers a protocol returned


def combine(results: Sequence[Mapping]) -> dict:
    """Make one result of those of several folds and seeds.

    Args:
        results: what a protocol returned for each, with "fold" and "seed"; all of one form.

    Returns:
        Of a single result, that. Otherwise the first, in which each number is the mean over all, with two more
        entries: "deviation", the numbers' standard deviations (n - 1 in the denominator) in the same form,
        and "each", the results as they are.

    Example:

    >>> from bod_keras.evaluation.protocols import combine
    >>> combined = combine([{"seed": 0, "top1": 0.5}, {"seed": 1, "top1": 0.7}])
    >>> round(combined["top1"], 3), round(combined["deviation"]["top1"], 3), len(combined["each"])
    (0.6, 0.141, 2)
    """
    if len(results) == 1:
        return dict(results[0])
    numbers = [numbers_of(result, CIRCUMSTANCES) for result in results]
    return {
        **_reduced(results[0], numbers, statistics.fmean),
        "deviation": _reduced(_only(results[0], numbers[0]), numbers, statistics.stdev),
        "each": [dict(result) for result in results],
    }


def result_tables(runs: Sequence[tuple[str, float | None, Sequence[Mapping]]], kind: str) -> str:
    """Lay out what a protocol gave for some runs.

    Args:
        runs: of each its name, its seconds per training step (None if unknown), and its results, one a fold
            and seed. Runs of one name are averaged, too.
        kind: the protocol's kind.

    Returns:
        Text. Of a kind with `by_part` the last table has a row for each run and label
        column, and a column for each part.

    Example:

    >>> from bod_keras.evaluation.protocols import result_tables
    >>> result = {"factors": {"label": {"pooled": {"R@1": 0.5, "R@5": 0.75}, "chance": 0.5}}}
    >>> print(result_tables([("a", None, [result])], "retrieval").splitlines()[-1])
    a       1  label   0.500  pooled  0.500  0.750
    """
    flat = [
        {"name": name, "seconds_per_step": seconds, **_shown(result)}
        for name, seconds, results in runs
        for result in results
    ]
    shown_of = KINDS[kind]
    summary = summarize(flat)
    first = runs[0][2][0]
    if "factors" not in first:
        names = [key for key in summary[0] if key not in ("name", "runs", "seconds_per_step")]
        names = [n for n in names if n.startswith(shown_of.columns or "")]
        columns = {"name": "run", "runs": "runs", **{n: n for n in names[:_WIDEST]}}
        return format_table(summary, columns)
    factors = {
        column: scores
        for _, _, results in runs
        for result in results
        for column, scores in result["factors"].items()
    }
    tables = []
    measures = list(
        dict.fromkeys(
            measure
            for scores in factors.values()
            for part in parts_of(scores)
            for measure, value in scores[part].items()
            if isinstance(value, Real)
        )
    )
    if shown_of.by_measure and measures:
        tables.append(_by_measure(summary, factors, measures))
    if shown_of.by_part:
        shown = [m for m in measures if m in ("linear", "knn", "mlp")]
        tables.append(_by_part(summary, factors, shown))
    legend = f"{shown_of.legend} chance: the best\nconstant answer."
    return "\n\n".join([*tables[:-1], f"{legend}\n{tables[-1]}"])


def parts_of(scores: Mapping) -> list[str]:
    """Return the names of the parts of a label column's scores."""
    return [name for name, value in scores.items() if isinstance(value, Mapping) and name != "best"]


def _rows(summary, factors) -> list[dict]:
    """For each label column and run: what both tables show of it."""
    return [
        {
            "name": row["name"],
            "runs": row["runs"],
            "factor": factor,
            "chance": row[f"factors.{factor}.chance"][0],
            "seconds_per_step": row.get("seconds_per_step"),  # none in a run of a few steps
            "scores": {
                (part, measure): row.get(f"factors.{factor}.{part}.{measure}")
                for part in parts_of(scores)
                for measure in scores[part]
            },
        }
        for factor, scores in factors.items()
        for row in summary
    ]


def _by_measure(summary, factors, measures) -> str:
    columns = {"name": "run", "runs": "runs", "factor": "label", "chance": "chance", "part": "part"}
    columns |= {measure: measure for measure in measures}
    rows = [
        {**row, "part": part, **{m: row["scores"].get((part, m)) for m in measures}}
        for row in _rows(summary, factors)
        for part in dict.fromkeys(part for part, _ in row["scores"])
    ]
    return format_table(rows, columns)


def _by_part(summary, factors, measures) -> str:
    parts = list(dict.fromkeys(p for scores in factors.values() for p in parts_of(scores)))
    columns = {"name": "run", "runs": "seeds", "factor": "factor", "chance": "chance"}
    cells = {f"{p} {m}": (p, m) for m in measures for p in parts}
    columns |= {name: f"{m}: {p}" for name, (p, m) in cells.items()}
    columns["seconds_per_step"] = "s/step"
    rows = [
        {**row, **{name: row["scores"].get(cell) for name, cell in cells.items()}}
        for row in _rows(summary, factors)
    ]
    return format_table(rows, columns)


def _shown(result: Mapping) -> dict:
    """What a table may show: the factors, or else every number that the protocol returned."""
    if "factors" in result:
        return {"factors": result["factors"]}
    return {key: value for key, value in result.items() if key not in CIRCUMSTANCES}


def _only(tree: Mapping, numbers: Mapping, prefix: str = "") -> dict:
    """The numbers alone, in their places."""
    found = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            if inner := _only(value, numbers, f"{prefix}{key}."):
                found[key] = inner
        elif f"{prefix}{key}" in numbers:
            found[key] = value
    return found


def _reduced(tree: Mapping, numbers: Sequence[Mapping], function, prefix: str = "") -> dict:
    """The tree with each number that all results have reduced to one."""
    reduced = {}
    for key, value in tree.items():
        place = f"{prefix}{key}"
        if isinstance(value, Mapping):
            reduced[key] = _reduced(value, numbers, function, f"{place}.")
        elif all(place in found for found in numbers):
            reduced[key] = function([found[place] for found in numbers])
        else:
            reduced[key] = value
    return reduced
