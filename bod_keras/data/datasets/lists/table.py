"""Lists with a header: tables whose columns have meanings."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence

from bod_keras.data.datasets.lists.list_file import EXTENSION, MANY, ListFile, Row, names_video
from bod_keras.data.datasets.text import csv_rows, to_integer
from bod_keras.data.record import some
from bod_keras.errors import UserError

# What the column of the labels may be called; the first that is there is taken.
LABEL_COLUMNS = (
    *("label", "labels", "class", "classes", "class_name", "classname", "label_name"),
    *("action", "activity", "category", "target", "class_id", "label_id", "action_id"),
)
_HEADER = {
    *LABEL_COLUMNS,
    "split",
    "file",
    "filename",
    "video",
}  # without "path": no header of ours
# Columns of integers that are no label: they number rows or files, count frames, or measure.
_NUMBERS = (
    r"(unnamed(:.*)?|index|idx|id|row|no|n|(video|clip|file|sample)_?(id|idx|index|no|number))?"
)
_NO_LABEL = re.compile(
    rf"{_NUMBERS}|(n|nb|num|number|total|count)_?(of_?)?frames?|n?frames?(_?(count|num|number|total))?|"
    r"(start|end|begin|stop|first|last)(_?(frame|time|sec|second)s?)?|(frame|time)_?(start|end|begin|stop)|"
    r"len|length|duration(_.*)?|seconds|fps|width|height|(file_?)?size|bytes|year"
)
_NAMES_DELIMITER = re.compile(r'"?sep=.?"?', re.IGNORECASE)  # Excel's first line
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+")
_LONGEST_HEADER = 2**20  # letters


def find_header(file: ListFile, lines: Sequence[str]) -> tuple[int, str | None]:
    """Find the first line that holds something, and the delimiter if it is a header."""
    for start, line in enumerate(lines):
        if not line.strip() or file.is_comment(line) or _NAMES_DELIMITER.fullmatch(line.strip()):
            continue
        if len(line) > _LONGEST_HEADER:
            return start, None
        for delimiter in (",", "\t", ";", "|", " "):
            try:
                ((_, cells),) = csv_rows(file.source, [line], delimiter=delimiter)
            except (UserError, ValueError):
                continue
            cells = [cell.strip().lower() for cell in cells]
            if any(
                names_video(cell) or "/" in cell or to_integer(cell) is not None for cell in cells
            ):
                break
            if "path" in cells:
                return start, delimiter
            known = [cell in _HEADER for cell in cells]
            if len(cells) > 1 and (all if delimiter == " " else any)(known):
                raise UserError(
                    f"{file.source} must begin with a header line that has a 'path' column. Received "
                    f"columns: {cells}. Rename the column that holds the files; official lists of data "
                    "sets are read with dataset=NAME."
                )
        return start, None
    return 0, None


def read_table(file: ListFile, lines: Sequence[str], start: int, delimiter: str) -> list[Row]:
    """Read the rows of a table."""
    table = csv_rows(file.source, lines[start:], start + 1, delimiter=delimiter)
    columns = [cell.strip() for cell in table[0][1]]
    keys = [column.lower() for column in columns]
    twice = sorted({key for key in keys if key and keys.count(key) > 1})
    if twice:
        raise file.error(
            table[0][0],
            f"the column {twice[0]!r} is there {keys.count(twice[0])} times. Keep one of them.",
        )
    path = keys.index("path")
    kept: list[tuple[int, list[str]]] = []
    for line, cells in table[1:]:
        if not any(cell.strip() for cell in cells):
            file.empty += bool(cells)
            continue
        if all(re.fullmatch(r"\s*(:?-{3,}:?)?\s*", cell) for cell in cells):  # as in Markdown
            continue
        if file.is_comment(cells[0]) and (len(cells) == 1 or path == 0):
            file.comments += 1
            continue
        if delimiter == " " and len(cells) > len(keys) and path == 0:
            text = lines[line - 1].strip()
            cells = text.rsplit(None, len(keys) - 1)
            ends = [found.end() for found in EXTENSION.finditer(text)]
            if len(keys) == 2 and ends and not names_video(cells[0]):  # a label of several words
                cells = [text[: ends[-1]], text[ends[-1] :]]
        if len(cells) != len(keys):
            raise file.error(
                line,
                f"expected {len(keys)} cells as in the header. Received {len(cells)}: {some(cells, 6)}. "
                "Put paths with commas in double quotes; the last line may be where the list breaks off.",
            )
        cells = [cell.strip() for cell in cells]
        quoted = cells[path].startswith("'") and re.fullmatch("'[^']+'", cells[path])
        if quoted and not file.exists(cells[path]):
            cells[path] = cells[path][1:-1]
        if not cells[path]:
            raise file.error(line, f"the cell of the path is empty. Received: {cells}")
        kept.append((line, cells))
    file.remark_skipped()
    return _rows(file, columns, keys, kept)


def _rows(file: ListFile, columns: list[str], keys: list[str], kept: list) -> list[Row]:
    """Give every column its meaning."""
    path, split = keys.index("path"), keys.index("split") if "split" in keys else None
    values = {i: [cells[i] for _, cells in kept] for i in range(len(keys)) if i != path}
    others = [i for i in values if i != split]
    label, twin = _label_column(file, keys, values)
    if label is None and len(others) == 1 and not _all_integers(values[others[0]]):
        label = others[0]  # the only column, of words
    factors, ignored = [], []
    for i in others:
        if i == twin and file.names:
            continue  # it names the labels
        if i != label:
            (factors if i != twin and _is_factor(keys[i], values[i]) else ignored).append(i)
    named = [columns[i] or "without a name" for i in ignored]
    if named:
        file.remarks.append(
            f"{'column' if len(named) == 1 else 'columns'} {some(named, len(named))} ignored"
        )
    numbering = {i for i in ignored if re.fullmatch(r"(unnamed(:.*)?|index)?", keys[i])}
    file.numbering = {path, *numbering}
    if label is not None:
        _check_thousands(file, kept, label)
    several = functools.cache(_several)
    return [
        Row(
            line,
            cells[path],
            several(cells[label]) if label is not None and cells[label] else (),
            (cells[split] or None) if split is not None else None,
            {columns[i]: to_integer(cells[i]) for i in factors} if factors else None,
            cells,
        )
        for line, cells in kept
    ]


def _label_column(
    file: ListFile, keys: list[str], values: dict[int, list[str]]
) -> tuple[int | None, int | None]:
    """Find the column of the labels, and another one that says the same: names beside numbers."""
    found = [keys.index(key) for key in LABEL_COLUMNS if key in keys]
    numbers = next((i for i in found if _all_integers(filter(None, values[i]))), None)
    words = next((i for i in found if not _all_integers(filter(None, values[i]))), None)
    if numbers is None or words is None:
        return (found[0] if found else None), None
    names: dict[int, str] = {}
    for number, name in zip(values[numbers], values[words]):
        if bool(number) != bool(name):
            return found[0], None
        if number and names.setdefault(to_integer(number), name) != name:
            return found[0], None
    if len(set(names.values())) < len(names):
        return found[0], None
    if set(names) != set(range(len(names))):
        return words, numbers  # numbers with gaps, or from 1 on
    file.names = names
    return numbers, words


def _check_thousands(file: ListFile, kept: list, label: int) -> None:
    """Refuse a column of labels whose commas stand before every third digit: 1,000 is no two labels."""
    commas = [(line, cells[label]) for line, cells in kept if "," in cells[label]]
    if commas and all(_THOUSANDS.fullmatch(cell) for _, cell in commas):
        raise file.error(
            commas[0][0],
            f"expected a label without a separator of thousands. Received: {commas[0][1]!r}. Part several "
            "labels by spaces.",
        )


def _several(cell: str) -> tuple[str, ...]:
    """The labels of a cell: integers with spaces or the like between, or one name."""
    words = re.split(r"[ ,;|]+", cell.strip("[]() "))
    return tuple(words) if all(to_integer(word) is not None for word in words) else (cell,)


def _all_integers(cells: Iterable[str]) -> bool:
    return all(to_integer(cell) is not None for cell in cells)


def _is_factor(key: str, cells: Sequence[str]) -> bool:
    """Whether a column of integers tells videos apart by classes: it does not count or number them."""
    if _NO_LABEL.fullmatch(key) or not _all_integers(cells):
        return False
    return len(cells) < MANY or len(set(cells)) < len(cells)
