"""Key frame -> the uint8 clip around it, and where its boxes lie in it."""

from __future__ import annotations

import numpy as np

from bod_keras.data.datasets.key_frames import KeyFrame
from bod_keras.data.loading.reader import ClipReader, Task
from bod_keras.data.record_frames import frame_at
from bod_keras.data.video.video_file import VideoError

# The side of the square on which a crop is drawn: crops are shares of a frame, whose size is not known yet.
_GRID = 1 << 16


class KeyFrameReader(ClipReader):
    """A `ClipReader` of key frames: another choice of frames, and crops as shares of the frame.

    Frame t of a clip is frame `k + (t - frames // 2) stride` of the video, k the key frame; beyond the
    video's ends the first and the last frame are repeated. An evaluation clip shows the whole frame, scaled to
    a square. A training clip shows a part, whose area is drawn in `augment.crop_area` and whose width /
    height, relative to the frame's, in `augment.crop_aspect`; then flip, color and blur.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import augmentation
        >>> from bod_keras.data.loading.key_frame_reader import KeyFrameReader
        >>> from bod_keras.data.loading.reader import Task
        >>> augment = augmentation("none", 16)
        >>> reader = KeyFrameReader(8, 1, 0, augment, augment)
        >>> reader.see(Task(0, index=0, epoch=None, views=1), [(0.5, 0.0, 0.75, 1.0)]).tolist()
        [[0.5, 0.0, 0.75, 1.0]]
    """

    def see(self, task: Task, corners: np.ndarray) -> np.ndarray:
        """Give boxes of a frame, `(n, 4)`, as shares of the part that the clip shows, in any process."""
        corners = np.asarray(corners, np.float64)
        (rng,) = self.rng(task).spawn(1)
        top, left, height, width = self.draw_box(task, _GRID, _GRID, rng)
        corners = (corners * _GRID - [left, top] * 2) / ([width, height] * 2)
        if self.augment_of(task).draw_flip(rng):
            corners = np.stack(
                [1 - corners[:, 2], corners[:, 1], 1 - corners[:, 0], corners[:, 3]], axis=1
            )
        return corners

    def choose(
        self, record: KeyFrame, task: Task, rng: np.random.Generator
    ) -> tuple[np.ndarray, bool]:
        length = self.store.length(record.path)
        number = record.frame
        if number is None:
            number = frame_at(self.store, record.path, record.time)
        elif number >= length:
            raise VideoError(
                record.path,
                f"it has {length} frames, its annotation asks for number {number}, counted from 0",
            )
        wanted = number + self.stride * (np.arange(self.frames) - self.frames // 2)
        there = np.clip(wanted, 0, length - 1)
        return there[None], bool((there != wanted).any())

    def draw_box(
        self, task: Task, height: int, width: int, rng: np.random.Generator
    ) -> tuple[int, int, int, int]:
        if task.epoch is None or self.augment.crop_area is None:
            return 0, 0, height, width
        top, left, tall, wide = self.augment.draw_box(_GRID, _GRID, rng)
        rows = [min(round(place * height / _GRID), height) for place in (top, top + tall)]
        columns = [min(round(place * width / _GRID), width) for place in (left, left + wide)]
        top, left = min(rows[0], height - 1), min(columns[0], width - 1)
        return top, left, max(1, rows[1] - top), max(1, columns[1] - left)
