"""Key frames: the moments of videos at which boxes are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bod_keras.data.record import Box, Record
from bod_keras.errors import UserError


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """One frame of a video and the boxes in it.

    Args:
        path: of the video.
        boxes: the boxes.
        frame: its number, counted from 0, or None where it is known by its time.
        time: seconds from the start of the file, or None where it is known by its number.

    Example:
        >>> from bod_keras.data import Box, KeyFrame
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
        records: with boxes, from `read_dataset`; of AVA one record a key frame, of UCF101-24 one a video.
        every: which annotated frames of a video are taken: each `every`-th, from its first on.

    Returns:
        `KeyFrame`s, video by video, in the order of time.

    Raises:
        UserError: if `every` is below 1, or no record has a box.

    Example:
        >>> from bod_keras.data import Box, Record, key_frames
        >>> boxes = [Box((0.1, 0.2, 0.3, 0.9), frame=n, track=0) for n in range(5)]
        >>> [one.frame for one in key_frames([Record("a.avi", boxes=tuple(boxes))], every=2)]
        [0, 2, 4]
    """
    if every < 1:
        raise UserError(f"every must be at least 1 frame. Received: every={every}")
    videos: dict[str, dict[tuple, list[Box]]] = {}
    for record in records:
        for box in record.boxes:
            moments = videos.setdefault(record.path, {})
            moments.setdefault((box.frame, box.time), []).append(box)
    if not videos:
        raise UserError(
            f"None of the {len(records)} videos has a box. Action detection needs a data set with boxes: "
            "ava2.1, ava2.2, ucf101-24 or boxes (docs/detection.md)."
        )
    found = []
    for path, moments in videos.items():
        frames = [KeyFrame(path, tuple(boxes), *moment) for moment, boxes in moments.items()]
        found += sorted(frames, key=in_time)[::every]
    return found


def in_time(key_frame: KeyFrame) -> float:
    """Give what orders the key frames of one video: the number, or the time where there is none."""
    return key_frame.time if key_frame.frame is None else key_frame.frame
