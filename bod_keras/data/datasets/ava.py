"""AVA 2.1 and 2.2: boxes and actions of persons at one frame a second."""

from __future__ import annotations

import csv
import dataclasses
import os
import re
from collections.abc import Iterator

from bod_keras.data.datasets.base import Catalog, annotation_file, lines_of
from bod_keras.data.datasets.files import VideoFiles
from bod_keras.data.datasets.restricted_pickle import read_pickle
from bod_keras.data.record import Box, Record
from bod_keras.errors import UserError

_FIRST, _LAST = 902, 1798  # the annotated seconds of every film
RATE = 30  # frames a second of AVA's extracted frames
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
    person become one box; a row without an action is a box without labels. Seconds of the list of
    excluded ones are left out. The test split has no boxes: its records are all key frames. Where a
    film is a folder of frames, which are taken at 30 a second, boxes have a `frame`, too.

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
        ValueError: if a line cannot be understood.
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
        ValueError: if the file cannot be understood.

    Example:

    >>> from bod_keras.data import read_ava_predictions
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = pathlib.Path(folder, "boxes.csv")
    ...     _ = table.write_text("-5KQ66BBWC4,0902,0.1,0.2,0.3,0.8,,0.97")
    ...     read_ava_predictions(table)["-5KQ66BBWC4", 902][0].score
    0.97
    """
    path, boxes = os.fspath(path), {}
    if path.endswith(".pkl"):
        for key, rows in read_pickle(path).items():
            video, _, second = key.rpartition(",")
            boxes[video, int(second)] = tuple(
                Box(tuple(row[:4]), time=float(second), score=row[4]) for row in rows.tolist()
            )
        return boxes
    for video, second, corners, action, score in _rows(path):
        if action:
            raise UserError(f"{path}: a predicted box has no action. Received: {action!r}")
        box = Box(corners, time=float(second), score=float(score))
        boxes[video, second] = (*boxes.get((video, second), ()), box)
    return boxes


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
    rows = {tuple(line.split(",")) for line in lines_of(source)}
    return {(video, int(float(second))) for video, second in rows}


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
        return {(video, t): () for video in lines_of(source) for t in range(_FIRST, _LAST + 1)}
    source = annotation_file(
        annotations, rf"ava_{split}_v{dotted}\.csv", f"ava_{split}_v{version}.csv"
    )
    frames: dict[tuple[str, int], dict] = {}
    for video, second, corners, action, person in _rows(source):
        labels = frames.setdefault((video, second), {}).setdefault((corners, person), [])
        if action:
            labels.append(int(action) - 1)
    return {
        (video, second): tuple(
            Box(corners, tuple(labels), time=second - start, track=int(person))
            for (corners, person), labels in people.items()
        )
        for (video, second), people in frames.items()
    }


def _rows(source: str) -> Iterator[tuple]:
    """Rows of a table of AVA, which has no header: video, second, box, action, person or score."""
    with open(source, encoding="utf-8-sig", newline="") as stream:
        for row in csv.reader(stream):
            try:
                video, second, *corners, action, last = row
                x1, y1, x2, y2 = map(float, corners)
                yield video, int(float(second)), (x1, y1, x2, y2), action, last
            except ValueError:
                raise UserError(
                    f"{source}: expected 'video,second,x1,y1,x2,y2,action,person' without a header. "
                    f"Received: {','.join(row)!r}"
                ) from None


def _class_names(annotations: str, version: str) -> list[str]:
    dotted = re.escape(version)
    name = f"ava_action_list_v{version}.pbtxt"
    try:  # The whole list; the ones for the challenges keep 60 of the 80.
        source = annotation_file(annotations, rf"ava_action_list_v{dotted}\.pbtxt(\.txt)?", name)
    except FileNotFoundError:
        pattern = rf"ava_action_list_v{dotted}_for_activitynet_\d+\.pbtxt(\.txt)?"
        source = annotation_file(annotations, pattern, name)
    with open(source, encoding="utf-8-sig") as stream:
        names = {int(number): text for text, number in _ACTIONS.findall(stream.read())}
    if not names:
        raise UserError(f"{source} names no action. Expected blocks with a name and an id.")
    return [names.get(number, f"action {number}") for number in range(1, 81)]
