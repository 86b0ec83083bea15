"""Put runs side by side: in which settings they differ, how they ended, and what every evaluation gave.

bod-keras compare runs/*
bod-keras compare runs/demo-plain-seed0 runs/demo-bod-seed0 --only='*linear' --csv=runs.csv

A run is a folder with report.json, as train.py and evaluate.py leave it. First come the settings that are
not the same in all runs: of training, of its software and machine, of every evaluation. Where one protocol
was run on other videos, with other settings or in another version, a line says so: such numbers are not
comparable.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from bod_keras.argument_parser import argument_parser
from bod_keras.errors import UserError
from bod_keras.storage.clean_exit import clean_exit

_CELL = 28  # characters of a setting in a table; a CSV file has all


def main(argv: Sequence[str], name: str = "python -m bod_keras.compare") -> None:
    """Print the tables of the runs that the arguments name."""
    parser = argument_parser(name, __doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder")
    only = "results to show, as '*linear'; repeatable"
    parser.add_argument("--only", action="append", metavar="PATTERN", help=only)
    parser.add_argument("--csv", metavar="FILE", help="write everything to a CSV file, a row a run")
    options = parser.parse_args(argv)
    try:
        print(compare_folders(options.runs, options.only or ["*"], options.csv))
    except (OSError, UserError) as error:
        sys.exit(f"{name}: {error}")


def compare_folders(
    folders: Sequence[str], patterns: Sequence[str] = ("*",), table: str | None = None
) -> str:
    """Return the tables of runs as text.

    Args:
        folders: of the runs.
        patterns: which results, as ``"*linear"``.
        table: path of a CSV file to write them to as well.

    Raises:
        UserError: none is a run, or no result matches.
    """
    from bod_keras.evaluation.comparison import compare_runs, read_reports
    from bod_keras.evaluation.tables import write_csv

    reports, left_out = read_reports(folders)
    if not reports:
        raise UserError(
            f"none of {', '.join(left_out)} is a run: a run's folder holds report.json, which train.py "
            "writes. Name such folders, as runs/*."
        )
    settings, results, warnings = compare_runs(reports)
    known = list(results[0])[1:]
    chosen = [name for name in known if any(fnmatch.fnmatchcase(name, p) for p in patterns)]
    if known and not chosen:
        raise UserError(
            f"--only={' --only='.join(patterns)} matches no result. There are: {', '.join(known)}."
        )
    lines = (
        [f"Left out, because they have no report.json: {', '.join(left_out)}"] if left_out else []
    )
    lines += [f"{len(reports)} runs." if len(reports) > 1 else "1 run.", *warnings, ""]
    if len(settings[0]) > 1:
        short = [{name: _short(name, row[name]) for name in row} for row in settings]
        lines += ["What differs:", "", *_tables(short)]
    elif len(reports) > 1:
        lines += ["They do not differ in any setting.", ""]
    if chosen:
        shown = [{name: row[name] for name in ("run", *chosen)} for row in results]
        lines += ["Results:", "", *_tables(shown)]
    else:
        lines += ["No evaluation yet: python evaluate.py --model=RUN", ""]
    if table:
        columns = [*settings[0], *chosen]
        rows = [{**one, **other} for one, other in zip(settings, results)]
        write_csv(table, [columns, *([row[name] for name in columns] for row in rows)])
        lines.append(f"Written: {table}")
    return "\n".join(lines).rstrip()


def _tables(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Tables with a row for each entry and a column for each run, no wider than the terminal."""
    from bod_keras.evaluation.tables import format_table

    names = [name for name in runs[0] if name != "run"]
    lines = [{"": name} | {run["run"]: run[name] for run in runs} for name in names]
    width = shutil.get_terminal_size((120, 24)).columns
    blocks = [[""]]
    for run in runs:
        wider = [*blocks[-1], run["run"]]
        if len(blocks[-1]) > 1 and len(format_table(lines, wider).split("\n")[1]) > width:
            blocks.append(["", run["run"]])
        else:
            blocks[-1] = wider
    return [line for block in blocks for line in (format_table(lines, block), "")]


def _short(name: str, value: Any) -> str | None:
    """A setting as a short text, the run's name as it is."""
    text = value if isinstance(value, str) else json.dumps(value)
    if name == "run" or value is None:
        return value
    if re.fullmatch("[0-9a-f]{40,}", text):  # a hash
        return text[:8]
    return text if len(text) <= _CELL else f"{text[: _CELL - 3]}..."


if __name__ == "__main__":
    with clean_exit():
        main(sys.argv[1:])
