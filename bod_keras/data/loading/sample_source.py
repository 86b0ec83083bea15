"""Tasks -> samples, from worker processes that outlive a stream, or in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import weakref
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from bod_keras.data.datasets.key_frames import KeyFrame
from bod_keras.data.loading.reader import ClipReader, Task
from bod_keras.data.processes.worker_pool import WorkerPool
from bod_keras.data.record import Record
from bod_keras.data.video.video_file import VideoError


@dataclasses.dataclass
class Sample:
    """What came of a task.

    Args:
        task: the task.
        clips: uint8 array, valid until the next sample is asked for; None if it cannot be read.
        reason: why it cannot be read, or None.
        looped: whether the video is shorter than a clip.

    Example:
        >>> from bod_keras.data.loading.reader import Task
        >>> from bod_keras.data.loading.sample_source import Sample
        >>> Sample(Task(0, index=0, epoch=0, views=2)).reason is None
        True
    """

    task: Task
    clips: np.ndarray | None = None
    reason: str | None = None
    looped: bool = False


class SampleSource:
    """Gives the samples of tasks in order; several streams may be under way at a time.

    Every stream has a `WorkerPool` to itself, which the next one takes over when it has ended, with
    all that its workers have decoded and measured. The processes end with this object.

    Args:
        records: what the tasks number.
        reader: what reads a sample.
        workers: processes of a stream; 0 reads in this process.
        timeout: seconds that a sample may take a worker.

    Example:
        >>> from bod_keras.data.loading.reader import ClipReader, Task
        >>> from bod_keras.data.loading.sample_source import SampleSource
        >>> from bod_keras.data import Record, augmentation
        >>> center = augmentation("none", 16)
        >>> reader = ClipReader(8, 1, 0, center, center)
        >>> source = SampleSource([Record("nowhere.mp4")], reader, workers=0, timeout=60)
        >>> [sample.reason for sample in source.samples([Task(0, 0, 0, 2)], (2, 8, 16, 16, 3))]
        ['there is no such file']
    """

    def __init__(
        self,
        records: Sequence[Record | KeyFrame],
        reader: ClipReader,
        workers: int,
        timeout: float,
    ):
        self._records, self._reader = records, reader
        self._workers, self._timeout = workers, timeout
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
        items = ((_bare(self._records[task.index]), task) for task in tasks)
        if not self._workers:
            yield from self._read_here(items, shape)
            return
        pool = self._idle.pop() if self._idle else None
        if pool is None or pool.closed:
            seconds = self._timeout
            pool = WorkerPool(_Read(self._reader), self._workers, lambda item: seconds, _path)
        try:
            with contextlib.closing(pool.run(items, window, shape)) as jobs:
                for job in jobs:
                    yield Sample(job.item[1], job.memory, job.reason, bool(job.answer))
        finally:
            self._idle.append(pool)

    def _read_here(self, items: Iterable[tuple], shape: tuple[int, ...]) -> Iterator[Sample]:
        clips = np.empty(shape, getattr(self._reader, "dtype", np.uint8))
        for record, task in items:
            try:
                yield Sample(task, clips, looped=self._reader.read(record, task, clips))
            except VideoError as error:
                yield Sample(task, reason=error.reason)


@dataclasses.dataclass
class _Read:
    """What a worker process calls."""

    reader: ClipReader

    def __call__(self, item: tuple, out: np.ndarray) -> bool:
        return self.reader.read(*item, out)


def _bare(record: Record | KeyFrame) -> Record | KeyFrame:
    """What reading needs of a record: it goes to another process with each task."""
    if isinstance(record, KeyFrame):
        return KeyFrame(record.path, (), record.frame, record.time)
    return Record(record.path, span=record.span)


def _path(item: tuple) -> str:
    return item[0].path


def _close(pools: list[WorkerPool]) -> None:
    for pool in pools:
        pool.close()
