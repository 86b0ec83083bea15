"""Lists of videos: lines to rows, labels to numbers, rows to records."""

from __future__ import annotations

import os
from collections.abc import Sequence

from bod_keras.data.datasets.lists.lines import check_ends, read_lines
from bod_keras.data.datasets.lists.list_file import ListFile, Row
from bod_keras.data.datasets.lists.table import find_header, read_table
from bod_keras.data.datasets.text import read_text, split_lines, to_integer
from bod_keras.data.record import Catalog, Record, some
from bod_keras.errors import UserError
from bod_keras.storage import remote

_HIGHEST = 2**31 - 1


def read_list(source: str, base: str, split: str | None = None) -> Catalog:
    """Read a list of videos, whatever its extension.

    A line is a path and, after spaces, tabs or commas, its label or labels: integers, or the name of a
    class. A list whose first line has a column `path` is a table: `label` (or another of `LABEL_COLUMNS`) is
    an integer, several with spaces between, or the name of a class; `split` selects; other columns of integers
    are factors unless they count something (`num_frames`, pandas' index). Cells in double quotes may hold
    separators and line breaks. Names of classes are numbered in sorted order over all splits.

    Lines that begin with `#` are comments, unless they name a video. Empty lines and rows are skipped, equal
    rows merged. What was skipped, merged or not used is in the `remarks` of the `Catalog`.

    Args:
        source: the file, which may be remote.
        base: what relative paths are relative to.
        split: keep the rows of this split only; None for all.

    Returns:
        A `Catalog`.

    Raises:
        UserError: a line that cannot be understood, with its number; a video with two different labels; a list
            that breaks off; one without a video.
    """
    text = read_text(source)
    lines = split_lines(text)
    file = ListFile(source, base)
    start, delimiter = find_header(file, lines)
    if delimiter:
        rows = read_table(file, lines, start, delimiter)
    else:
        rows = read_lines(file, lines)
        check_ends(file, rows, text)
    if not rows:
        raise UserError(f"{source} lists no video. Expected one video a line.")
    labels, class_names = number_labels(file, rows)
    if split is not None:
        kept = [i for i, row in enumerate(rows) if row.split == split]
        if not kept:
            names = sorted({row.split for row in rows if row.split is not None})
            raise no_such_split(source, split, names)
        rows, labels = [rows[i] for i in kept], [labels[i] for i in kept]
    return Catalog(merge(file, rows, labels), class_names, remarks=file.remarks)


def no_such_split(source: str, split: str, names: Sequence[str]) -> UserError:
    """Make the error of a split that a source does not have."""
    there = f"It has: {', '.join(names)}" if names else "It has no splits"
    return UserError(
        f"{source} has no split {split!r}. {there}. Splits are named in the 'split' column of a list with a "
        "header."
    )


def number_labels(file: ListFile, rows: Sequence[Row]) -> tuple[list[tuple[int, ...]], list[str]]:
    """Number the labels of rows: integers as they are, names of classes in sorted order."""
    values = {text: to_integer(text) for text in {text for row in rows for text in row.labels}}
    numbers = words = None
    if any(value is not None for value in values.values()):
        numbers = next(r for r in rows if any(values[x] is not None for x in r.labels))
    if None in values.values():
        words = next(r for r in rows if any(values[x] is None for x in r.labels))
    if numbers and words:
        raise file.error(
            words.line,
            f"labels must be all integers or all names of classes. Received: {words.labels[0]!r} for "
            f"{words.path!r}, and {numbers.labels[0]!r} in line {numbers.line}. "
            + ("Is it a header without 'path'?" if words is rows[0] and not words.cells else ""),
        )
    if words:
        odd = next((r for r in rows if any(map(_is_number, r.labels))), None)
        if odd:
            raise file.error(
                odd.line,
                f"labels must be integers or names of classes. Received: {odd.labels[0]!r} for "
                f"{odd.path!r}",
            )
        names = sorted({row.labels[0] for row in rows if row.labels})
        number = {name: i for i, name in enumerate(names)}
        labels = [(number[row.labels[0]],) if row.labels else () for row in rows]
    else:
        labels = [_integers(file, row, values) for row in rows]
        names = [file.names[i] for i in range(len(file.names))]
    return labels, names


def _integers(file: ListFile, row: Row, values: dict[str, int]) -> tuple[int, ...]:
    labels = tuple(values[text] for text in row.labels)
    if labels == (-1,):
        return ()  # by custom: not labeled
    if any(not 0 <= label <= _HIGHEST for label in labels):
        raise file.error(
            row.line,
            f"labels must lie in 0 to {_HIGHEST}; -1 is no label. Received: {some(labels)} for "
            f"{row.path!r}",
        )
    return labels


def merge(file: ListFile, rows: Sequence[Row], labels: Sequence[tuple[int, ...]]) -> list[Record]:
    """Make records; a video that is listed twice becomes one."""
    first: dict[str, Row] = {}
    records, again, bare, splits = [], [], [], 0
    for row, found in zip(rows, labels):
        path = _path(file, row)
        key = path
        if ("/." in path or "//" in path) and not remote.is_remote(path):
            key = os.path.normpath(path)
        before = first.setdefault(key, row)
        if before is not row:
            again.append(row.line)
            splits += before.split != row.split
            if (before.labels, before.factors) != (row.labels, row.factors) or (
                before.split == row.split and _content(file, before) != _content(file, row)
            ):
                raise file.error(
                    row.line,
                    f"{row.path!r} is listed in line {before.line} already, with other cells. A video has "
                    "one row: put several labels into it ('a.mp4 1 4'), or leave one row out.",
                )
            continue
        if not found:
            bare.append(f"line {row.line}: {os.path.basename(row.path)}")
        label = found[0] if len(found) == 1 else None
        many = found if len(found) > 1 else ()
        records.append(Record(path, label, row.factors or {}, row.split, many))
    if again:
        said = f"{len(again)} repeated row{'s' * (len(again) > 1)} merged (line {some(again)})"
        file.remarks.append(said + (", though of another split" if splits else ""))
    if 0 < len(bare) < len(records):
        file.remarks.append(f"{len(bare)} without a label ({some(bare)})")
    return records


def _content(file: ListFile, row: Row) -> list[str]:
    return [cell for i, cell in enumerate(row.cells) if i not in file.numbering]


def _path(file: ListFile, row: Row) -> str:
    path = row.path if remote.is_remote(row.path) else os.path.join(file.base, row.path)
    if path.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in path):
        return path
    if remote.is_remote(path) or not os.path.lexists(path):
        raise file.error(
            row.line,
            f"{row.path.encode(errors='surrogateescape')!r} is not UTF-8, and no file has this name. Save "
            "the list as UTF-8.",
        )
    return path


def _is_number(text: str) -> bool:
    """Whether a label is a number, though no integer: a score, or nan."""
    try:
        float(text)
    except ValueError:
        return False
    return True
