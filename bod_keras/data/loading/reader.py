"""Record -> uint8 clips of one sample: what a worker process does, in NumPy and OpenCV alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from bod_keras.data.augment.augment import ClipAugment
from bod_keras.data.augment.crops import cut_out, shrink, three_crops
from bod_keras.data.choose_store import open_store
from bod_keras.data.loading.clips import clip_span, even_views, sample_rng, sample_views
from bod_keras.data.record import Record
from bod_keras.data.record_frames import record_frames
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


class StoreReader:
    """What opens its store in the process that reads, not in the one that pickles it."""

    records: list
    cache_mb: float
    _opened: FrameStore | None = None

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}

    @property
    def _store(self) -> FrameStore:
        if self._opened is None:
            self._opened = open_store(self.records, self.cache_mb)
        return self._opened


@dataclasses.dataclass
class ClipReader(StoreReader):
    """Reads the clips of a sample: frames, then augmentation; pickled to the worker processes.

    Args:
        records: what to read.
        frames: frames of a clip.
        stride: distance of neighboring clip frames in the video.
        seed: of frames and augmentation.
        augment: of training clips.
        center: of evaluation clips, without randomness.
        cache_mb: decoded videos are kept up to this many MiB.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import Record
        >>> from bod_keras.data.loading.reader import ClipReader, Task
        >>> from bod_keras.data import augmentation
        >>> center = augmentation("none", 16)
        >>> reader = ClipReader([Record("nowhere.mp4")], 8, 1, 0, center, center, 0)
        >>> from bod_keras.data.video.video_file import VideoError
        >>> try:
        ...     reader.read(Task(0, index=0, epoch=0, views=2), np.empty((2, 8, 16, 16, 3), np.uint8))
        ... except VideoError as error:
        ...     print(error)
        nowhere.mp4: there is no such file
    """

    records: list[Record]
    frames: int
    stride: int
    seed: int
    augment: ClipAugment
    center: ClipAugment
    cache_mb: float

    def read(self, task: Task, out: np.ndarray) -> bool:
        """Read one sample.

        Args:
            task: the sample.
            out: uint8 array `(views * crops, frames, size, size, 3)` to write it into.

        Returns:
            Whether the video is shorter than a clip, and so was looped.

        Raises:
            VideoError: if the video cannot be read.
            OSError: if its storage does not answer.
        """
        record = self.records[task.index]
        rng = sample_rng(self.seed, task.epoch or 0, task.index)
        with video_errors(record.path):
            first, length = record_frames(self._store, record)
            if task.epoch is None:
                clips = even_views(length, self.frames, self.stride, task.views)
            else:
                clips = sample_views(length, self.frames, self.stride, task.views, rng)
            self._read_clips(record.path, first + clips, task, rng, out)
        return length < clip_span(self.frames, self.stride)

    def _read_clips(
        self, path: str, clips: np.ndarray, task: Task, rng: np.random.Generator, out: np.ndarray
    ) -> None:
        """Read all views in one pass: one opening, and no frame is decoded twice."""
        if task.crops == 3:
            size = self.center.size
            flat = self._store.frames(path, clips.ravel(), lambda frame, _: shrink(frame, size))
            for view, clip in enumerate(flat.reshape(*clips.shape, *flat.shape[1:])):
                out[3 * view : 3 * view + 3] = three_crops(clip)
            return
        augment = self.center if task.epoch is None else self.augment
        rngs, boxes = rng.spawn(task.views), {}

        def cut(frame: np.ndarray, row: int) -> np.ndarray:
            view = row // self.frames
            if view not in boxes:
                boxes[view] = augment.draw_box(*frame.shape[:2], rngs[view])
            return cut_out(frame, boxes[view], augment.size)

        flat = self._store.frames(path, clips.ravel(), cut)
        for view, clip in enumerate(flat.reshape(out.shape)):
            out[view] = augment.finish(clip, rngs[view], view)
