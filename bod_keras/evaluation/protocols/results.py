"""Results of several folds and seeds as one, and results as a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from numbers import Real

from bod_keras.evaluation.tables import format_table, summarise

_PARTS = "pooled: time mean of the encoder's features, static and dynamic: the two parts."
_LEGENDS = {"finetune": "classifier: trained with labels on augmented clips."}
_WIDEST = 12  # columns of a table that holds whatever numbers a protocol returned
_COLUMNS = {"diagnose": ("sensitivity", "energy")}  # of a kind's many numbers, those in its table
_BY_PART = ("linear", "knn", "factors", "factors_real")  # kinds whose table has a column a part


def combine(results: Sequence[Mapping]) -> dict:
    """Makes one result of those of several folds and seeds.

    Args:
        results: what a protocol returned for each, with "fold" and "seed"; all of one form.

    Returns:
        Of a single result, that. Otherwise the first, in which each number is the mean over all, with two more
        entries: "deviation", the numbers' standard deviations (n - 1 in the denominator) in the same form,
        and "each", the results as they are.

    Example:

    >>> combined = combine([{"seed": 0, "top1": 0.5}, {"seed": 1, "top1": 0.7}])
    >>> round(combined["top1"], 3), round(combined["deviation"]["top1"], 3), len(combined["each"])
    (0.6, 0.141, 2)
    """
    if len(results) == 1:
        return dict(results[0])
    numbers = [_numbers(result) for result in results]
    return {
        **_reduce(results[0], numbers, statistics.fmean),
        "deviation": _reduce(_only(results[0]), numbers, statistics.stdev),
        "each": [dict(result) for result in results],
    }


def result_tables(runs: Sequence[tuple[str, float | None, Sequence[Mapping]]], kind: str) -> str:
    """Lays out what a protocol gave for some runs.

    Args:
        runs: of each its name, its seconds per training step (None if unknown), and its results, one a fold
            and seed. Runs of one name are averaged, too.
        kind: the protocol's kind.

    Returns:
        Text. Of "linear", "knn", "factors" and "factors_real" the last table has a row for each run and label
        column, and a column for each part.

    Example:

    >>> result = {"factors": {"label": {"pooled": {"R@1": 0.5, "R@5": 0.75}, "chance": 0.5}}}
    >>> print(result_tables([("a", None, [result])], "retrieval").splitlines()[-1])
    a       1  label   0.500  pooled  0.500  0.750
    """
    flat = [
        {"name": name, "seconds_per_step": seconds, **_shown(result)}
        for name, seconds, results in runs
        for result in results
    ]
    summary = summarise(flat)
    first = runs[0][2][0]
    if "factors" not in first:
        names = [key for key in summary[0] if key not in ("name", "runs", "seconds_per_step")]
        names = [n for n in names if n.startswith(_COLUMNS.get(kind, ""))]
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
    if not kind.startswith("factors") and measures:
        tables.append(_by_measure(summary, factors, measures))
    if kind in _BY_PART:
        shown = [m for m in measures if m in ("linear", "knn", "mlp")]
        tables.append(_by_part(summary, factors, shown))
    legend = f"{_LEGENDS.get(kind, _PARTS)} chance: the best\nconstant answer."
    return "\n\n".join([*tables[:-1], f"{legend}\n{tables[-1]}"])


def parts_of(scores: Mapping) -> list[str]:
    """Names the parts of a label column's scores."""
    return [name for name, value in scores.items() if isinstance(value, Mapping) and name != "best"]


def _by_measure(summary, factors, measures) -> str:
    columns = {"name": "run", "runs": "runs", "factor": "label", "chance": "chance", "part": "part"}
    columns |= {measure: measure for measure in measures}
    rows = []
    for factor, scores in factors.items():
        for row in summary:
            for part in parts_of(scores):
                entry = {"name": row["name"], "runs": row["runs"], "factor": factor, "part": part}
                entry["chance"] = row[f"factors.{factor}.chance"][0]
                for measure in measures:
                    entry[measure] = row.get(f"factors.{factor}.{part}.{measure}")
                rows.append(entry)
    return format_table(rows, columns)


def _by_part(summary, factors, measures) -> str:
    parts = list(dict.fromkeys(p for scores in factors.values() for p in parts_of(scores)))
    columns = {"name": "run", "runs": "seeds", "factor": "factor", "chance": "chance"}
    columns |= {f"{p} {m}": f"{m}: {p}" for m in measures for p in parts}
    columns["seconds_per_step"] = "s/step"
    rows = []
    for factor in factors:
        for row in summary:
            entry = {"name": row["name"], "runs": row["runs"], "factor": factor}
            entry["chance"] = row[f"factors.{factor}.chance"][0]
            entry["seconds_per_step"] = row.get("seconds_per_step")  # none in a run of a few steps
            for part in parts:
                for measure in measures:
                    entry[f"{part} {measure}"] = row.get(f"factors.{factor}.{part}.{measure}")
            rows.append(entry)
    return format_table(rows, columns)


def _shown(result: Mapping) -> dict:
    """What a table may show: the factors, or else every number that the protocol returned."""
    if "factors" in result:
        return {"factors": result["factors"]}
    left_out = ("provenance", "views", "crops", "version", "fold", "seed", "modified")
    return {key: value for key, value in result.items() if key not in left_out}


def _numbers(result, prefix=()) -> dict[tuple, float]:
    found = {}
    for key, value in result.items():
        if key in ("fold", "seed", "version", "provenance", "modified"):
            continue
        if isinstance(value, Mapping):
            found |= _numbers(value, (*prefix, key))
        elif isinstance(value, Real) and not isinstance(value, bool):
            found[(*prefix, key)] = float(value)
    return found


def _only(result, prefix=()) -> dict:
    """The numbers alone, in their places."""
    tree: dict = {}
    for place in _numbers(result, prefix):
        branch = tree
        for key in place[:-1]:
            branch = branch.setdefault(key, {})
        branch[place[-1]] = 0.0
    return tree


def _reduce(result, numbers, function, prefix=()) -> dict:
    reduced = {}
    for key, value in result.items():
        place = (*prefix, key)
        if isinstance(value, Mapping):
            reduced[key] = _reduce(value, numbers, function, place)
        elif all(place in found for found in numbers):
            reduced[key] = function([found[place] for found in numbers])
        else:
            reduced[key] = value
    return reduced
