"""What is known of one video: labels, split, span, boxes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)  # a data set has up to a million
class Box:
    """A labelled box in one frame of a video.

    Args:
        corners: `(x1, y1, x2, y2)`, left, top, right and bottom as shares of width and height; a
            box that reaches out of the frame as annotated stays as it is.
        labels: class numbers; several where a person does several things at once.
        time: seconds from the start of the file, or None where the annotation counts frames.
        frame: frame number, counted from 0, or None where the annotation counts seconds.
        track: number of the person or tube within its video, or None.
        score: of a predicted box, or None.

    Example:

    >>> from bod_keras.data import Box
    >>> Box((0.1, 0.2, 0.3, 0.9), labels=(11, 79), time=902.0).time
    902.0
    """

    corners: tuple[float, float, float, float]
    labels: tuple[int, ...] = ()
    time: float | None = None
    frame: int | None = None
    track: int | None = None
    score: float | None = None


@dataclass(frozen=True)
class Record:
    """One video and what is known of it.

    Args:
        path: the file, or a folder of frames.
        label: class number, or None.
        factors: named integer factors, for example `{"static": 3, "dynamic": 5}`.
        split: name of the split it belongs to, or None.
        labels: class numbers where a video has several.
        span: `(start, end)` in seconds of the part of the file that the record is; None for all.
        boxes: boxes in frames of the file.

    Example:

    >>> from bod_keras.data import Record
    >>> Record("a.avi", factors={"static": 3}).factors["static"]
    3
    """

    path: str
    label: int | None = None
    factors: dict[str, int] = field(default_factory=dict)
    split: str | None = None
    labels: tuple[int, ...] = ()
    span: tuple[float, float] | None = None
    boxes: tuple[Box, ...] = ()
