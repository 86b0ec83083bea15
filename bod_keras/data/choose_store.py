"""One store for records of every kind: video files, folders of frames, shards, arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np

from bod_keras.data.record import Record
from bod_keras.data.shards.shard_store import SHARD_KEY, ShardStore
from bod_keras.data.video.array_store import ArrayRecord, ArrayStore
from bod_keras.data.video.frame_folder_store import FrameFolderStore
from bod_keras.data.video.store import Cut, FrameStore, VideoStore
from bod_keras.data.video.video_file import VideoInfo


def open_store(
    records: Iterable[Record], cache_mb: float = 0, fps: float | None = None
) -> FrameStore:
    """Give a `FrameStore` that reads what the records name, of whatever kind, or of several.

    Args:
        records: from `read_catalog`, `array_records`, or both.
        cache_mb: decoded videos are kept up to this many MiB; 0 keeps none.
        fps: frames a second of folders of frames, or None if it is not known.

    Returns:
        The store; nothing is opened yet.

    Raises:
        ValueError: if an argument is out of range, or two arrays have the same path.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import open_store
        >>> from bod_keras.data import array_records
        >>> records = array_records(np.zeros((2, 16, 8, 8, 3), np.uint8))
        >>> open_store(records).length("array#1")
        16
    """
    return _MixedStore(records, cache_mb, fps)


class _MixedStore(FrameStore):
    """Asks the store of the path's kind; cache and list of broken videos are its own."""

    def __init__(self, records: Iterable[Record], cache_mb: float, fps: float | None):
        super().__init__(cache_mb)
        arrays = [record for record in records if isinstance(record, ArrayRecord)]
        self._array_paths = {record.path for record in arrays}
        self._arrays = ArrayStore(arrays)
        self._shards = ShardStore()
        self._folders = FrameFolderStore(fps=fps)
        self._files = VideoStore()

    def measure(self, path: str) -> VideoInfo:
        return self._store(path).measure(path)

    def decode(self, path: str, indices: np.ndarray) -> np.ndarray:
        return self._store(path).decode(path, indices)

    def decode_cut(self, path: str, indices: np.ndarray, cut: Cut) -> np.ndarray:
        return self._store(path).decode_cut(path, indices, cut)

    def stream(self, path: str) -> Iterator[np.ndarray]:
        return self._store(path).stream(path)

    def times(self, path: str) -> np.ndarray:
        return self._store(path).times(path)

    def _store(self, path: str) -> FrameStore:
        if path in self._array_paths:
            return self._arrays
        if SHARD_KEY in path and not os.path.isfile(path):
            return self._shards
        return self._folders if os.path.isdir(path) else self._files
