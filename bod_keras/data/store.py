"""Video files behind a training stream: checked once, decoded on demand, cached, thread-safe."""

from __future__ import annotations

import threading

import numpy as np

from bod_keras.data.video import VideoError, probe, read_frames, readable_frames


class VideoStore:
    """Reads frames of many files from many threads and remembers which files are broken.

    A file that cannot be read at all, or is truncated, is found out when it is first touched and is
    not opened again. A file that is damaged in the middle fails only where the damage is. What a
    read gives is thus a function of the file and the frames, not of earlier reads.

    Args:
        cache_mb: decoded videos are kept up to this many MiB, first come first kept (with epochs of
            random order, pushing out old ones would only lose hits); 0 keeps none.

    Raises:
        ValueError: if `cache_mb` is negative.

    Example:

    >>> store = VideoStore(cache_mb=64)
    >>> store.skipped
    {}
    """

    def __init__(self, cache_mb: float = 0):
        if cache_mb < 0:
            raise ValueError(f"cache_mb must be at least 0. Received: cache_mb={cache_mb}")
        self._room = int(cache_mb * 2**20)
        self._lock = threading.Lock()
        self._lengths: dict[str, int] = {}
        self._broken: dict[str, str] = {}
        self._skipped: dict[str, str] = {}
        self._videos: dict[str, np.ndarray] = {}

    @property
    def skipped(self) -> dict[str, str]:
        """A copy of path -> reason for each file of which a read has failed."""
        with self._lock:
            return dict(self._skipped)

    def length(self, path: str) -> int:
        """Give the number of readable frames of a file.

        Args:
            path: a video file.

        Returns:
            The number, at least 1.

        Raises:
            VideoError: if the file is broken as a whole.
        """
        with self._lock:
            if path in self._lengths:
                return self._lengths[path]
            if path in self._broken:
                raise VideoError(path, self._broken[path])
        try:
            length = readable_frames(path)
        except VideoError as error:
            with self._lock:
                self._broken[path] = self._skipped[path] = error.reason
            raise
        with self._lock:
            self._lengths[path] = length
        self._keep(path, length)
        return length

    def frames(self, path: str, indices: np.ndarray) -> np.ndarray:
        """Give frames of a file.

        Args:
            path: a video file.
            indices: int array `(n,)`, each below `length(path)`.

        Returns:
            uint8 array `(n, height, width, 3)`, RGB.

        Raises:
            VideoError: if one of the frames cannot be decoded.
        """
        video = self._videos.get(path)
        if video is not None:
            return video[indices]
        try:
            return read_frames(path, indices)
        except VideoError as error:
            with self._lock:
                self._skipped[path] = error.reason
            raise

    def _keep(self, path: str, length: int) -> None:
        """Decode a whole video into the cache if there is room for it."""
        if not self._room:
            return
        info = probe(path)
        needed = length * info.height * info.width * 3
        with self._lock:
            if needed > self._room:
                return
            self._room -= needed
        try:
            video = read_frames(path, range(length))
        except VideoError:
            # Damaged somewhere in the middle: leave it to be read frame by frame, as without cache.
            with self._lock:
                self._room += needed
            return
        with self._lock:
            self._videos[path] = video
