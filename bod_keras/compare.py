"""Put runs side by side: in which settings they differ, and what every evaluation gave.

python -m bod_keras.compare runs/*
python -m bod_keras.compare runs/demo-plain-seed0 runs/demo-bod-seed0 --only='*linear' --csv=runs.csv

A run is a folder with report.json, as train.py and evaluate.py leave it. First come the settings that are
not the same in all runs: of training, of its software and machine, of every evaluation. Where one protocol
was run on other videos, with other settings or in another version, a line says so: such numbers are not
comparable.
"""

import argparse
import csv
import fnmatch
import json
import re
import shutil
import sys
from collections.abc import Sequence

from bod_keras.errors import UserError
from bod_keras.evaluation.comparison import compare_runs, read_reports
from bod_keras.evaluation.tables import format_table
from bod_keras.storage.atomic_file import atomic_file
from bod_keras.storage.clean_exit import clean_exit

_CELL = 28  # characters of a setting in a table; a CSV file has all


def main(argv: Sequence[str]) -> None:
    """Print the tables of the runs that the arguments name."""
    summary, _, rest = __doc__.partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m bod_keras.compare",
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--only",
        action="append",
        metavar="PATTERN",
        help="results to show, as '*linear'; repeatable",
    )
    parser.add_argument("--csv", metavar="FILE", help="write everything to a CSV file, a row a run")
    options = parser.parse_args(argv)
    try:
        text = _compared(options)
    except (OSError, ValueError) as error:
        sys.exit(f"python -m bod_keras.compare: {error}")
    print(text)


def _compared(options) -> str:
    """Reads, writes the CSV file, and returns what to print."""
    reports, left_out = read_reports(options.runs)
    if not reports:
        raise UserError(
            f"none of {', '.join(left_out)} is a run: a run's folder holds report.json, which train.py "
            "writes. Name such folders, as runs/*."
        )
    settings, results, warnings = compare_runs(reports)
    results = _chosen(results, options.only)
    lines = [f"Left out, for want of report.json: {', '.join(left_out)}"] if left_out else []
    lines += [f"{len(reports)} runs." if len(reports) > 1 else "1 run.", *warnings, ""]
    if len(settings[0]) > 1:
        lines += ["What differs:", "", *_tables(settings, _short)]
    elif len(reports) > 1:
        lines += ["They do not differ in any setting.", ""]
    if len(results[0]) > 1:
        lines += ["Results:", "", *_tables(results)]
    else:
        lines += ["No evaluation yet: python evaluate.py --model=RUN", ""]
    if options.csv:
        with (
            atomic_file(options.csv) as part,
            open(part, "w", newline="", encoding="utf-8") as file,
        ):
            rows = [{**one, **other} for one, other in zip(settings, results)]
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        lines.append(f"Written: {options.csv}")
    return "\n".join(lines).rstrip()


def _chosen(results: list[dict], patterns: Sequence[str] | None) -> list[dict]:
    """Returns the results without those that no pattern matches."""
    if not patterns:
        return results
    names = list(results[0])[1:]
    chosen = [n for n in names if any(fnmatch.fnmatchcase(n, pattern) for pattern in patterns)]
    if not chosen:
        raise UserError(
            f"--only={' --only='.join(patterns)} matches no result. There are: {', '.join(names)}."
        )
    return [{name: row[name] for name in ("run", *chosen)} for row in results]


def _short(value) -> str | None:
    """Returns a setting as a short text."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    if re.fullmatch("[0-9a-f]{40,}", text):  # a hash
        return text[:8]
    return text if len(text) <= _CELL else f"{text[: _CELL - 3]}..."


def _tables(rows: list[dict], show=lambda value: value) -> list[str]:
    """Returns tables with a row for each entry and a column for each run, no wider than the terminal."""
    names = list(rows[0])[1:]
    lines = [{"": name} | {row["run"]: show(row[name]) for row in rows} for name in names]
    width = shutil.get_terminal_size((120, 24)).columns
    blocks, chosen = [], [""]
    for run in list(lines[0])[1:]:
        if len(chosen) > 1 and len(format_table(lines, [*chosen, run]).split("\n")[1]) > width:
            blocks.append(chosen)
            chosen = [""]
        chosen = [*chosen, run]
    return [line for block in [*blocks, chosen] for line in (format_table(lines, block), "")]


if __name__ == "__main__":
    with clean_exit():
        main(sys.argv[1:])
