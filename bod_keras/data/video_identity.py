"""Which video a record is, without reading its frames."""

from __future__ import annotations

import hashlib
import os

import numpy as np

from bod_keras.data.datasets.feature_files import FeatureRecord
from bod_keras.data.record import Record
from bod_keras.data.shards.shard_store import SHARD_KEY
from bod_keras.data.video.array_store import ArrayRecord
from bod_keras.storage import remote
from bod_keras.storage.remote_error import RemoteFileError


def video_identity(record: Record) -> list:
    """Return what distinguishes a video from others, and from itself after a change.

    Args:
        record: the video.

    Returns:
        What JSON can hold: of a file its absolute path, span, size and time of change; of an array its content.

    Example:
        >>> from bod_keras.data import Record
        >>> from bod_keras.data.video_identity import video_identity
        >>> video_identity(Record("nowhere.mp4"))[-1]
        'FileNotFoundError'
    """
    if isinstance(record, ArrayRecord):
        content = np.ascontiguousarray(record.video)
        return ["array", hashlib.sha256(content).hexdigest(), content.shape, record.span]
    if isinstance(record, FeatureRecord):
        return ["features", *video_identity(Record(record.file)), record.row]
    path, _, key = record.path.partition(SHARD_KEY)
    file = path + SHARD_KEY[:-1] if key else path
    if remote.is_remote(file):
        try:
            state = remote.size(file)
        except RemoteFileError as error:
            state = str(error)
        return [record.path, record.span, state]
    try:
        if os.path.isdir(file):
            entries = sorted(os.scandir(file), key=lambda entry: entry.name)
            state = [[e.name, e.stat().st_size, e.stat().st_mtime_ns] for e in entries]
        else:
            found = os.stat(file)
            state = [found.st_size, found.st_mtime_ns]
    except OSError as error:  # it is counted as broken when it is read
        state = type(error).__name__
    return [os.path.abspath(file), key, record.span, state]
