"""Runs side by side: in which settings they differ, and what every evaluation gave."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from bod_keras.errors import UserError
from bod_keras.evaluation.tables import CIRCUMSTANCES, numbers_of
from bod_keras.flatten import flatten
from bod_keras.storage.run_folder import RunFolder

_SECTION = "evaluation_"
# What differs in every run and says nothing, or is the run's name.
_PASSED_OVER = ("name", "output", "environment.time_utc", "environment.git.dirty", "seconds")
# Of an evaluation: what makes two numbers of one protocol comparable.
_COMPARABLE = ("protocol", "data", "views", "crops", "videos")


def compare_runs(reports: Mapping[str, Mapping]) -> tuple[list[dict], list[dict], list[str]]:
    """Returns what differs between runs, and what was measured.

    Args:
        reports: name of a run to the content of its report.json.

    Returns:
        `(settings, results, warnings)`. Settings: one dict a run, from "run" to its name and from each
        setting that is not the same in all to its value, None where a run lacks it. Results: the same
        with the numbers, "linear: label.pooled" and so on. Warnings: a sentence for each protocol whose
        numbers are not comparable.

    Raises:
        ValueError: if there is no run.

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
        raise UserError("reports must hold at least one run, received none.")
    circumstances = {name: _circumstances(report) for name, report in reports.items()}
    results = {name: _results(report) for name, report in reports.items()}
    differing, shown, incomparable = [], set(), {}
    for key in _keys(circumstances.values()):
        protocol, _, name = key.rpartition(": ")
        # An evaluation is compared with those of the runs that have it.
        having = [
            run for run, report in reports.items() if not protocol or _SECTION + protocol in report
        ]
        values = [json.dumps(circumstances[run].get(key)) for run in having]
        if len(set(values)) == 1 or name in _PASSED_OVER:
            continue
        if protocol and name.split(".")[0] in _COMPARABLE:
            incomparable.setdefault(protocol, []).append(name)
        # Often an evaluation only repeats what is said of training, or of another evaluation.
        said = (name, *zip(having, values))
        if said not in shown:
            differing.append(key)
            shown.add(said)
    warnings = [
        f"The numbers of {protocol} are not comparable between all runs: they differ in "
        f"{', '.join(names)}."
        for protocol, names in incomparable.items()
    ]
    return (
        [{"run": n, **{k: circumstances[n].get(k) for k in differing}} for n in reports],
        [{"run": n, **{k: results[n].get(k) for k in _keys(results.values())}} for n in reports],
        warnings,
    )


def read_reports(folders: Iterable[str]) -> tuple[dict[str, dict], list[str]]:
    """Reads the reports of runs.

    Args:
        folders: runs' folders, local or remote.

    Returns:
        `(reports, left_out)`: name to report, the name being the folder's where no two are equal, else
        its path; and the folders that hold no report.json.

    Raises:
        ValueError: if a report is damaged (the file is named).

    Example:

    >>> from bod_keras.evaluation import read_reports
    >>> read_reports(["nowhere"])
    ({}, ['nowhere'])
    """
    found, left_out = {}, []
    for where in dict.fromkeys(str(folder).rstrip("/") for folder in folders):
        folder = RunFolder(where)
        try:
            folder.pull("report.json")
            file = folder.path / "report.json"
            if file.is_file():
                found[where] = _read(file, where)
            else:
                left_out.append(where)
        finally:
            folder.close()
    names = [Path(where).name for where in found]
    reports = {
        Path(where).name if names.count(Path(where).name) == 1 else where: report
        for where, report in found.items()
    }
    return reports, left_out


def _read(file: Path, where: str) -> dict:
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(
            f"{where}/report.json is damaged ({error}). Restore it, or leave the run out."
        ) from error
    if not isinstance(report, dict):
        raise UserError(
            f"{where}/report.json must hold a JSON object, received a {type(report).__name__}. "
            "Leave the folder out."
        )
    return report


def _circumstances(report: Mapping) -> dict:
    """Returns the settings of training, its environment, and each evaluation's settings."""
    found = flatten(report.get("config", {}))
    found |= flatten(report.get("environment", {}), "environment.")
    for section, content in _evaluations(report):
        made = {key: content[key] for key in ("views", "crops", "videos") if key in content}
        made |= content.get("provenance", {})
        found |= {f"{section}: {key}": value for key, value in flatten(made).items()}
    return found


def _results(report: Mapping) -> dict:
    """Returns the numbers of every evaluation, under "protocol: dotted name"."""
    return {
        f"{section}: {key}": value
        for section, content in _evaluations(report)
        for key, value in numbers_of(content, CIRCUMSTANCES).items()
    }


def _evaluations(report: Mapping) -> list[tuple[str, Mapping]]:
    """Returns name and content of the report's evaluations."""
    return [
        (section.removeprefix(_SECTION), content)
        for section, content in report.items()
        if section.startswith(_SECTION) and isinstance(content, Mapping)
    ]


def _keys(rows: Iterable[Mapping]) -> list:
    """Returns the keys of all rows, each once, in the order of their first occurrence."""
    return list(dict.fromkeys(key for row in rows for key in row))
