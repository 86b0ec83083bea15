"""Key frames: the moments of videos at which boxes are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bod_keras.data.record import Box, Record


@dataclass(frozen=True)
class KeyFrame:
    """One frame of a video and the boxes in it.

    Args:
        path: of the video.
        boxes: the boxes.
        frame: its number, counted from 0, or None where it is known by its time.
        time: seconds from the start of the file, or None where it is known by its number.

    Example:

    >>> KeyFrame("a.avi", (Box((0.1, 0.2, 0.3, 0.9), frame=7),), frame=7).time is None
    True
    """

    path: str
    boxes: tuple[Box, ...]
    frame: int | None = None
    time: float | None = None


def key_frames(records: Sequence[Record], every: int = 1) -> list[KeyFrame]:
    """Collect the frames of videos that have boxes.

    Args:
        records: with boxes, from `read_dataset`; those of AVA have one key frame each, those of UCF101-24
            nearly one a frame.
        every: take every so many-th annotated frame of a record, from its first on.

    Returns:
        `KeyFrame`s in the order of the records and of time.

    Raises:
        ValueError: if `every` is below 1, or no record has a box.

    Example:

    >>> boxes = [Box((0.1, 0.2, 0.3, 0.9), frame=n, track=0) for n in range(5)]
    >>> [one.frame for one in key_frames([Record("a.avi", boxes=tuple(boxes))], every=2)]
    [0, 2, 4]
    """
    if every < 1:
        raise ValueError(f"every must be at least 1 frame. Received: every={every}")
    found = []
    for record in records:
        moments: dict[tuple, list[Box]] = {}
        for box in record.boxes:
            moments.setdefault((box.frame, None if box.frame is not None else box.time), []).append(
                box
            )
        ordered = sorted(
            moments, key=lambda moment: [value for value in moment if value is not None]
        )
        for frame, time in ordered[::every]:
            boxes = tuple(moments[frame, time])
            found.append(KeyFrame(record.path, boxes, frame, time))
    if not found:
        raise ValueError(
            f"None of the {len(records)} videos has a box. Action detection needs a data set with boxes: "
            "ava2.1, ava2.2, ucf101-24 or boxes (docs/detection.md)."
        )
    return found
