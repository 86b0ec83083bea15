"""Lists of videos: one a line, with labels; or a table with a header."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bod_keras.data.datasets.folders import VIDEO_EXTENSIONS
from bod_keras.data.datasets.text import csv_rows, read_text, split_lines, to_integer
from bod_keras.data.record import Catalog, Record, some
from bod_keras.data.video.frame_folders import is_frame
from bod_keras.errors import UserError
from bod_keras.storage import remote

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
_EXTENSION = re.compile(
    rf"(?:{'|'.join(map(re.escape, VIDEO_EXTENSIONS))})(?=[ \t,;]|$)", re.IGNORECASE
)
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_SEPARATORS = re.compile(r"([ \t,]+)")
_HIGHEST = 2**31 - 1
_MANY = 8  # rows from which on a column of integers that never repeat counts as their number
_LONGEST_HEADER = 2**20  # letters
_PROBED = 20  # folders of frames that are counted to tell numbers of frames from labels


@dataclass(slots=True)
class _Row:
    line: int
    path: str
    labels: tuple[str, ...] = ()
    split: str | None = None
    factors: dict[str, int] | None = None
    cells: Sequence[str] = ()  # of a table


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
    reader = _Reader(source, base)
    start, delimiter = reader.find_header(lines)
    if delimiter:
        rows = reader.read_table(lines, start, delimiter)
    else:
        rows = reader.read_lines(lines)
        reader.check_ends(rows, text)
    if not rows:
        raise UserError(f"{source} lists no video. Expected one video a line.")
    labels, class_names = reader.number_labels(rows)
    if split is not None:
        kept = [i for i, row in enumerate(rows) if row.split == split]
        if not kept:
            names = sorted({row.split for row in rows if row.split is not None})
            raise no_such_split(source, split, names)
        rows, labels = [rows[i] for i in kept], [labels[i] for i in kept]
    return Catalog(reader.merge(rows, labels), class_names, remarks=reader.remarks)


def no_such_split(source: str, split: str, names: Sequence[str]) -> UserError:
    """Make the error of a split that a source does not have."""
    there = f"It has: {', '.join(names)}" if names else "It has no splits"
    return UserError(
        f"{source} has no split {split!r}. {there}. Splits are named in the 'split' column of a list with a "
        "header."
    )


class _Reader:
    """One list on its way to records: what must be said of it gathers in `remarks`."""

    def __init__(self, source: str, base: str):
        self.source, self.base = source, base
        self.remarks: list[str] = []
        self.names: dict[int, str] = {}  # of integer labels, from a second column
        self.numbering: set[int] = set()  # columns that a repeated row need not repeat
        self._comments = self._empty = 0

    def error(self, line: int, message: str) -> UserError:
        return UserError(f"{self.source}, line {line}: {message}")

    # 1. Lines to rows.

    def find_header(self, lines: Sequence[str]) -> tuple[int, str | None]:
        """Find the first line that holds something, and the delimiter if it is a header."""
        for start, line in enumerate(lines):
            if not line.strip() or self._is_comment(line):
                continue
            if len(line) > _LONGEST_HEADER:
                return start, None
            for delimiter in (",", "\t", ";", "|", " "):
                try:
                    ((_, cells),) = csv_rows(self.source, [line], delimiter=delimiter)
                except (UserError, ValueError):
                    continue
                cells = [cell.strip().lower() for cell in cells]
                if any(
                    _names_video(cell) or "/" in cell or to_integer(cell) is not None
                    for cell in cells
                ):
                    break
                if "path" in cells:
                    return start, delimiter
                known = [cell in _HEADER for cell in cells]
                if len(cells) > 1 and (all if delimiter == " " else any)(known):
                    raise UserError(
                        f"{self.source} must begin with a header line that has a 'path' column. Received "
                        f"columns: {cells}. Rename the column that holds the files; official lists of data "
                        "sets are read with dataset=NAME."
                    )
            return start, None
        return 0, None

    def read_table(self, lines: Sequence[str], start: int, delimiter: str) -> list[_Row]:
        """Read the rows of a table."""
        table = csv_rows(self.source, lines[start:], start + 1, delimiter=delimiter)
        columns = [cell.strip() for cell in table[0][1]]
        keys = [column.lower() for column in columns]
        twice = sorted({key for key in keys if key and keys.count(key) > 1})
        if twice:
            raise self.error(
                table[0][0],
                f"the column {twice[0]!r} is there {keys.count(twice[0])} times. Keep one of them.",
            )
        path = keys.index("path")
        kept: list[tuple[int, list[str]]] = []
        for line, cells in table[1:]:
            if not any(cell.strip() for cell in cells):
                self._empty += bool(cells)
                continue
            if self._is_comment(cells[0]) and (len(cells) == 1 or path == 0):
                self._comments += 1
                continue
            if delimiter == " " and len(cells) > len(keys) and path == 0:
                cells = lines[line - 1].strip().rsplit(None, len(keys) - 1)
            if len(cells) != len(keys):
                raise self.error(
                    line,
                    f"expected {len(keys)} cells as in the header. Received {len(cells)}: {some(cells, 6)}. "
                    "Put paths with commas in double quotes; the last line may be where the list breaks off.",
                )
            cells = [cell.strip() for cell in cells]
            if not cells[path]:
                raise self.error(line, f"the cell of the path is empty. Received: {cells}")
            kept.append((line, cells))
        self._remark_skipped()
        return self._rows(columns, keys, kept)

    def _rows(self, columns: list[str], keys: list[str], kept: list) -> list[_Row]:
        """Give every column its meaning."""
        path, split = keys.index("path"), keys.index("split") if "split" in keys else None
        values = {i: [cells[i] for _, cells in kept] for i in range(len(keys)) if i != path}
        others = [i for i in values if i != split]
        label = next((keys.index(key) for key in LABEL_COLUMNS if key in keys), None)
        if label is None and len(others) == 1 and not _all_integers(values[others[0]]):
            label = others[0]  # the only column, of words
        factors, ignored = [], []
        for i in others:
            if i == label or (label is not None and self._names_labels(keys[i], values, i, label)):
                continue
            (factors if _is_factor(keys[i], values[i]) else ignored).append(i)
        named = [columns[i] or "without a name" for i in ignored]
        if named:
            self.remarks.append(
                f"{'column' if len(named) == 1 else 'columns'} {', '.join(named)} ignored"
            )
        numbering = {i for i in ignored if re.fullmatch(r"(unnamed(:.*)?|index)?", keys[i])}
        self.numbering = {path, *numbering}
        several = functools.cache(_several)
        return [
            _Row(
                line,
                cells[path],
                several(cells[label]) if label is not None and cells[label] else (),
                (cells[split] or None) if split is not None else None,
                {columns[i]: to_integer(cells[i]) for i in factors} if factors else None,
                cells,
            )
            for line, cells in kept
        ]

    def _names_labels(self, key: str, values: dict, i: int, label: int) -> bool:
        """Whether a column names the classes that the label column numbers."""
        if key not in LABEL_COLUMNS or not _all_integers(values[label]):
            return False
        names: dict[int, str] = {}
        for number, name in zip(values[label], values[i]):
            if not number or not name or names.setdefault(to_integer(number), name) != name:
                return False
        if to_integer(values[i][0]) is not None or len(set(names.values())) < len(names):
            return False
        self.names = names
        return True

    def read_lines(self, lines: Sequence[str]) -> list[_Row]:
        """Read the rows of a list without a header."""
        rows: list[_Row] = []
        frames = 0
        waiting: list[str] = []  # lines of a quoted path that has not ended
        first, quotes = 0, 0
        for number, line in enumerate(lines, start=1):
            if waiting:
                waiting.append(line)
            else:
                if not line.strip():
                    continue
                if self._is_comment(line):
                    self._comments += 1
                    continue
                waiting, first, quotes = [line], number, 0
                if not line.lstrip().startswith('"'):
                    waiting, text = [], line.strip()
            if waiting:
                quotes += line.count('"')
                if quotes % 2:
                    continue
                waiting, text = [], "".join(waiting).strip()
            path, _, label = text.rpartition(" ")
            if label.isdigit() and label.isascii() and _names_video(path) and text[0] != '"':
                rows.append(_Row(first, path, (label,)))  # as in most lists
                continue
            path, labels, counted = self._parse(text, first)
            frames += counted
            rows.append(_Row(first, path, labels))
        if waiting:
            raise self.error(
                first,
                "a path in double quotes does not end. Does the list break off there? Copy it again.",
            )
        self._remark_skipped()
        if self._numbers_are_frames(rows):
            frames = len(rows)
            for row in rows:
                row.labels = ()
        if frames:
            self.remarks.append("frame counts ignored")
        return rows

    def _parse(self, text: str, line: int) -> tuple[str, tuple[str, ...], bool]:
        """Part a line into path and labels; say whether it held a number of frames, too."""
        if text.startswith('"'):
            quoted = _QUOTED.match(text)
            path, rest = quoted[1].replace('""', '"'), text[quoted.end() :]
            if rest and rest[0] not in " \t,;":
                raise self.error(line, f"expected a separator after the quoted path: {text[:80]!r}")
        else:
            ends = [found.end() for found in _EXTENSION.finditer(text)]
            if ends:
                path, rest = text[: ends[-1]], text[ends[-1] :]
            else:
                path, rest = self._part_folder(text)
        labels = self._label_cells(rest, line)
        if not path:
            raise self.error(line, f"expected a path. Received: {text[:80]!r}")
        is_folder = not _names_video(path)
        if is_folder and len(labels) > 1 and all(to_integer(one) is not None for one in labels):
            return path, labels[1:], True  # folder, frames, labels
        return path, labels, False

    @staticmethod
    def _part_folder(text: str) -> tuple[str, str]:
        """Part a line whose path has no video's extension: before its last integers, or its only comma."""
        parts = _SEPARATORS.split(text)
        end = len(parts)
        while end > 1 and (to_integer(parts[end - 1]) is not None or not parts[end - 1]):
            end -= 2
        if end < len(parts):
            return "".join(parts[:end]), "".join(parts[end:])
        for separator in ",\t":
            if text.count(separator) == 1:
                return text.split(separator)[0].rstrip(), text[text.index(separator) :]
        return text, ""

    def _label_cells(self, rest: str, line: int) -> tuple[str, ...]:
        rest = rest.strip(" \t")
        if not rest:
            return ()
        words = rest.replace(",", " ").replace(";", " ").split()
        if all(to_integer(word) is not None for word in words):
            return tuple(words)
        if rest[0] not in "\t,;" and not rest.startswith('"'):
            if to_integer(words[0]) is not None:
                raise self.error(
                    line,
                    f"expected integers, or the name of a class, after the path. Received: {rest[:80]!r}. Put "
                    "a name that begins with a number in double quotes, a comment on a line of its own.",
                )
            return (rest,)
        delimiter, rest = (rest[0], rest[1:]) if rest[0] in "\t,;" else (" ", rest)
        ((_, cells),) = csv_rows(self.source, [rest], line, delimiter=delimiter)
        cells = [cell.strip() for cell in cells if cell.strip()]
        if len(cells) > 1 and not all(to_integer(cell) is not None for cell in cells):
            raise self.error(
                line,
                f"expected a path and a label. Received after the path: {some(cells)}. Give the list a header "
                "such as 'path,label,split'.",
            )
        return tuple(cells)

    def _is_comment(self, line: str) -> bool:
        """Whether a line is a note: # and a space; or # and no video, neither by its name nor on the disk."""
        line = line.strip()
        if not line.startswith("#"):
            return False
        if len(line) > 1 and line[1] not in " \t#":
            if _EXTENSION.search(line):
                return False
            path, _ = self._part_folder(line)
            if not remote.is_remote(self.base) and os.path.exists(os.path.join(self.base, path)):
                return False
        return True

    def _remark_skipped(self) -> None:
        for count, what in ((self._empty, "empty row"), (self._comments, "comment")):
            if count:
                self.remarks.append(f"{count} {what}{'s' * (count > 1)} skipped")

    def _numbers_are_frames(self, rows: Sequence[_Row]) -> bool:
        """Whether the only number after every path is how many images that folder holds."""
        if remote.is_remote(self.base) or any(
            len(row.labels) != 1 or _names_video(row.path) or to_integer(row.labels[0]) is None
            for row in rows
        ):
            return False
        found = 0
        for row in rows[:_PROBED]:
            try:
                images = sum(map(is_frame, os.listdir(os.path.join(self.base, row.path))))
            except OSError:
                continue
            if abs(images - to_integer(row.labels[0])) > 1:
                return False
            found += 1
        return found > 0

    def check_ends(self, rows: Sequence[_Row], text: str) -> None:
        """Refuse a first line that is a header, and a last one that breaks off."""
        if len(rows) < 2:
            return
        like_videos = [_names_video(row.path) for row in rows]
        first, last = rows[0], rows[-1]
        if not like_videos[0] and all(like_videos[1:]) and not self._exists(first.path):
            raise self.error(
                first.line,
                f"{first.path!r} names no video, as all other lines do. If it is a header, the column of the "
                "files must be called 'path'.",
            )
        odd = [row for row, like in zip(rows, like_videos) if not like]
        if len(odd) < len(rows) / 2:
            absent = [row for row in odd[:_MANY] if not self._exists(row.path)]
            if absent:
                where = some([f"line {row.line}: {row.path[:40]}" for row in absent])
                self.remarks.append(f"{len(odd)} without a video's extension ({where})")
        if text.endswith(("\n", "\r")):
            return
        short = not last.labels and all(row.labels for row in rows[:-1])
        other = not like_videos[-1] and all(like_videos[:-1]) and not self._exists(last.path)
        if short or other:
            raise self.error(
                last.line,
                f"the list seems to break off there: the last line, {last.path!r}, has no line end and "
                f"{'no label' if short else 'no extension of a video'}, as all others have. Copy the list "
                "again; or end its last line.",
            )

    def _exists(self, path: str) -> bool:
        return not remote.is_remote(self.base) and os.path.exists(os.path.join(self.base, path))

    # 2. Labels to numbers.

    def number_labels(self, rows: Sequence[_Row]) -> tuple[list[tuple[int, ...]], list[str]]:
        """Number the labels of rows: integers as they are, names of classes in sorted order."""
        values = {text: to_integer(text) for text in {text for row in rows for text in row.labels}}
        numbers = words = None
        if any(value is not None for value in values.values()):
            numbers = next(r for r in rows if any(values[x] is not None for x in r.labels))
        if None in values.values():
            words = next(r for r in rows if any(values[x] is None for x in r.labels))
        if numbers and words:
            raise self.error(
                words.line,
                f"labels must be all integers or all names of classes. Received: {words.labels[0]!r} for "
                f"{words.path!r}, and {numbers.labels[0]!r} in line {numbers.line}. "
                + (
                    "Is it a header without 'path'?" if words is rows[0] and not words.cells else ""
                ),
            )
        if words:
            odd = next((r for r in rows if any(map(_is_number, r.labels))), None)
            if odd:
                raise self.error(
                    odd.line,
                    f"labels must be integers or names of classes. Received: {odd.labels[0]!r} for "
                    f"{odd.path!r}",
                )
            names = sorted({row.labels[0] for row in rows if row.labels})
            number = {name: i for i, name in enumerate(names)}
            labels = [(number[row.labels[0]],) if row.labels else () for row in rows]
        else:
            labels = [self._integers(row, values) for row in rows]
            names = []
            if sorted(self.names) == list(range(len(self.names))):
                names = [self.names[i] for i in range(len(self.names))]
        return labels, names

    def _integers(self, row: _Row, values: dict[str, int]) -> tuple[int, ...]:
        labels = tuple(values[text] for text in row.labels)
        if labels == (-1,):
            return ()  # by custom: not labeled
        if any(not 0 <= label <= _HIGHEST for label in labels):
            raise self.error(
                row.line,
                f"labels must lie in 0 to {_HIGHEST}; -1 is no label. Received: {some(labels)} for "
                f"{row.path!r}",
            )
        return labels

    # 3. Rows to records.

    def merge(self, rows: Sequence[_Row], labels: Sequence[tuple[int, ...]]) -> list[Record]:
        """Make records; a video that is listed twice becomes one."""
        first: dict[str, _Row] = {}
        records, again, bare, splits = [], [], [], 0
        for row, found in zip(rows, labels):
            path = self._path(row)
            key = path
            if ("/." in path or "//" in path) and not remote.is_remote(path):
                key = os.path.normpath(path)
            before = first.setdefault(key, row)
            if before is not row:
                again.append(row.line)
                splits += before.split != row.split
                if (before.labels, before.factors) != (row.labels, row.factors) or (
                    before.split == row.split and self._content(before) != self._content(row)
                ):
                    raise self.error(
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
            self.remarks.append(said + (", though of another split" if splits else ""))
        if 0 < len(bare) < len(records):
            self.remarks.append(f"{len(bare)} without a label ({some(bare)})")
        return records

    def _content(self, row: _Row) -> list[str]:
        return [cell for i, cell in enumerate(row.cells) if i not in self.numbering]

    def _path(self, row: _Row) -> str:
        path = row.path if remote.is_remote(row.path) else os.path.join(self.base, row.path)
        if path.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in path):
            return path
        if remote.is_remote(path) or not os.path.lexists(path):
            raise self.error(
                row.line,
                f"{row.path.encode(errors='surrogateescape')!r} is not UTF-8, and no file has this name. Save "
                "the list as UTF-8.",
            )
        return path


def _names_video(path: str) -> bool:
    return path.lower().endswith(VIDEO_EXTENSIONS)


def _several(cell: str) -> tuple[str, ...]:
    """The labels of a cell: integers with spaces or the like between, or one name."""
    words = re.split(r"[ ,;|]+", cell.strip("[]() "))
    return tuple(words) if all(to_integer(word) is not None for word in words) else (cell,)


def _is_number(text: str) -> bool:
    """Whether a label is a number, though no integer: a score, or nan."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _all_integers(cells: Iterable[str]) -> bool:
    return all(to_integer(cell) is not None for cell in cells)


def _is_factor(key: str, cells: Sequence[str]) -> bool:
    """Whether a column of integers tells videos apart by classes: it does not count or number them."""
    if _NO_LABEL.fullmatch(key) or not _all_integers(cells):
        return False
    return len(cells) < _MANY or len(set(cells)) < len(cells)
