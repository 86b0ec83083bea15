"""Which frames of its file a record is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bod_keras.data.open_store import open_store
from bod_keras.data.record import Record
from bod_keras.data.video.store import FrameStore
from bod_keras.data.video.video_file import VideoError, video_errors

# Containers round times to milliseconds.
_ROUNDING = 0.5e-3


def record_frames(store: FrameStore, record: Record) -> tuple[int, int]:
    """Give the first frame, and the number of frames, of a record's part of its video.

    A span holds the frames that are shown from its start on and before its end: 25 in one second at 25 a
    second, wherever it begins; at least one.

    Args:
        store: that can read the record.
        record: with a span in seconds, or without one: then it is the whole video.

    Returns:
        `(first, number)`, the latter at least 1.

    Raises:
        VideoError: if the video cannot be read, has no frame rate, or ends before the span begins.

    Example:
        >>> from bod_keras.data import open_store
        >>> from bod_keras.data.record_frames import record_frames
        >>> import numpy as np
        >>> from bod_keras.data import array_records
        >>> (record,) = array_records(np.zeros((1, 16, 8, 8, 3), np.uint8))
        >>> record_frames(open_store([record]), record)
        (0, 16)
    """
    length = store.length(record.path)
    if record.span is None:
        return 0, length
    times = store.times(record.path)
    first, last = np.searchsorted(times, np.array(record.span) - _ROUNDING).tolist()
    if first == length:
        raise VideoError(
            record.path,
            f"the span {record.span[0]:g} to {record.span[1]:g} s begins after the end of the "
            f"video, at {times[-1] + 1 / (store.fps(record.path) or np.inf):.2f} s",
        )
    return first, max(last - first, 1)


def frame_at(store: FrameStore, path: str, seconds: float) -> int:
    """Give the number of the frame that is shown nearest to a time.

    Args:
        store: that can read the video.
        path: of the video.
        seconds: from the start of the file.

    Returns:
        The number, counted from 0.

    Raises:
        VideoError: if the video cannot be read, has no frame rate, or has ended by then.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import array_records, open_store
        >>> from bod_keras.data.record_frames import frame_at
        >>> records = array_records(np.zeros((1, 16, 8, 8, 3), np.uint8), fps=8.0)
        >>> frame_at(open_store(records), "array#0", 1.49)
        12
    """
    times = store.times(path)
    if seconds >= (end := times[-1] + 1 / (store.fps(path) or np.inf)):
        raise VideoError(path, f"it ends at {end:.2f} s, its annotation asks for {seconds:g} s")
    return int(np.abs(times - seconds).argmin())


def video_lengths(records: Sequence[Record]) -> list[int | None]:
    """Count the frames of videos, without decoding them where their files say it.

    Args:
        records: the videos.

    Returns:
        A number of frames for each; None of a video that cannot be read.

    Raises:
        OSError: if their storage does not answer.

    Example:
        >>> from bod_keras.data import Record
        >>> from bod_keras.data.record_frames import video_lengths
        >>> import numpy as np
        >>> from bod_keras.data import array_records
        >>> video_lengths([*array_records(np.zeros((1, 16, 8, 8, 3), np.uint8)), Record("nowhere.avi")])
        [16, None]
    """
    store = open_store(records)
    found: list[int | None] = []
    for record in records:
        try:
            with video_errors(record.path):
                found.append(record_frames(store, record)[1])
        except VideoError:
            found.append(None)
    return found
