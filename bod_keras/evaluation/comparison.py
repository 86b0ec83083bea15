"""Runs side by side: in which settings they differ, how they ended, and what every evaluation gave."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bod_keras.errors import UserError
from bod_keras.evaluation.report import read_report
from bod_keras.evaluation.tables import CIRCUMSTANCES, numbers_of
from bod_keras.flatten import flatten
from bod_keras.storage.run_folder import RunFolder

_SECTION = "evaluation_"
# What differs in every run and says nothing, or is the run's name.
_PASSED_OVER = ("name", "output", "environment.time_utc", "environment.git.dirty", "seconds")
# Columns of history.csv that tell runs apart; each as it was last.
_MEASURED = re.compile("loss|val_loss|(linear|knn|rankme)_.*")
# Of an evaluation: what makes two numbers of one protocol comparable.
_COMPARABLE = ("protocol", "data", "views", "crops", "videos")


def compare_runs(
    reports: Mapping[str, Mapping[str, Any]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """Return what differs between runs, and what was measured.

    Args:
        reports: name of a run to the content of its report.json.

    Returns:
        Settings: one dict a run, from "run" to its name and from each setting that is not the same in all to
        its value, None where a run lacks it. Results: the same with the numbers, "linear: label.pooled" and so
        on; "training: loss" is the last one of the history. Warnings: a sentence for each protocol whose
        numbers are not comparable.

    Raises:
        UserError: there is no run.

    Example:
        >>> from bod_keras.evaluation import compare_runs
        >>> reports = {name: {"config": {"seed": 0, "decoupled": name == "b"}} for name in "ab"}
        >>> reports["b"]["evaluation_knn"] = {"accuracy": 0.5}
        >>> settings, results, warnings = compare_runs(reports)
        >>> settings
        [{'run': 'a', 'decoupled': False}, {'run': 'b', 'decoupled': True}]
        >>> results
        [{'run': 'a', 'knn: accuracy': None}, {'run': 'b', 'knn: accuracy': 0.5}]
    """
    if not reports:
        raise UserError("reports must hold at least one run. Received: none.")
    settings = {run: _settings(report) for run, report in reports.items()}
    results = {run: _results(report) for run, report in reports.items()}
    differing: dict[tuple, str] = {}
    incomparable: dict[str, list[str]] = {}
    for key in _names(settings):
        protocol, _, name = key.rpartition(": ")
        # An evaluation is compared with those of the runs that have it.
        having = [run for run in reports if not protocol or _SECTION + protocol in reports[run]]
        values = [json.dumps(settings[run].get(key)) for run in having]
        if len(set(values)) < 2 or name in _PASSED_OVER:
            continue
        if protocol and name.split(".")[0] in _COMPARABLE:
            incomparable.setdefault(protocol, []).append(name)
        # Often an evaluation only repeats what is said of training, or of another evaluation.
        differing.setdefault((name, *zip(having, values)), key)
    warnings = [
        f"The numbers of {protocol} are not comparable between all runs: they differ in "
        f"{', '.join(names)}."
        for protocol, names in incomparable.items()
    ]
    return _rows(settings, differing.values()), _rows(results, _names(results)), warnings


def read_reports(folders: Iterable[str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Read the reports of runs.

    Args:
        folders: runs' folders, local or remote.

    Returns:
        Name to report, the name being the folder's where no two are equal, else its path; and the folders that
        hold no report.json.

    Raises:
        UserError: a report is damaged (the file is named).
    """
    found, left_out = {}, []
    for where in dict.fromkeys(str(folder).rstrip("/") for folder in folders):
        folder = RunFolder(where)
        try:
            folder.pull("report.json")
            found[where] = read_report(folder.path / "report.json")
        except (FileNotFoundError, NotADirectoryError):
            left_out.append(where)
        finally:
            folder.close()
    names = [Path(where).name for where in found]
    short = {where: name for where, name in zip(found, names) if names.count(name) == 1}
    return {short.get(where, where): report for where, report in found.items()}, left_out


def _settings(report: Mapping) -> dict[str, Any]:
    """The settings of training, its environment, and each evaluation's settings."""
    found = flatten(report.get("config", {}))
    found |= flatten(report.get("environment", {}), "environment.")
    for protocol, content in _evaluations(report):
        made = {key: content[key] for key in ("views", "crops", "videos") if key in content}
        made |= content.get("provenance", {})
        found |= flatten(made, f"{protocol}: ")
    return found


def _results(report: Mapping) -> dict[str, float]:
    """What the history ends with, and the numbers of every evaluation, under "protocol: dotted name"."""
    history = report.get("history")
    ends = {
        f"training: {name}": column.get("last")
        for name, column in (history if isinstance(history, Mapping) else {}).items()
        if _MEASURED.fullmatch(name) and isinstance(column, Mapping)
    }
    return ends | {
        f"{protocol}: {name}": value
        for protocol, content in _evaluations(report)
        for name, value in numbers_of(content, CIRCUMSTANCES).items()
    }


def _evaluations(report: Mapping) -> list[tuple[str, Mapping]]:
    """Name and content of the report's evaluations."""
    return [
        (section.removeprefix(_SECTION), content)
        for section, content in report.items()
        if section.startswith(_SECTION) and isinstance(content, Mapping)
    ]


def _names(runs: Mapping[str, Mapping]) -> list[str]:
    """The names that occur in any run, each once, in the order of their first occurrence."""
    return list(dict.fromkeys(name for values in runs.values() for name in values))


def _rows(runs: Mapping[str, Mapping], names: Iterable[str]) -> list[dict[str, Any]]:
    names = list(names)
    return [{"run": run, **{n: values.get(n) for n in names}} for run, values in runs.items()]
