"""Search embedded videos: what looks like one, what moves like one, what is a duplicate.

bod-keras search library QUERY.mp4 --by=motion --top=20
bod-keras search library QUERY.mp4 --by=both:0.7 --output=found.csv
bod-keras search library --appearance=A.mp4 --motion=B.mp4
bod-keras search library --duplicates

The search is exact. By both, each similarity is standardized over the library before they are weighted; the
weight is that of motion. Rows of the query's own file are left out; a copy under another name is not
(docs/library.md).
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bod_keras.argument_parser import argument_parser
from bod_keras.commands.console.embed import seconds, shown
from bod_keras.commands.run_command import run_command
from bod_keras.errors import UserError

_DIGITS = {"start": 1, "end": 1}


def main(argv: Sequence[str], name: str = "bod-keras search") -> None:
    """Run the command.

    Args:
        argv: its arguments.
        name: what messages call it.
    """
    options = _parse(argv, name)
    run_command(name, lambda: _search(options))


def _search(options: argparse.Namespace) -> None:
    from bod_keras.library.library_file import read_library

    if options.output and Path(options.output).suffix not in (".csv", ".json"):
        raise UserError(f"--output must end in .csv or .json. Received: {options.output}")
    at = None if options.at is None else seconds("at", options.at)
    library = read_library(options.library)
    if options.duplicates is not None:
        rows = _duplicates(library, options)
    else:
        from bod_keras.library.searching import search

        found = search(
            library,
            options.query,
            by=options.by,
            top=options.top,
            appearance=options.appearance,
            motion=options.motion,
            at=at,
            itself=options.itself,
            run=options.run,
        )
        rows = [
            {
                "rank": rank,
                "score": match.score,
                **match.similarities,
                "path": match.path,
                "start": match.start,
                "end": match.end,
                "label": match.label,
            }
            for rank, match in enumerate(found, start=1)
        ]
    if rows:
        print(_table(rows))
    else:
        print("Nothing was found.")
    if options.output:
        _write(Path(options.output), rows)
        print(f"Written: {options.output}")


def _duplicates(library: Any, options: argparse.Namespace) -> list[dict]:
    from bod_keras.library.duplicates import find_duplicates

    if options.query or options.appearance or options.motion:
        raise UserError("--duplicates compares the library with itself: leave the query out.")
    groups = find_duplicates(library, options.duplicates)
    print(f"{len(groups)} groups of videos that are nearly the same, of {len(library):,} rows.")
    return [
        {
            "group": number,
            "similarity": similarity,
            "path": library.paths[row],
            "start": float(library.starts[row]),
            "end": float(library.ends[row]),
            "label": library.labels[row],
        }
        for number, group in enumerate(groups, start=1)
        for row, similarity in group
    ]


def _table(rows: list[dict]) -> str:
    """Columns side by side, the path last; one that is empty is left out."""
    names = [n for n in rows[0] if n != "path" and any(row[n] is not None for row in rows)]
    texts = [[*names, "path"]]
    for row in rows:
        cells = [
            f"{row[n]:.{_DIGITS.get(n, 3)}f}"
            if isinstance(row[n], float)
            else shown(str(row[n] or ""))
            for n in names
        ]
        texts.append([*cells, shown(row["path"])])
    widths = [max(len(line[i]) for line in texts) for i in range(len(names))]
    return "\n".join(
        "  ".join([*(cell.rjust(width) for cell, width in zip(line, widths)), line[-1]])
        for line in texts
    )


def _write(path: Path, rows: list[dict]) -> None:
    from bod_keras.storage.atomic_file import atomic_file

    with atomic_file(path) as part:
        if path.suffix == ".json":
            part.write_text(json.dumps(rows, indent=1))
            return
        with open(part, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            writer = csv.DictWriter(file, list(rows[0]) if rows else ["path"])
            writer.writeheader()
            writer.writerows(rows)


def _parse(argv: Sequence[str], name: str) -> argparse.Namespace:
    parser = argument_parser(name, __doc__)
    add = parser.add_argument
    add("library", metavar="LIBRARY", help="what bod-keras embed wrote")
    add("query", metavar="QUERY", nargs="?", help="a video, in the library or not")
    add("--by", default="both", help="motion, appearance, pooled, both or both:WEIGHT (both)")
    add("--top", type=int, default=20, help="how many rows (20)")
    add("--appearance", metavar="A", help="in place of QUERY: looks like the video A ...")
    add("--motion", metavar="B", help="... and moves like the video B")
    add("--at", metavar="SECONDS", help="where the query's window begins")
    add("--itself", action="store_true", help="show rows of the query's own file, too")
    add("--run", help="folder of the run, if it was moved since the library was made")
    threshold = "rows that are alike in every part (0.99)"
    add("--duplicates", metavar="THRESHOLD", type=float, nargs="?", const=0.99, help=threshold)
    add("--output", metavar="FILE", help="write the rows to a .csv or .json file")
    return parser.parse_args(argv)
