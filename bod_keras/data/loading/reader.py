"""Record -> uint8 clips of one sample: what a worker process does, in NumPy and OpenCV alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from bod_keras.data.augment.augment import ClipAugment
from bod_keras.data.augment.crops import cut_out, shrink, three_crops
from bod_keras.data.loading.clips import clip_span, even_views, sample_rng, sample_views
from bod_keras.data.open_store import open_store
from bod_keras.data.record import Record
from bod_keras.data.record_frames import record_frames
from bod_keras.data.video.array_store import ArrayRecord
from bod_keras.data.video.store import FrameStore
from bod_keras.data.video.video_file import video_errors


@dataclasses.dataclass(frozen=True)
class Task:
    """One sample to read; equal tasks give equal clips, in any process.

    Args:
        number: what the sample is called: a position of the training stream, or `index`.
        index: number of the record, which with the epoch seeds the draws.
        epoch: epoch of a training sample; None for an evaluation sample, which has no randomness.
        views: clips.
        crops: crops of each clip of an evaluation sample: 1, the center, or 3.

    Example:
        >>> from bod_keras.data.loading.reader import Task
        >>> Task(number=10, index=7, epoch=0, views=2).crops
        1
    """

    number: int
    index: int
    epoch: int | None
    views: int
    crops: int = 1


@dataclasses.dataclass
class ClipReader:
    """Reads the clips of a sample: frames, then augmentation; pickled to the worker processes.

    It holds no records, so that a worker has no copy of a list of millions: each comes with its task.

    Args:
        frames: frames of a clip.
        stride: distance of neighboring clip frames in the video.
        seed: of frames and augmentation.
        augment: of training clips.
        center: of evaluation clips, without randomness.
        cache_mb: decoded videos are kept up to this many MiB.
        arrays: records that are videos in memory.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import Record, VideoError, augmentation
        >>> from bod_keras.data.loading.reader import ClipReader, Task
        >>> center = augmentation("none", 16)
        >>> reader = ClipReader(8, 1, 0, center, center)
        >>> out = np.empty((2, 8, 16, 16, 3), np.uint8)
        >>> try:
        ...     reader.read(Record("nowhere.mp4"), Task(0, index=0, epoch=0, views=2), out)
        ... except VideoError as error:
        ...     print(error)
        nowhere.mp4: there is no such file
    """

    frames: int
    stride: int
    seed: int
    augment: ClipAugment
    center: ClipAugment
    cache_mb: float = 0
    arrays: Sequence[ArrayRecord] = ()

    def __post_init__(self):
        self._opened: FrameStore | None = None

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_opened": None}  # the process that reads opens its store

    @property
    def store(self) -> FrameStore:
        """What reads the files."""
        if self._opened is None:
            self._opened = open_store(self.arrays, self.cache_mb)
        return self._opened

    def read(self, record: Record, task: Task, out: np.ndarray) -> bool:
        """Read one sample.

        Args:
            record: the video.
            task: the sample.
            out: uint8 array `(views * crops, frames, size, size, 3)` to write it into.

        Returns:
            Whether the video is shorter than a clip, and so frames were repeated.

        Raises:
            VideoError: if the video cannot be read.
            OSError: if its storage does not answer.
        """
        rng = self.rng(task)
        with video_errors(record.path):
            clips, repeated = self.choose(record, task, rng)
            if task.crops == 3:
                self._read_crops(record.path, clips, out)
            else:
                self._read_clips(record.path, clips, task, rng.spawn(task.views), out)
        return repeated

    def rng(self, task: Task) -> np.random.Generator:
        """Make the generator of a sample."""
        return sample_rng(self.seed, task.epoch or 0, task.index)

    def choose(
        self, record: Record, task: Task, rng: np.random.Generator
    ) -> tuple[np.ndarray, bool]:
        """Give the frame numbers `(views, frames)` of a sample, and whether some are repeated."""
        first, length = record_frames(self.store, record)
        if task.epoch is None:
            clips = even_views(length, self.frames, self.stride, task.views)
        else:
            clips = sample_views(length, self.frames, self.stride, task.views, rng)
        return first + clips, length < clip_span(self.frames, self.stride)

    def draw_box(
        self, task: Task, height: int, width: int, rng: np.random.Generator
    ) -> tuple[int, int, int, int]:
        """Give the part of a frame that a clip shows: top, left, height and width in pixels."""
        return self.augment_of(task).draw_box(height, width, rng)

    def augment_of(self, task: Task) -> ClipAugment:
        """Give what a task's clips are augmented by."""
        return self.center if task.epoch is None else self.augment

    def _read_crops(self, path: str, clips: np.ndarray, out: np.ndarray) -> None:
        size = self.center.size
        flat = self.store.frames(path, clips.ravel(), lambda frame, _: shrink(frame, size))
        for view, clip in enumerate(flat.reshape(*clips.shape, *flat.shape[1:])):
            out[3 * view : 3 * view + 3] = three_crops(clip)

    def _read_clips(
        self,
        path: str,
        clips: np.ndarray,
        task: Task,
        rngs: list[np.random.Generator],
        out: np.ndarray,
    ) -> None:
        """Read all views in one pass: one opening, and no frame is decoded twice."""
        augment, boxes = self.augment_of(task), {}

        def cut(frame: np.ndarray, row: int) -> np.ndarray:
            view = row // self.frames
            if view not in boxes:
                boxes[view] = self.draw_box(task, *frame.shape[:2], rngs[view])
            return cut_out(frame, boxes[view], augment.size)

        flat = self.store.frames(path, clips.ravel(), cut)
        for view, clip in enumerate(flat.reshape(out.shape)):
            out[view] = augment.finish(clip, rngs[view], view)
