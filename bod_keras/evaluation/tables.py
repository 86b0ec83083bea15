"""Text tables: many runs to one row per name, rows to aligned columns."""

from __future__ import annotations

import csv
import math
import os
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from bod_keras.errors import UserError
from bod_keras.flatten import flatten
from bod_keras.storage.atomic_file import atomic_file

# Entries of an evaluation that say how it was made, and are no results.
CIRCUMSTANCES = (
    *("protocol", "version", "modified", "views", "crops", "videos", "fold", "seed"),
    *("skipped", "blocked", "missing", "warnings", "files", "environment", "provenance"),
)


def format_table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | Mapping[str, str]
) -> str:
    """Return rows as a fixed-width text table with a header.

    Text is aligned to the left, everything else to the right. Real numbers have three decimals, a pair
    `(mean, deviation)` reads "0.840 ± 0.020", and "-" means missing, None or NaN.

    Args:
        rows: one mapping per row; entries that no column names are left out.
        columns: names of the entries in their order, or a mapping from name to header.

    Returns:
        Lines joined by newlines, without one at the end.

    Raises:
        UserError: `columns` is empty, or names an entry that none of the rows has.

    Example:
        >>> from bod_keras.evaluation import format_table
        >>> rows = [{"run": "plain", "motion": 0.25}, {"run": "decoupled", "motion": (0.9, 0.02)}]
        >>> print(format_table(rows, {"run": "run", "motion": "motion probe"}))
        run         motion probe
        ---------  -------------
        plain              0.250
        decoupled  0.900 ± 0.020
    """
    headers = dict(columns) if isinstance(columns, Mapping) else {name: name for name in columns}
    known = {name for row in rows for name in row}
    absent = [name for name in headers if name not in known]
    if not headers or (rows and absent):
        raise UserError(
            f"columns must name entries of the rows. Received: {list(headers)}; no row has "
            f"{absent}. The rows have {sorted(known, key=str)}."
        )
    table = []
    for name, header in headers.items():
        values = [row.get(name) for row in rows]
        cells = [_cell(value) for value in values]
        width = max(map(len, [str(header), *cells]))
        is_text = any(isinstance(value, str) for value in values)
        align = str.ljust if is_text else str.rjust
        table.append([align(str(header), width), "-" * width, *(align(c, width) for c in cells)])
    return "\n".join("  ".join(line).rstrip() for line in zip(*table))


def summarize(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per run name: each number's mean and deviation over the runs of that name.

    Numbers of nested dicts are named as `numbers_of` does it; the seed is left out. The deviation is the
    sample's, with n - 1 in the denominator.

    Args:
        runs: mappings with a `"name"` and numbers, for example one per seed. Runs of one name hold the same
            numbers; other names may hold others.

    Returns:
        Dicts in the order in which the names first occur: `"name"`, `"runs"` (their count) and each number's
        `(mean, deviation)`; the deviation of a single run is None.

    Raises:
        UserError: a run has no name, or lacks a number that another run of its name has.

    Example:
        >>> from bod_keras.evaluation import summarize
        >>> summarize([{"name": "a", "seed": 0, "x": 1.0}, {"name": "a", "seed": 1, "x": 3.0}])
        [{'name': 'a', 'runs': 2, 'x': (2.0, 1.4142135623730951)}]
    """
    groups: dict[str, list[dict[str, float]]] = {}
    for position, run in enumerate(runs):
        if "name" not in run:
            raise UserError(
                f'every run must have a "name". Received: {sorted(run, key=str)} in run {position}. '
                "Runs of one name are averaged."
            )
        groups.setdefault(run["name"], []).append(numbers_of(run, without=["seed"]))
    rows = []
    for name, members in groups.items():
        row: dict[str, Any] = {"name": name, "runs": len(members)}
        for metric in dict.fromkeys(metric for member in members for metric in member):
            values = [member[metric] for member in members if metric in member]
            if len(values) < len(members):
                raise UserError(
                    f"runs of one name must hold the same numbers. Received: {metric!r} in "
                    f"{len(values)} of the {len(members)} runs named {name!r}. Leave out runs "
                    "that did not finish."
                )
            spread = statistics.stdev(values) if len(values) > 1 else None
            row[metric] = (statistics.fmean(values), spread)
        rows.append(row)
    return rows


def numbers_of(result: Mapping[str, Any], without: Collection[str] = ()) -> dict[str, float]:
    """Return the numbers of nested dicts under dotted names.

    Args:
        result: nested dicts.
        without: entries of it that are left out.

    Example:
        >>> from bod_keras.evaluation.tables import numbers_of
        >>> numbers_of({"name": "a", "seed": 0, "static": {"chance": 0.1}}, without=["seed"])
        {'static.chance': 0.1}
    """
    kept = {name: value for name, value in result.items() if name not in without}
    return {name: float(value) for name, value in flatten(kept).items() if is_number(value)}


def is_number(value: Any) -> bool:
    """Whether a value is a real number, and not a truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


def write_csv(path: str | os.PathLike, rows: Iterable[Iterable[Any]]) -> None:
    """Write rows to a CSV file, atomically; names that are not UTF-8 are written with escapes."""
    with (
        atomic_file(path) as part,
        open(part, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        csv.writer(file).writerows(rows)


def _cell(value: Any) -> str:
    """One entry as text."""
    if isinstance(value, tuple) and len(value) == 2:
        mean, deviation = map(_cell, value)
        return mean if deviation == "-" else f"{mean} ± {deviation}"
    if value is None or (isinstance(value, Real) and math.isnan(value)):
        return "-"
    if isinstance(value, Real) and not isinstance(value, Integral):
        return f"{value:.3f}"
    return str(value)
