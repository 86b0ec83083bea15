"""Key frame -> the uint8 clip around it: what a worker process does, in NumPy and OpenCV alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from bod_keras.data.augment.augment import ClipAugment
from bod_keras.data.augment.crops import cut_out
from bod_keras.data.datasets.key_frames import KeyFrame
from bod_keras.data.loading.clips import sample_rng
from bod_keras.data.loading.reader import StoreReader, Task
from bod_keras.data.record_frames import frame_at
from bod_keras.data.video.video_file import VideoError, video_errors

# The side of the square on which a crop is drawn: crops are shares of a frame, whose size is not known yet.
_GRID = 1 << 16


@dataclasses.dataclass(frozen=True)
class View:
    """The part of a frame that a clip shows.

    Args:
        left, top, width, height: of the part, as shares of the frame.
        flip: whether it is then flipped left to right.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data.loading.key_frame_reader import View
        >>> View(0.5, 0.0, 0.5, 1.0, flip=True).see(np.array([[0.5, 0.0, 0.75, 1.0]])).tolist()
        [[0.5, 0.0, 1.0, 1.0]]
    """

    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0
    flip: bool = False

    def see(self, corners: np.ndarray) -> np.ndarray:
        """Give boxes of the frame, `(n, 4)`, as shares of the part; they may reach out of it."""
        scale = np.array([self.width, self.height] * 2)
        corners = (np.asarray(corners, np.float64) - [self.left, self.top] * 2) / scale
        if self.flip:
            corners = np.stack(
                [1 - corners[:, 2], corners[:, 1], 1 - corners[:, 0], corners[:, 3]], axis=1
            )
        return corners


@dataclasses.dataclass
class KeyFrameReader(StoreReader):
    """Reads the clip around a key frame; pickled to the worker processes, as `ClipReader`.

    Frame t of a clip is frame `k + (t - frames // 2) stride` of the video, k the key frame; beyond the
    video's ends the first and the last frame are repeated. An evaluation clip shows the whole frame, scaled to
    a square. A training clip shows a part, whose area is drawn in `augment.crop_area` and whose width /
    height, relative to the frame's, in `augment.crop_aspect`; then flip, color and blur.

    Args:
        records: the key frames.
        frames: frames of a clip.
        stride: distance of neighboring clip frames in the video.
        size: height and width of a clip in pixels.
        seed: of the augmentation.
        augment: of training clips.
        cache_mb: decoded videos are kept up to this many MiB.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import KeyFrame, VideoError
        >>> from bod_keras.data.loading.key_frame_reader import KeyFrameReader
        >>> from bod_keras.data.loading.reader import StoreReader, Task
        >>> from bod_keras.data import augmentation
        >>> augment = augmentation("motion", 16)
        >>> reader = KeyFrameReader([KeyFrame("nowhere.mp4", (), frame=3)], 8, 1, 16, 0, augment)
        >>> try:
        ...     reader.read(Task(0, index=0, epoch=0, views=1), np.empty((1, 8, 16, 16, 3), np.uint8))
        ... except VideoError as error:
        ...     print(error)
        nowhere.mp4: there is no such file
    """

    records: list[KeyFrame]
    frames: int
    stride: int
    size: int
    seed: int
    augment: ClipAugment
    cache_mb: float = 0

    def view(self, task: Task) -> View:
        """Give the part of the frame that a task's clip shows; in any process the same."""
        return self._draw(task)[0]

    def read(self, task: Task, out: np.ndarray) -> bool:
        """Read one clip into `out`, uint8 `(1, frames, size, size, 3)`.

        Returns:
            Whether frames had to be repeated.

        Raises:
            VideoError: if the video cannot be read, or ends before the key frame.
            OSError: if its storage does not answer.
        """
        key_frame = self.records[task.index]
        view, rng = self._draw(task)
        with video_errors(key_frame.path):
            length = self._store.length(key_frame.path)
            wanted = self._number(key_frame, length)
            wanted = wanted + self.stride * (np.arange(self.frames) - self.frames // 2)
            there = np.clip(wanted, 0, length - 1)
            clip = self._store.frames(
                key_frame.path, there, lambda frame, _: _cut(frame, view, self.size)
            )
        if view.flip:
            clip = np.ascontiguousarray(clip[:, :, ::-1])
        if task.epoch is not None:
            clip = dataclasses.replace(self.augment, flip=0.0).finish(clip, rng)
        out[0] = clip
        return bool((there != wanted).any())

    def _draw(self, task: Task) -> tuple[View, np.random.Generator]:
        rng = sample_rng(self.seed, task.epoch or 0, task.index)
        if task.epoch is None:
            return View(), rng
        if self.augment.crop_area is None:
            box = (0, 0, _GRID, _GRID)
        else:
            box = self.augment.draw_box(_GRID, _GRID, rng)
        top, left, height, width = (side / _GRID for side in box)
        return View(left, top, width, height, bool(rng.random() < self.augment.flip)), rng

    def _number(self, key_frame: KeyFrame, length: int) -> int:
        """The number of a key frame in its video."""
        if key_frame.frame is None:
            return frame_at(self._store, key_frame.path, key_frame.time)
        if key_frame.frame >= length:
            raise VideoError(
                key_frame.path,
                f"it has {length} frames, its annotation asks for number {key_frame.frame}, counted from 0",
            )
        return key_frame.frame


def _cut(frame: np.ndarray, view: View, size: int) -> np.ndarray:
    height, width = frame.shape[:2]
    top = min(round(view.top * height), height - 1)
    left = min(round(view.left * width), width - 1)
    bottom, right = (
        round((view.top + view.height) * height),
        round((view.left + view.width) * width),
    )
    return cut_out(frame, (top, left, max(1, bottom - top), max(1, right - left)), size)
