"""Videos behind a training stream: checked once, decoded on demand, cached, thread-safe."""

from __future__ import annotations

import abc
import dataclasses
import threading
from collections.abc import Callable, Iterator

import numpy as np

from bod_keras.data.video.video import (
    frame_times,
    iterate_frames,
    probe,
    read_frames,
    readable_frames,
)
from bod_keras.data.video.video_file import VideoError, VideoInfo
from bod_keras.errors import UserError

# Frames that `FrameStore.stream` decodes at once.
_STREAM_BLOCK = 8

Cut = Callable[[np.ndarray, int], np.ndarray]


class FrameStore(abc.ABC):
    """Reads frames of many videos from many threads and remembers which of them are broken.

    A video that cannot be read at all, or is truncated, is found out when it is first touched and
    is not opened again. One that is damaged in the middle fails only where the damage is. What a
    read gives is thus a function of the video and the frames, not of earlier reads.

    A subclass says how one kind of video is measured and decoded: `measure` and `decode`.

    Args:
        cache_mb: decoded videos are kept up to this many MiB, first come first kept (with epochs of
            random order, pushing out old ones would only lose hits); 0 keeps none.

    Raises:
        ValueError: if `cache_mb` is negative.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import FrameStore, VideoInfo
        >>> class Gray(FrameStore):
        ...     def measure(self, path):
        ...         return VideoInfo(frames=8, fps=None, height=4, width=4)
        ...
        ...     def decode(self, path, indices):
        ...         return np.full((len(indices), 4, 4, 3), 128, np.uint8)
        >>> Gray().frames("any", [0, 5]).shape
        (2, 4, 4, 3)
    """

    def __init__(self, cache_mb: float = 0):
        if cache_mb < 0:
            raise UserError(f"cache_mb must be at least 0. Received: cache_mb={cache_mb}")
        self._room = int(cache_mb * 2**20)
        self._lock = threading.Lock()
        self._known: dict[str, VideoInfo] = {}
        self._broken: dict[str, str] = {}
        self._skipped: dict[str, str] = {}
        # None: a thread is decoding it.
        self._videos: dict[str, np.ndarray | None] = {}

    @abc.abstractmethod
    def measure(self, path: str) -> VideoInfo:
        """Find out length, rate and size of a video, or raise `VideoError`."""

    @abc.abstractmethod
    def decode(self, path: str, indices: np.ndarray) -> np.ndarray:
        """Give frames as `frames` does, or raise `VideoError`."""

    def decode_cut(self, path: str, indices: np.ndarray, cut: Cut) -> np.ndarray:
        """Give what `cut` makes of frames, or raise `VideoError`."""
        return _cut_all(self.decode(path, indices), cut)

    def stream(self, path: str) -> Iterator[np.ndarray]:
        """Give all frames of a video in order, few of them in memory at a time.

        Args:
            path: of a `Record`.

        Yields:
            uint8 arrays `(height, width, 3)`, RGB.

        Raises:
            VideoError: if a frame cannot be decoded.
        """
        length = self.length(path)
        for start in range(0, length, _STREAM_BLOCK):
            yield from self.decode(path, np.arange(start, min(start + _STREAM_BLOCK, length)))

    @property
    def skipped(self) -> dict[str, str]:
        """A copy of path -> reason for each video of which a read has failed."""
        with self._lock:
            return dict(self._skipped)

    def length(self, path: str) -> int:
        """Give the number of readable frames of a video.

        Args:
            path: of a `Record`.

        Returns:
            The number, at least 1.

        Raises:
            VideoError: if the video is broken as a whole.
        """
        return self._info(path).frames

    def fps(self, path: str) -> float | None:
        """Give the frames a second of a video.

        Args:
            path: of a `Record`.

        Returns:
            The rate, or None if it is not known.

        Raises:
            VideoError: if the video is broken as a whole.
        """
        return self._info(path).fps

    def times(self, path: str) -> np.ndarray:
        """Give the times at which the frames of a video are shown.

        Args:
            path: of a `Record`.

        Returns:
            float64 array `(length,)` of seconds from the start of the file.

        Raises:
            VideoError: if the video is broken as a whole, or has no frame rate.
        """
        if not (fps := self.fps(path)):
            raise VideoError(path, "it has no frame rate, which times in seconds need")
        return np.arange(self.length(path)) / fps

    def frames(self, path: str, indices: np.ndarray, cut: Cut | None = None) -> np.ndarray:
        """Give frames of a video.

        Args:
            path: of a `Record`.
            indices: int array `(n,)`, each below `length(path)`.
            cut: called as `cut(frame, row)` with a frame `(height, width, 3)` and its place in
                `indices`; what it cuts out takes the frame's place. It must not depend on the order
                of the colors.

        Returns:
            uint8 array `(n, height, width, 3)`, RGB.

        Raises:
            VideoError: if one of the frames cannot be decoded.
        """
        video = self._videos.get(path)
        if video is not None:
            return video[indices] if cut is None else _cut_all(video[indices], cut)
        try:
            if cut is None:
                return self.decode(path, indices)
            return self.decode_cut(path, indices, cut)
        except VideoError as error:
            with self._lock:
                self._skipped[path] = error.reason
            raise

    def _info(self, path: str) -> VideoInfo:
        with self._lock:
            if path in self._known:
                return self._known[path]
            if path in self._broken:
                raise VideoError(path, self._broken[path])
        try:
            info = self.measure(path)
        except VideoError as error:
            with self._lock:
                self._broken[path] = self._skipped[path] = error.reason
            raise
        with self._lock:
            self._known[path] = info
        self._keep(path, info)
        return info

    def _keep(self, path: str, info: VideoInfo) -> None:
        """Decode a whole video into the cache if there is room for it."""
        needed = info.frames * info.height * info.width * 3
        with self._lock:
            if needed > self._room or path in self._videos:
                return
            self._room -= needed
            self._videos[path] = None
        try:
            video = self.decode(path, np.arange(info.frames))
        except VideoError:
            # Damaged somewhere in the middle: leave it to be read frame by frame, as without cache.
            with self._lock:
                self._room += needed
            return
        with self._lock:
            self._videos[path] = video


class VideoStore(FrameStore):
    """The `FrameStore` of video files.

    Args:
        cache_mb: decoded videos are kept up to this many MiB; 0 keeps none.

    Raises:
        ValueError: if `cache_mb` is negative.

    Example:
        >>> from bod_keras.data import VideoStore
        >>> store = VideoStore(cache_mb=64)
        >>> store.skipped
        {}
    """

    def measure(self, path: str) -> VideoInfo:
        frames = readable_frames(path)
        return dataclasses.replace(probe(path), frames=frames)

    def decode(self, path: str, indices: np.ndarray) -> np.ndarray:
        return read_frames(path, indices)

    def decode_cut(self, path: str, indices: np.ndarray, cut: Cut) -> np.ndarray:
        return read_frames(path, indices, cut)

    def stream(self, path: str) -> Iterator[np.ndarray]:
        # In one pass: seeking to each block would decode much of the file again.
        self.length(path)  # so that a truncated file gives nothing
        return iterate_frames(path)

    def times(self, path: str) -> np.ndarray:
        self.length(path)
        return frame_times(path)


def _cut_all(frames: np.ndarray, cut: Cut) -> np.ndarray:
    return np.stack([cut(frame, row) for row, frame in enumerate(frames)])
