"""Results of several folds and seeds as one, and results as a table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bod_keras.evaluation.protocols._kinds import KINDS
from bod_keras.evaluation.tables import CIRCUMSTANCES, format_table, is_number, summarize

_WIDEST = 12  # columns of a table that holds whatever numbers a protocol returned


def combine(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
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
    measured = [_without_circumstances(result) for result in results]
    return {
        **_replace(results[0], _reduce(measured, statistics.fmean)),
        "deviation": _reduce(measured, statistics.stdev),
        "each": [dict(result) for result in results],
    }


def result_tables(runs: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], kind: str) -> str:
    """Lay out what a protocol gave for some runs.

    Args:
        runs: of each its name and its results, one a fold and seed. Runs of one name are averaged, too.
        kind: the protocol's kind.

    Returns:
        A table. Of results with "factors" it has a row for each run, label column and part; or, of a kind with
        `by_part`, a column for each measure and part.

    Example:
        >>> from bod_keras.evaluation.protocols import result_tables
        >>> result = {"factors": {"label": {"pooled": {"R@1": 0.5, "R@5": 0.75}, "chance": 0.5}}}
        >>> print(result_tables([("a", [result])], "retrieval").splitlines()[-1])
        a       1  label   0.500  pooled  0.500  0.750
    """
    shown, results = KINDS[kind], [(name, result) for name, found in runs for result in found]
    if "factors" not in results[0][1]:
        summary = summarize([{"name": n, **_without_circumstances(r)} for n, r in results])
        names = [name for name in summary[0] if name.startswith(shown.columns or "")]
        names = [name for name in names if name not in ("name", "runs")]
        columns = {"name": "run", "runs": "runs", **{name: name for name in names[:_WIDEST]}}
        return format_table(summary, columns)
    summary = summarize([{"name": n, "factors": result["factors"]} for n, result in results])
    factors = {name: scores for _, r in results for name, scores in r["factors"].items()}
    rows = []
    for factor, scores in factors.items():
        for row in summary:
            about = {"run": row["name"], "runs": row["runs"], "seeds": row["runs"]}
            about |= {"label": factor, "factor": factor}
            about["chance"] = row.get(f"factors.{factor}.chance", (None,))[0]
            parts = {
                part: {m: row.get(f"factors.{factor}.{part}.{m}") for m in scores[part]}
                for part in parts_of(scores)
            }
            if shown.by_part:
                measures = dict.fromkeys(m for values in parts.values() for m in values)
                rows.append(
                    about | {f"{m}: {part}": parts[part].get(m) for m in measures for part in parts}
                )
            else:
                rows += [{**about, "part": part, **values} for part, values in parts.items()]
    left_out = ("runs", "label") if shown.by_part else ("seeds", "factor")
    columns = {n: n for row in rows for n, v in row.items() if n not in left_out and v is not None}
    return f"{shown.legend} chance: the best\nconstant answer.\n{format_table(rows, columns)}"


def parts_of(scores: Mapping[str, Any]) -> list[str]:
    """Return the names of the parts of a label column's scores."""
    return [name for name, value in scores.items() if isinstance(value, Mapping) and name != "best"]


def _without_circumstances(result: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key not in CIRCUMSTANCES}


def _reduce(trees: Sequence[Mapping], function: Callable[[list], float]) -> dict[str, Any]:
    """The numbers that all trees have in the same place, each reduced to one."""
    reduced: dict[str, Any] = {}
    for key in trees[0]:
        values = [tree.get(key) for tree in trees]
        if all(isinstance(value, Mapping) for value in values):
            reduced[key] = _reduce(values, function)
        elif all(is_number(value) for value in values):
            reduced[key] = function(values)
    return {key: value for key, value in reduced.items() if value != {}}


def _replace(tree: Mapping, numbers: Mapping) -> dict[str, Any]:
    """The tree with other numbers in their places."""
    return {
        key: _replace(value, numbers.get(key, {}))
        if isinstance(value, Mapping)
        else numbers.get(key, value)
        for key, value in tree.items()
    }
