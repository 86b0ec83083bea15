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


class MixedStore(FrameStore):
    """What `open_store` gives: it asks the store of the path's kind; cache and broken videos are its own."""

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
