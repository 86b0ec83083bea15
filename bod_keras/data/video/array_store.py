"""Videos that are NumPy arrays already, in memory or mapped from a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bod_keras.data.record import Record
from bod_keras.data.video.store import FrameStore
from bod_keras.data.video.video_file import VideoError, VideoInfo
from bod_keras.errors import UserError


@dataclass(frozen=True)
class ArrayRecord(Record):
    """A `Record` whose video is an array; made by `array_records`.

    Args:
        video: uint8 array `(frames, height, width, 3)`, RGB.
        fps: frames a second, or None.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import ArrayRecord
        >>> ArrayRecord("array#0", label=3, video=np.zeros((8, 4, 4, 3), np.uint8)).label
        3
    """

    video: np.ndarray | None = field(default=None, repr=False, compare=False)
    fps: float | None = None


def array_records(
    videos: np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray],
    labels: Sequence[int] | None = None,
    *,
    split: str | None = None,
    fps: float | None = None,
    name: str = "array",
) -> list[ArrayRecord]:
    """Make records of arrays, which are read like any others.

    Nothing is copied: an array that is mapped from a file (`numpy.load(..., mmap_mode="r")`) is
    read frame by frame.

    Args:
        videos: uint8 array `(n, frames, height, width, 3)`, RGB; or a list, or a dictionary
            name -> array, of arrays `(frames, height, width, 3)` of any sizes.
        labels: class number of each video, or None.
        split: name of the split they belong to, or None.
        fps: frames a second, or None.
        name: what the paths begin with, `name#i` (or `name#key`); give different ones to arrays
            that are mixed.

    Returns:
        List of `ArrayRecord`, a `Record` each.

    Raises:
        ValueError: if an array has another type or shape, or the number of labels differs.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import array_records
        >>> clips = np.zeros((5, 16, 32, 32, 3), np.uint8)
        >>> records = array_records(clips, labels=[0, 0, 1, 1, 2])
        >>> records[4].path, records[4].label
        ('array#4', 2)
    """
    pairs = list(videos.items() if isinstance(videos, Mapping) else enumerate(videos))
    if not pairs:
        raise UserError("videos must hold at least one video. Received: none")
    if labels is not None and len(labels) != len(pairs):
        raise UserError(
            "labels must hold one class number a video. "
            f"Received: {len(labels)} labels, {len(pairs)} videos"
        )
    for key, video in pairs:
        _check_video(key, video)
    numbers = [None] * len(pairs) if labels is None else [int(label) for label in labels]
    return [
        ArrayRecord(f"{name}#{key}", label=label, split=split, video=video, fps=fps)
        for (key, video), label in zip(pairs, numbers)
    ]


class ArrayStore(FrameStore):
    """The `FrameStore` of arrays.

    Args:
        records: from `array_records`.

    Raises:
        ValueError: if two records with the same path hold different arrays.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import ArrayStore, array_records
        >>> store = ArrayStore(array_records(np.zeros((2, 16, 8, 8, 3), np.uint8)))
        >>> store.length("array#1"), store.frames("array#1", [3, 5]).shape
        (16, (2, 8, 8, 3))
    """

    def __init__(self, records: Iterable[ArrayRecord]):
        super().__init__()
        self._records: dict[str, ArrayRecord] = {}
        for record in records:
            if self._records.setdefault(record.path, record).video is not record.video:
                raise UserError(
                    f"Two different arrays have the path {record.path!r}. Give array_records "
                    "another name for each set of arrays."
                )

    def measure(self, path: str) -> VideoInfo:
        if path not in self._records:
            raise VideoError(path, "there is no such array")
        frames, height, width, _ = self._records[path].video.shape
        return VideoInfo(frames, self._records[path].fps, height, width)

    def decode(self, path: str, indices: np.ndarray) -> np.ndarray:
        video = self._records[path].video
        if max(indices) >= len(video):
            raise VideoError(path, f"there is no frame {max(indices)}, only {len(video)}")
        return np.asarray(video[indices])


def _check_video(key: int | str, video: np.ndarray) -> None:
    dtype, shape = getattr(video, "dtype", None), getattr(video, "shape", ())
    if dtype != np.uint8 or len(shape) != 4 or shape[-1] != 3 or not all(shape):
        raise UserError(
            "A video must be a uint8 array (frames, height, width, 3) with values 0 to 255. "
            f"Received: video {key!r} is {type(video).__name__} {dtype} {tuple(shape)}"
        )
