"""Lists without a header: one video a line."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

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

_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
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
        if label.isdigit() and label.isascii() and names_video(path) and text[0] != '"':
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
    if text.startswith('"'):
        quoted = _QUOTED.match(text)
        path, rest = quoted[1].replace('""', '"'), text[quoted.end() :]
        if rest and rest[0] not in " \t,;":
            raise file.error(line, f"expected a separator after the quoted path: {text[:80]!r}")
    else:
        ends = [found.end() for found in EXTENSION.finditer(text)]
        if ends:
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
        found += 1
    return found > 0


def check_ends(file: ListFile, rows: Sequence[Row], text: str) -> None:
    """Refuse a first line that is a header, and a last one that breaks off."""
    if len(rows) < 2:
        return
    like_videos = [names_video(row.path) for row in rows]
    first, last = rows[0], rows[-1]
    if not like_videos[0] and all(like_videos[1:]) and not file.exists(first.path):
        raise file.error(
            first.line,
            f"{first.path!r} names no video, as all other lines do. If it is a header, the column of the "
            "files must be called 'path'.",
        )
    odd = [row for row, like in zip(rows, like_videos) if not like]
    if len(odd) < len(rows) / 2:
        absent = [row for row in odd[:MANY] if not file.exists(row.path)]
        if absent:
            where = some([f"line {row.line}: {row.path[:40]}" for row in absent])
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
