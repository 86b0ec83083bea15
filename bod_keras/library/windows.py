"""Which parts of a video are embedded: all of it, or a window every few seconds."""

from __future__ import annotations

import dataclasses
import functools

from bod_keras.data.loading.clips import clip_span
from bod_keras.data.open_store import open_store
from bod_keras.data.record import Record
from bod_keras.data.record_frames import record_frames
from bod_keras.data.video.video_file import VideoError, video_errors


def windows(duration: float, every: float, clip: float) -> list[tuple[float, float]]:
    """Return windows that begin at regular times, each at least as long as a clip.

    Window i is `[i every, i every + max(every, clip))`; the last one is moved back to end with the video. So
    every moment lies in one, and none needs frames twice but where the video itself is shorter than a clip.

    Args:
        duration: of the video, seconds.
        every: distance of two beginnings, seconds.
        clip: duration of a clip, seconds.

    Returns:
        `(start, end)` of each, in seconds; at least one.

    Example:
        >>> from bod_keras.library.windows import windows
        >>> windows(duration=5.0, every=2.0, clip=0.5)
        [(0.0, 2.0), (2.0, 4.0), (3.0, 5.0)]
        >>> windows(duration=0.3, every=2.0, clip=0.5)
        [(0.0, 0.3)]
    """
    length = max(every, clip)
    found = [(0.0, min(length, duration))]
    while found[-1][1] < duration - 1e-6:
        start = len(found) * every
        found.append((max(0.0, min(start, duration - length)), min(start + length, duration)))
    return found


@dataclasses.dataclass(frozen=True)
class Measure:
    """Find the windows of videos, in any process.

    Args:
        frames, stride: of a clip.
        every: seconds between the beginnings of two windows; None for one window, the whole video.
    """

    frames: int
    stride: int
    every: float | None

    def __call__(
        self, item: tuple[int, Record]
    ) -> tuple[list[tuple[float, float]] | None, str | None]:
        """Return the windows of a numbered record in seconds of its file, or None and why it cannot be read.

        Without a frame rate, as of a folder of images, there are no seconds: the span is (0, nan), and windows
        are refused.
        """
        _, record = item
        try:
            with video_errors(record.path):
                return self._windows(record), None
        except VideoError as error:
            return None, error.reason

    def _windows(self, record):
        store = _store()
        first, count = record_frames(store, record)
        fps = store.fps(record.path)
        if not fps and self.every is None:
            return [(0.0, float("nan"))]
        times = store.times(record.path)
        after = times[first + count] if first + count < len(times) else times[-1] + 1 / fps
        start, duration = float(times[first]), float(after - times[first])
        if self.every is None:
            return [(start, start + duration)]
        clip = clip_span(self.frames, self.stride) / fps
        return [(start + a, start + b) for a, b in windows(duration, self.every, clip)]


@functools.cache
def _store():
    """One store a process."""
    return open_store([])
