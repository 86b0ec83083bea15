"""Record -> uint8 clips of one sample: what a worker process does, in NumPy and OpenCV alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from bod_keras.data.augment import ClipAugment, three_crops
from bod_keras.data.catalog import Record
from bod_keras.data.clips import clip_span, even_views, sample_rng, sample_views
from bod_keras.data.store import VideoStore
from bod_keras.data.video import VideoError


@dataclasses.dataclass(frozen=True)
class Task:
    """One sample to read; equal tasks give equal clips, in any process.

    Args:
        record: what to read.
        epoch: epoch of a training sample; None for an evaluation sample, which has no randomness.
        index: number of the record, which with the epoch seeds the draws.
        views: clips.
        crops: crops of each clip, 1 (centre) or 3; of an evaluation sample.

    Example:

    >>> Task(Record("a.mp4"), epoch=0, index=7, views=2).crops
    1
    """

    record: Record
    epoch: int | None
    index: int
    views: int
    crops: int = 1


@dataclasses.dataclass
class ClipReader:
    """Reads the clips of a sample: frames, then augmentation; pickled to worker processes.

    Args:
        frames: frames of a clip.
        stride: distance of neighbouring clip frames in the video.
        seed: of frames and augmentation.
        min_gap: least distance of the starts of the views in frames.
        gap_law: law of the starts, as in `sample_views`.
        augment: of training clips.
        centre: of evaluation clips; its size is that of the three crops, too.
        cache_mb: decoded videos are kept up to this many MiB.

    Example:

    >>> from bod_keras.data import augmentation
    >>> centre = augmentation("none", 16)
    >>> reader = ClipReader(8, 1, 0, 0, "uniform", centre, centre, 0)
    >>> try:
    ...     reader.read(Task(Record("nowhere.mp4"), epoch=0, index=0, views=2), None)
    ... except VideoError as error:
    ...     print(error)
    nowhere.mp4: there is no such file
    """

    frames: int
    stride: int
    seed: int
    min_gap: int
    gap_law: str
    augment: Callable
    centre: ClipAugment
    cache_mb: float

    def open(self) -> None:
        """Open the store, in the process that reads."""
        self._store = VideoStore(self.cache_mb)

    def read(self, task: Task, out: np.ndarray) -> bool:
        """Read one sample.

        Args:
            task: the sample.
            out: uint8 array `(views * crops, frames, size, size, 3)` to write it into.

        Returns:
            Whether the video is shorter than a clip, and so was looped.

        Raises:
            VideoError: if the video cannot be read.
        """
        path = task.record.path
        try:
            first, length = self._extent(task.record)
            if task.epoch is None:
                rng = sample_rng(self.seed, 0, task.index)  # the centre draws, to no effect
                clips = even_views(length, self.frames, self.stride, task.views)
            else:
                rng = sample_rng(self.seed, task.epoch, task.index)
                clips = sample_views(
                    length, self.frames, self.stride, task.views, rng, self.min_gap, self.gap_law
                )
            # All views in one pass: one opening, and no frame is decoded twice.
            flat = self._store.frames(path, first + clips.ravel())
        except OSError as error:
            raise VideoError(path, (error.strerror or str(error)).lower()) from error
        decoded = flat.reshape(*clips.shape, *flat.shape[1:])
        for view, clip in enumerate(decoded):
            if task.epoch is not None:
                out[view] = self.augment(clip, rng, view)
            elif task.crops == 1:
                out[view] = self.centre(clip, rng)
            else:
                out[3 * view : 3 * view + 3] = three_crops(clip, self.centre.size)
        return length < clip_span(self.frames, self.stride)

    def _extent(self, record: Record) -> tuple[int, int]:
        """First frame and number of frames of a record's part of its video."""
        length = self._store.length(record.path)
        if record.span is None:
            return 0, length
        fps = self._store.fps(record.path)
        if not fps:
            raise VideoError(
                record.path, "its header gives no frame rate, which a span in seconds needs"
            )
        start, end = record.span
        first, last = round(start * fps), min(length, max(round(end * fps), round(start * fps) + 1))
        if first >= last:
            raise VideoError(
                record.path,
                f"the span {start:g} to {end:g} s lies beyond its end at {length / fps:.2f} s",
            )
        return first, last - first
