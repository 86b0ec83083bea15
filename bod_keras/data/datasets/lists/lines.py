"""Lists without a header: one video a line."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

from bod_keras.data.datasets.lists.list_file import (
    EXTENSION,
    MANY,
    ListFile,
    Row,
    names_video,
    part_folder,
)
from bod_keras.data.datasets.text import csv_rows, to_integer
from bod_keras.data.record import some
from bod_keras.data.video.frame_folders import is_frame
from bod_keras.storage import remote
from bod_keras.storage.remote_error import without_secrets

_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_SINGLE = re.compile(r"'([^']+)'(?=[ \t,;]|$)")  # as shells quote
_SIGNED = re.compile(r"https?://[^?]*\?\S*(?=[ \t])", re.IGNORECASE)  # spaces end a query
# A number, or a word and a separator, before what has the extension of a video.
_BEFORE = re.compile(r"(-?\d+[ \t,;]|[^\"',;\t/]+[,;\t]).*\.\w+$", re.DOTALL)
_PROBED = 20  # folders of frames that are counted to tell numbers of frames from labels


def read_lines(file: ListFile, lines: Sequence[str]) -> list[Row]:
    """Read the rows of a list without a header."""
    rows: list[Row] = []
    frames = 0
    waiting: list[str] = []  # lines of a quoted path that has not ended
    first, quotes = 0, 0
    for number, line in enumerate(lines, start=1):
        if waiting:
            waiting.append(line)
        else:
            if not line.strip():
                continue
            if file.is_comment(line):
                file.comments += 1
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
        if label.isdigit() and label.isascii() and names_video(path) and text[0] not in "\"'":
            rows.append(Row(first, path, (label,)))  # as in most lists
            continue
        path, labels, counted = _parse(file, text, first)
        frames += counted
        rows.append(Row(first, path, labels))
    if waiting:
        raise file.error(
            first,
            "a path in double quotes does not end. Does the list break off there? Copy it again.",
        )
    file.remark_skipped()
    if _numbers_are_frames(file, rows):
        frames = len(rows)
        for row in rows:
            row.labels = ()
    if frames:
        file.remarks.append("frame counts ignored")
    return rows


def _parse(file: ListFile, text: str, line: int) -> tuple[str, tuple[str, ...], bool]:
    """Part a line into path and labels; say whether it held a number of frames, too."""
    single = _SINGLE.match(text)
    if single and not file.exists(single[0]):
        path, rest = single[1], text[single.end() :]
    elif text.startswith('"'):
        quoted = _QUOTED.match(text)
        path, rest = quoted[1].replace('""', '"'), text[quoted.end() :]
        if rest and rest[0] not in " \t,;":
            raise file.error(line, f"expected a separator after the quoted path: {text[:80]!r}")
    else:
        ends = [found.end() for found in EXTENSION.finditer(text)]
        signed = _SIGNED.match(text)
        if signed:
            path, rest = signed[0], text[signed.end() :]
        elif ends:
            path, rest = text[: ends[-1]], text[ends[-1] :]
        else:
            path, rest = part_folder(text)
    labels = _label_cells(file, rest, line)
    if not path:
        raise file.error(line, f"expected a path. Received: {text[:80]!r}")
    is_folder = not names_video(path)
    if is_folder and len(labels) > 1 and all(to_integer(one) is not None for one in labels):
        return path, labels[1:], True  # folder, frames, labels
    return path, labels, False


def _label_cells(file: ListFile, rest: str, line: int) -> tuple[str, ...]:
    rest = rest.strip(" \t")
    if not rest:
        return ()
    words = rest.replace(",", " ").replace(";", " ").split()
    if all(to_integer(word) is not None for word in words):
        return tuple(words)
    if rest[0] not in "\t,;" and not rest.startswith('"'):
        if to_integer(words[0]) is not None:
            raise file.error(
                line,
                f"expected integers, or the name of a class, after the path. Received: {rest[:80]!r}. Put "
                "a name that begins with a number in double quotes, a comment on a line of its own.",
            )
        return (rest,)
    delimiter, rest = (rest[0], rest[1:]) if rest[0] in "\t,;" else (" ", rest)
    ((_, cells),) = csv_rows(file.source, [rest], line, delimiter=delimiter)
    cells = [cell.strip() for cell in cells if cell.strip()]
    if len(cells) > 1 and not all(to_integer(cell) is not None for cell in cells):
        raise file.error(
            line,
            f"expected a path and a label. Received after the path: {some(cells)}. Give the list a header "
            "such as 'path,label,split'.",
        )
    return tuple(cells)


def _numbers_are_frames(file: ListFile, rows: Sequence[Row]) -> bool:
    """Whether the only number after every path is how many images that folder holds."""
    if remote.is_remote(file.base) or any(
        len(row.labels) != 1 or names_video(row.path) or to_integer(row.labels[0]) is None
        for row in rows
    ):
        return False
    found = 0
    for row in rows[:_PROBED]:
        try:
            images = sum(map(is_frame, os.listdir(os.path.join(file.base, row.path))))
        except OSError:
            continue
        if abs(images - to_integer(row.labels[0])) > 1:
            return False
        found += images > 0
    return found > 0


def check_ends(file: ListFile, rows: Sequence[Row], text: str) -> None:
    """Refuse labels before paths, a first line that is a header, and a last one that breaks off."""
    if len(rows) < 2:
        return
    _check_order(file, rows)
    like_videos = [names_video(row.path) for row in rows]
    first, last = rows[0], rows[-1]
    odd_first = not like_videos[0] and not file.exists(first.path)
    if odd_first and (all(like_videos[1:]) or all(map(_is_there(file), rows[1 : _PROBED + 1]))):
        raise file.error(
            first.line,
            f"{first.path!r} names no video, as all other lines do. If it is a header, the column of the "
            "files must be called 'path'.",
        )
    odd = [row for row, like in zip(rows, like_videos) if not like]
    if len(odd) < len(rows) / 2:
        absent = [row for row in odd[:MANY] if not file.exists(row.path)]
        if absent:
            where = some([f"line {row.line}: {without_secrets(row.path)[:40]}" for row in absent])
            file.remarks.append(f"{len(odd)} without a video's extension ({where})")
    if text.endswith(("\n", "\r")):
        return
    short = not last.labels and all(row.labels for row in rows[:-1])
    other = not like_videos[-1] and all(like_videos[:-1]) and not file.exists(last.path)
    if short or other:
        raise file.error(
            last.line,
            f"the list seems to break off there: the last line, {last.path!r}, has no line end and "
            f"{'no label' if short else 'no extension of a video'}, as all others have. Copy the list "
            "again; or end its last line.",
        )


def _is_there(file: ListFile) -> Callable[[Row], bool]:
    return lambda row: file.exists(row.path)


def _check_order(file: ListFile, rows: Sequence[Row]) -> None:
    """Refuse a list in which something stands before every path."""
    if remote.is_remote(file.base) or any(row.labels for row in rows):
        return
    parts = [_BEFORE.match(row.path) for row in rows]
    if all(parts) and not any(file.exists(row.path) for row in rows[:_PROBED]):
        first = parts[0]
        raise file.error(
            rows[0].line,
            f"expected a path, and its label after it. Received: {rows[0].path[:80]!r}. Does the label "
            f"{first[1]!r} stand before the path? Exchange them, or give the list a header such as "
            "'label,path'. Put a path that begins so in double quotes.",
        )


def check_last_label(file: ListFile, rows: Sequence[Row], text: str) -> None:
    """Refuse a last line without a line end whose label, of no other line, begins the name of another class."""
    if not rows or text.endswith(("\n", "\r")):
        return
    others = {row.labels[0] for row in rows[:-1] if row.labels}
    for name in rows[-1].labels:
        longer = [other for other in others if other.startswith(name)]
        if longer and name not in others and to_integer(name) is None:
            raise file.error(
                rows[-1].line,
                f"the list seems to break off there: it has no line end, and its label {name[:80]!r} begins "
                f"the name {longer[0][:80]!r}. Copy the list again; or end its last line.",
            )
