"""Tasks -> samples, from worker processes that outlive a stream, or in this process."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterable, Iterator

import numpy as np

from bod_keras.data.loading.reader import ClipReader, Task
from bod_keras.data.loading.worker_pool import Sample, WorkerPool
from bod_keras.data.video.video_file import VideoError


class SampleSource:
    """Gives the samples of tasks in order; several streams may be under way at a time.

    Every stream has a `WorkerPool` to itself, which the next one takes over when it has ended, with
    all that its workers have decoded and measured. The processes end with this object.

    Args:
        reader: what reads a sample.
        workers: processes of a stream; 0 reads in this process.
        timeout: seconds that a sample may take a worker.

    Example:
        >>> from bod_keras.data.loading.reader import ClipReader, Task
        >>> from bod_keras.data.loading.sample_source import SampleSource
        >>> from bod_keras.data import Record, augmentation
        >>> center = augmentation("none", 16)
        >>> reader = ClipReader([Record("nowhere.mp4")], 8, 1, 0, center, center, 0)
        >>> source = SampleSource(reader, workers=0, timeout=60)
        >>> [sample.reason for sample in source.samples([Task(0, 0, 0, 2)], (2, 8, 16, 16, 3))]
        ['there is no such file']
    """

    def __init__(self, reader: ClipReader, workers: int, timeout: float):
        self._reader, self._workers, self._timeout = reader, workers, timeout
        self._idle: list[WorkerPool] = []
        weakref.finalize(self, _close, self._idle)

    def samples(
        self, tasks: Iterable[Task], shape: tuple[int, ...], window: int = 1
    ) -> Iterator[Sample]:
        """Read samples.

        Args:
            tasks: what to read; may be endless.
            shape: of the clips of one sample.
            window: how many samples the workers may read ahead.

        Yields:
            A `Sample` per task, in order; its clips are valid until the next one is asked for.

        Raises:
            OSError: if the storage of the files does not answer.
            RuntimeError: as `WorkerPool.run`.
        """
        if not self._workers:
            yield from self._read_here(tasks, shape)
            return
        pool = self._idle.pop() if self._idle else None
        if pool is None or pool.closed:
            pool = WorkerPool(self._reader, self._workers, self._timeout)
        try:
            with contextlib.closing(pool.run(tasks, shape, window)) as samples:
                yield from samples
        finally:
            self._idle.append(pool)

    def _read_here(self, tasks: Iterable[Task], shape: tuple[int, ...]) -> Iterator[Sample]:
        clips = np.empty(shape, np.uint8)
        for task in tasks:
            try:
                yield Sample(task, 0, clips, looped=self._reader.read(task, clips))
            except VideoError as error:
                yield Sample(task, 0, reason=error.reason)


def _close(pools: list[WorkerPool]) -> None:
    for pool in pools:
        pool.close()
