"""What is known of videos: of one, its labels, split, span and boxes; of a data set, its videos and classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bod_keras.storage.remote_error import without_secrets


@dataclass(frozen=True, slots=True)  # a data set has up to a million
class Box:
    """A labeled box in one frame of a video.

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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True)
class Catalog:
    """The videos of a data set, matched with their annotations.

    Args:
        records: what annotations and files both have; `path` is the file.
        class_names: names of the classes, in the order of their numbers.
        flip_safe: whether a clip that is flipped left to right keeps its label.
        missing: annotated names for which there is no file.
        blocked: path -> reason of what a blocklist leaves out.
        remarks: what was not taken as it stands: columns ignored, equal rows merged.

    Example:
        >>> from bod_keras.data import Catalog, Record
        >>> Catalog([Record("UCF-101/Archery/a.avi", label=0)], ["Archery"]).summary()
        '1 video, 1 label, 1 class'
    """

    records: list[Record]
    class_names: list[str] = field(default_factory=list)
    flip_safe: bool = True
    missing: list[str] = field(default_factory=list)
    blocked: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list, compare=False)

    def summary(self) -> str:
        """Say in one line what was read, and what of it was not taken as it stands.

        Returns:
            A line such as `"12 videos, 12 labels, 3 classes; column num_frames ignored"`.
        """
        labels = [record.label for record in self.records if record.label is not None]
        several = [label for record in self.records for label in record.labels]
        found = [_count(len({record.path for record in self.records}), "video")]
        if len(self.records) != len({record.path for record in self.records}):
            found.insert(0, f"{_count(len(self.records), 'record')} of")
        if labels or several:
            found.append(_count(len(labels) + len(several), "label"))
            found.append(_count(len(self.class_names) or len({*labels, *several}), "class"))
        factors = sorted({name for record in self.records for name in record.factors})
        if factors:
            found.append(f"{'factor' if len(factors) == 1 else 'factors'} {' and '.join(factors)}")
        if not (labels or several or factors):
            found.append("no labels")
        return "; ".join([", ".join(found).replace(" of,", " of"), *self.remarks])


def some(names: Sequence[object], most: int = 3) -> str:
    """Name the first of many things, on one line and without what signs an address.

    Example:
        >>> from bod_keras.data.record import some
        >>> some([4, 7, 9, 12])
        '4, 7, 9 ...'
    """
    shown = (without_secrets(str(name)) for name in names[:most])
    return ", ".join(shown) + (" ..." if len(names) > most else "")


def _count(number: int, noun: str) -> str:
    plural = {"class": "classes"}.get(noun, f"{noun}s")
    return f"{number:,} {noun if number == 1 else plural}"
