"""A short name of a video and its state."""

from __future__ import annotations

import hashlib
import json

from bod_keras.data.record import Record
from bod_keras.data.video_identity import video_identity


def video_key(record: Record) -> str:
    """Return "VIDEO-STATE": hashes of path and span, and of size and time of change.

    Example:
        >>> from bod_keras.data import Record
        >>> from bod_keras.library.video_key import video_key
        >>> len(video_key(Record("nowhere.mp4")))
        41
    """
    *video, state = video_identity(record)
    return f"{_hash(video)[:24]}-{_hash(state)[:16]}"


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
