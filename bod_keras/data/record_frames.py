"""Which frames of its file a record is."""

from __future__ import annotations

from collections.abc import Sequence

from bod_keras.data.choose_store import open_store
from bod_keras.data.record import Record
from bod_keras.data.video.store import FrameStore
from bod_keras.data.video.video_errors import video_errors
from bod_keras.data.video.video_file import VideoError


def record_frames(store: FrameStore, record: Record) -> tuple[int, int]:
    """Gives the first frame, and the number of frames, of a record's part of its video.

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
    fps = store.fps(record.path)
    if not fps:
        raise VideoError(record.path, "it has no frame rate, which a span in seconds needs")
    first, last = (round(second * fps) for second in record.span)
    last = min(length, max(last, first + 1))
    if first >= last:
        raise VideoError(
            record.path,
            f"the span {record.span[0]:g} to {record.span[1]:g} s begins after the end of the "
            f"video, at {length / fps:.2f} s",
        )
    return first, last - first


def video_lengths(records: Sequence[Record]) -> list[int | None]:
    """Counts the frames of videos, without decoding them where their files say it.

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
