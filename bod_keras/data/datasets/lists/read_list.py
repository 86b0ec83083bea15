"""Lists of videos: lines to rows, labels to numbers, rows to records."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence

from bod_keras.data.datasets.lists.lines import check_ends, check_last_label, read_lines
from bod_keras.data.datasets.lists.list_file import ListFile, Row
from bod_keras.data.datasets.lists.table import find_header, read_table
from bod_keras.data.datasets.text import read_text, split_lines, to_integer
from bod_keras.data.record import Catalog, Record, some
from bod_keras.errors import UserError
from bod_keras.storage import remote
from bod_keras.storage.remote_error import without_secrets

_HIGHEST = 2**31 - 1
_NAMES = re.compile(r"[;|]")
_QUOTED_LIST = re.compile(r"\[\s*['\"]")  # as Python and JSON write lists
# What pandas and databases write where there is no value.
_NOTHING = {"NA", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL", "Null"}


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
    _refuse_pages(without_secrets(source), text)
    lines = split_lines(text)
    file = ListFile(source, base)
    start, delimiter = find_header(file, lines)
    if delimiter:
        rows = read_table(file, lines, start, delimiter)
    else:
        rows = read_lines(file, lines)
        check_ends(file, rows, text)
    check_last_label(file, rows, text)
    if not rows:
        raise UserError(f"{file.source} lists no video. Expected one video a line.")
    labels, class_names = number_labels(file, rows)
    _alike(file, "splits", {row.split for row in rows if row.split is not None})
    if split is not None:
        kept = [i for i, row in enumerate(rows) if row.split == split]
        if bare := sum(row.split is None for row in rows):
            file.remarks.append(f"{bare} of no split left out")
        if not kept:
            names = sorted({row.split for row in rows if row.split is not None})
            raise no_such_split(file.source, split, names)
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
        _check_names(file, rows, names)
        number = {name: i for i, name in enumerate(names)}
        labels = [(number[row.labels[0]],) if row.labels else () for row in rows]
    else:
        labels = [_integers(file, row, values) for row in rows]
        names = [file.names[i] for i in range(len(file.names))]
    return labels, names


def _check_names(file: ListFile, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Refuse names of classes that are none: several in one cell, or what programs write for "nothing"."""
    known = set(names)

    def is_odd(name: str) -> bool:
        parts = [part.strip() for part in _NAMES.split(name)]
        several = len(parts) > 1 and not known.isdisjoint(parts)
        return several or name in _NOTHING or _QUOTED_LIST.match(name) is not None

    odd = {name for name in names if is_odd(name)}
    if odd:
        row = next(row for row in rows if odd & set(row.labels))
        raise file.error(
            row.line,
            "a label must be the name of one class; leave the cell empty where there is none, and number the "
            f"classes where a video has several ('3 7'). Received: {row.labels[0]!r} for {row.path!r}",
        )
    _alike(file, "classes", names)


def _alike(file: ListFile, what: str, names: Iterable[str]) -> None:
    """Remark on names that differ only in case, spaces, or the coding of their letters."""
    spelled: dict[str, list[str]] = {}
    for name in sorted(names):
        plain = re.sub(r"[\s_]+", " ", unicodedata.normalize("NFKC", name).casefold())
        spelled.setdefault(plain, []).append(name)
    if same := next((found for found in spelled.values() if len(found) > 1), None):
        file.remarks.append(f"{what} {some(same)} differ only in their spelling")


def _refuse_pages(source: str, text: str) -> None:
    """Refuse what is JSON, whole or line by line, or a page of HTML: as a list it would be one odd name."""
    begin = text.lstrip()[:1]
    if text.lstrip()[:9].lower().startswith(("<!doctype", "<html", "<?xml")):
        raise UserError(
            f"{source} is a page of HTML or XML, as a server sends it instead of a file. Download it again."
        )
    if not begin or begin not in "[{":
        return
    for part in (text.strip().partition("\n")[0], text):
        try:
            found = json.loads(part)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, (dict, list)):
            raise UserError(
                f"{source} is JSON. Expected one video a line, or a table with a 'path' column: write it "
                "as CSV."
            )


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
            bare.append(f"line {row.line}: {os.path.basename(without_secrets(row.path))}")
        label = found[0] if len(found) == 1 else None
        many = found if len(found) > 1 else ()
        records.append(Record(path, label, row.factors or {}, row.split, many))
    if file.slashes:
        file.remarks.append(f"\\ read as / in {file.slashes} paths")
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
    if "\\" in path and not file.exists(row.path) and file.exists(row.path.replace("\\", "/")):
        file.slashes += 1
        path = path.replace("\\", "/")
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
