"""AVA 2.1 and 2.2: boxes and actions of persons at one frame a second."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import re
from collections.abc import Iterator, Sequence

import numpy as np

from bod_keras.data.datasets.folders import VideoFiles
from bod_keras.data.datasets.named._annotations import annotation_file
from bod_keras.data.datasets.named.plain_pickle import read_pickle
from bod_keras.data.datasets.registry import DATASETS, DataSet
from bod_keras.data.datasets.text import csv_rows, lines_of, read_text, split_lines, to_integer
from bod_keras.data.record import Box, Catalog, Record, some
from bod_keras.errors import UserError

_FIRST, _LAST = 902, 1798  # the annotated seconds of every film
RATE = 30  # frames a second of AVA's extracted frames
_CLASSES = 80
_HALF_SEGMENT = 1.5  # AVA's segments are the 3 seconds around a key frame
_ACTIONS = re.compile(r'name:\s*"((?:[^"\\]|\\.)*)"\s*(?:label_)?id:\s*(\d+)')


def read_ava(
    files: VideoFiles,
    annotations: str,
    splits: tuple[str, ...],
    fold: int,
    *,
    version: str = "2.2",
    start: float = 0.0,
) -> Catalog:
    """Read the official files of AVA, one record a key frame that has a box.

    The record's `span` is the segment of 3 seconds around the key frame, in seconds of the file;
    its `labels`, and those of each box, are action ids less 1, for AVA counts from 1. Rows of one
    person become one box; a row without an action, or with the action -1, is a box without labels. Seconds
    of the list of excluded ones are left out. The test split has no boxes: its records are all key frames.
    Where a film is a folder of frames, which are taken at 30 a second, boxes have a `frame`, too.

    Args:
        files: the films, `{id}.mp4`, .mkv or .webm.
        annotations: folder of `ava_{split}_v{version}.csv`, the excluded timestamps and the action
            list (.pbtxt).
        splits: of "train", "val" and "test".
        fold: not used, there is one.
        version: "2.1" or "2.2".
        start: second of the film at which its file starts; 900 for the usual cuts of 15 minutes.

    Returns:
        A `Catalog` with 80 class names; ids that the action list leaves out are named "action N".

    Raises:
        FileNotFoundError: if a file is missing.
        UserError: if a line cannot be understood.
    """
    catalog = files.catalog(
        (r for split in splits for r in _listed(annotations, split, version, start)),
        _class_names(annotations, version),
    )
    return dataclasses.replace(catalog, records=[_with_frames(r) for r in catalog.records])


def read_ava_predictions(path: str | os.PathLike) -> dict[tuple[str, int], tuple[Box, ...]]:
    """Read predicted person boxes for AVA.

    Args:
        path: a .csv file like AVA's whose 7th column is empty and whose 8th is the score, or a .pkl
            file of proposals, a dict from "video,0902" to an array of x1 y1 x2 y2 score.

    Returns:
        `(video, second)` -> boxes with a score; times are seconds of the film.

    Raises:
        UserError: if the file cannot be understood.

    Example:
        >>> from bod_keras.data import read_ava_predictions
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = pathlib.Path(folder, "boxes.csv")
        ...     _ = table.write_text("-5KQ66BBWC4,0902,0.1,0.2,0.3,0.8,,0.97")
        ...     read_ava_predictions(table)["-5KQ66BBWC4", 902][0].score
        0.97
    """
    path = os.fspath(path)
    if path.endswith(".pkl"):
        content = read_pickle(path)
        if not isinstance(content, dict):
            raise UserError(f"{path} must hold a dict. Received: {type(content).__name__}")
        return {
            _proposal_key(key, path): _proposals(rows, key, path) for key, rows in content.items()
        }
    found: dict[tuple[str, int], list[Box]] = {}
    for place, video, second, corners, action, score in _rows(path):
        if action:
            raise UserError(f"{place}: a predicted box has no action. Received: {action!r}")
        box = Box(corners, time=float(second), score=_number(score, place, "a score"))
        found.setdefault((video, second), []).append(box)
    return {moment: tuple(several) for moment, several in found.items()}


def _proposal_key(key: object, path: str) -> tuple[str, int]:
    video, _, second = str(key).rpartition(",")
    number = to_integer(second)
    if not video or number is None:
        raise UserError(f"{path}: expected keys such as 'VIDEO,0902'. Received: {str(key)[:80]!r}")
    return video, number


def _proposals(rows: object, key: str, path: str) -> tuple[Box, ...]:
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] < 5:
        raise UserError(
            f"{path}, {key!r}: expected an array of rows x1 y1 x2 y2 score. Received: {str(rows)[:80]}"
        )
    if rows.dtype.kind not in "iuf" or not np.isfinite(rows).all():
        raise UserError(f"{path}, {key!r}: boxes and scores must be finite numbers.")
    for row in rows.tolist():
        _check_shares(row[:4], f"{path}, {key!r}")
    time = float(_proposal_key(key, path)[1])
    return tuple(Box(tuple(row[:4]), time=time, score=row[4]) for row in rows.tolist())


def read_ava_excluded(annotations: str, split: str, version: str) -> set[tuple[str, int]]:
    """Read the key frames that AVA's evaluation leaves out.

    Args:
        annotations: folder of `ava_{split}_excluded_timestamps_v{version}.csv`.
        split: "train", "val" or "test".
        version: "2.1" or "2.2".

    Returns:
        Pairs of video and second of the film.

    Raises:
        FileNotFoundError: if the file is missing.
    """
    dotted = re.escape(version)
    name = f"ava_{split}_excluded_timestamps_v{version}.csv"
    source = annotation_file(annotations, rf"ava_{split}_excluded_timestamps_v{dotted}\.csv", name)
    excluded = set()
    for line, text in lines_of(source):
        video, _, second = text.rpartition(",")
        place = f"{source}, line {line}"
        number = _number(second, place, "'VIDEO,SECOND'")
        if number % 1 or not video:
            raise UserError(f"{place}: expected 'VIDEO,SECOND'. Received: {text!r}")
        excluded.add((video, int(number)))
    return excluded


def _listed(annotations: str, split: str, version: str, start: float) -> Iterator[Record]:
    excluded = read_ava_excluded(annotations, split, version)
    for (video, second), boxes in _key_frames(annotations, split, version, start).items():
        if (video, second) not in excluded:
            time = second - start
            yield Record(
                video,
                split=split,
                labels=tuple(sorted({label for box in boxes for label in box.labels})),
                span=(time - _HALF_SEGMENT, time + _HALF_SEGMENT),
                boxes=boxes,
            )


def _with_frames(record: Record) -> Record:
    if not os.path.isdir(record.path):
        return record
    boxes = (dataclasses.replace(box, frame=round(box.time * RATE)) for box in record.boxes)
    return dataclasses.replace(record, boxes=tuple(boxes))


def _key_frames(
    annotations: str, split: str, version: str, start: float
) -> dict[tuple[str, int], tuple[Box, ...]]:
    dotted = re.escape(version)
    if split == "test":
        source = annotation_file(
            annotations, rf"ava_test_v{dotted}\.txt", f"ava_test_v{version}.txt"
        )
        return {(video, t): () for _, video in lines_of(source) for t in range(_FIRST, _LAST + 1)}
    source = annotation_file(
        annotations, rf"ava_{split}_v{dotted}\.csv", f"ava_{split}_v{version}.csv"
    )
    frames: dict[tuple[str, int], dict] = {}
    for place, video, second, corners, action, last in _rows(source):
        person = to_integer(last)
        if person is None:
            raise UserError(
                f"{place}: the eighth cell must be the number of the person. Received: {last!r}. Boxes with a "
                "score are predicted ones: name them as persons (--set=persons=FILE)."
            )
        labels = frames.setdefault((video, second), {}).setdefault((corners, person), {})
        if action not in ("", "-1"):
            number = to_integer(action)
            if number is None or not 1 <= number <= _CLASSES:
                raise UserError(
                    f"{place}: actions must lie in 1 to {_CLASSES}; -1 or an empty cell is no action. "
                    f"Received: {action!r}"
                )
            labels[number - 1] = None
    return {
        (video, second): tuple(
            Box(corners, tuple(labels), time=second - start, track=person)
            for (corners, person), labels in people.items()
        )
        for (video, second), people in frames.items()
    }


def _rows(source: str) -> Iterator[tuple]:
    """Rows of a table of AVA, which has no header: place, video, second, box, action, person or score."""
    for line, cells in csv_rows(source, split_lines(read_text(source))):
        if not cells:
            continue
        place = f"{source}, line {line}"
        if len(cells) != 8:
            raise _unlike_ava(place, cells)
        video, second, *corners, action, last = (cell.strip() for cell in cells)
        try:
            numbers = [float(cell) for cell in (second, *corners)]
        except ValueError:
            raise _unlike_ava(place, cells) from None
        if not video or not all(map(math.isfinite, numbers)) or numbers[0] % 1:
            raise _unlike_ava(place, cells)
        _check_shares(numbers[1:], place)
        yield place, video, int(numbers[0]), tuple(numbers[1:]), action, last


def _check_shares(corners: Sequence[float], place: str) -> None:
    if not all(-1 <= corner <= 2 for corner in corners):
        raise UserError(
            f"{place}: boxes must be shares of width and height, 0 to 1. Received: {some(corners, 4)}. "
            "Divide pixels by the size of the picture."
        )


def _unlike_ava(place: str, cells: list[str]) -> UserError:
    return UserError(
        f"{place}: expected 'video,second,x1,y1,x2,y2,action,person' without a header. "
        f"Received: {','.join(cells)[:200]!r}"
    )


def _number(text: str, place: str, expected: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{place}: expected {expected}. Received: {text!r}")
    return number


def _class_names(annotations: str, version: str) -> list[str]:
    dotted = re.escape(version)
    name = f"ava_action_list_v{version}.pbtxt"
    try:  # The whole list; the ones for the challenges keep 60 of the 80.
        source = annotation_file(annotations, rf"ava_action_list_v{dotted}\.pbtxt(\.txt)?", name)
    except FileNotFoundError:
        pattern = rf"ava_action_list_v{dotted}_for_activitynet_\d+\.pbtxt(\.txt)?"
        source = annotation_file(annotations, pattern, name)
    content = read_text(source)
    found = [(to_integer(number), text) for text, number in _ACTIONS.findall(content)]
    names = dict(found)
    whole = len(names) == len(found) == len(re.findall(r"\bname:", content))
    if not names or not whole or not all(number in range(1, _CLASSES + 1) for number in names):
        raise UserError(
            f"{source} must name actions, in blocks with a name in double quotes and then an id of 1 to "
            f"{_CLASSES}, each once. Received the ids: {some([number for number, _ in found], 8) or 'none'}"
        )
    return [names.get(number, f"action {number}") for number in range(1, _CLASSES + 1)]


for _version in ("2.1", "2.2"):
    for _suffix, _start in (("", 0.0), ("-15min", 900.0)):
        DATASETS.register(f"ava{_version}{_suffix}")(
            DataSet(
                functools.partial(read_ava, version=_version, start=_start),
                ("train", "val", "test"),
                evaluation="val",
            )
        )
