"""Scored boxes of key frames as what the metrics take, and as a table."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bod_keras.data.datasets.key_frames import KeyFrame
from bod_keras.data.record import Record
from bod_keras.detection.frame_map import FrameBoxes
from bod_keras.detection.person_boxes import moment_of, video_names
from bod_keras.detection.tubes import Tube, link_tubes
from bod_keras.storage.atomic_file import atomic_file


def annotated_boxes(key_frames: Sequence[KeyFrame]) -> FrameBoxes:
    """Return the annotations of key frames, a row for each class of a box."""
    rows = [
        ((one.path, moment_of(one)), box.corners, label)
        for one in key_frames
        for box in one.boxes
        for label in box.labels
    ]
    frames, corners, labels = zip(*rows) if rows else ((), (), ())
    return FrameBoxes(frames, np.array(corners).reshape(-1, 4), np.array(labels, int))


def scored_boxes(key_frames: Sequence[KeyFrame], scores: Mapping[int, np.ndarray]) -> FrameBoxes:
    """Return the detections of key frames, a row for each box and class.

    Args:
        key_frames: with their boxes; a box that a person detector found has a score, which multiplies those
            of its classes.
        scores: from the position of a key frame to the class scores of its boxes (`score_boxes`).
    """
    rows = list(_scored(key_frames, scores))
    if not rows:
        return FrameBoxes((), np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    paths, moments, corners, values = zip(*rows)
    classes = len(values[0])
    return FrameBoxes(
        [frame for frame in zip(paths, moments) for _ in range(classes)],
        np.repeat(np.array(corners), classes, axis=0),
        np.tile(np.arange(classes), len(rows)),
        np.array(values, np.float64).ravel(),
    )


def annotated_tubes(records: Sequence[Record]) -> list[Tube]:
    """Return the tubes of records whose boxes have frame numbers and tracks."""
    tubes: dict[tuple, list] = {}
    for record in records:
        for box in record.boxes:
            for label in box.labels:
                rows = tubes.setdefault((record.path, box.track, label), [])
                rows.append((box.frame, box.corners))
    return [
        Tube(path, *(np.array(column) for column in zip(*sorted(rows))), label=label)
        for (path, _, label), rows in tubes.items()
    ]


def linked_tubes(
    key_frames: Sequence[KeyFrame], scores: Mapping[int, np.ndarray], gap: int
) -> list[Tube]:
    """Link the scored boxes of each video (`link_tubes`); arguments as of `scored_boxes`."""
    videos: dict[str, list] = {}
    for path, *row in _scored(key_frames, scores):
        videos.setdefault(path, []).append(row)
    return [
        tube
        for path, rows in videos.items()
        for tube in link_tubes(path, *(np.array(column) for column in zip(*rows)), gap=gap)
    ]


def write_detections(
    detections: FrameBoxes, path: str | os.PathLike, start: int = 0, folders: bool = False
) -> None:
    """Write detections as AVA's evaluation server takes them, without a header.

    A row is video, second (four digits) or frame, left, top, right, bottom as shares, class counted from 1,
    score; numbers have all their digits, so that the server counts what `frame_average_precision` counts.

    Args:
        detections: from `scored_boxes`, or those of them that count (`best_of_each_frame`).
        path: name of the file.
        start: second of the film at which the files start.
        folders: whether a video is named with its folder.
    """
    columns = detections.corners.tolist(), detections.labels.tolist(), detections.scores.tolist()
    with (
        atomic_file(path) as part,
        open(part, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        for (video, moment), corners, label, score in zip(detections.frames, *columns):
            name = video_names(video)[0 if folders else 1]
            writer.writerow([name, f"{moment + start:04d}", *corners, label + 1, score])


def _scored(key_frames: Sequence[KeyFrame], scores: Mapping[int, np.ndarray]) -> Iterator[tuple]:
    """Path, moment, corners and class scores of every scored box."""
    for i, of_boxes in scores.items():
        one = key_frames[i]
        for box, of_classes in zip(one.boxes, of_boxes):
            share = 1.0 if box.score is None else box.score
            yield one.path, moment_of(one), box.corners, of_classes * share
