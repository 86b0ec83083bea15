"""Worker processes that read samples: in order, into shared memory, and without hanging."""

from __future__ import annotations

import collections
import dataclasses
import json
import math
import mmap
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Pipe, wait

import numpy as np

from bod_keras.data.awake_clock import awake_seconds
from bod_keras.data.loading.reader import ClipReader, Task
from bod_keras.errors import UserError

_START = """
import json, sys
channel, memory, sys.path[:] = json.loads(sys.argv[1])
from bod_keras.data.loading.worker import main
main(channel, memory)
"""
# By it `bod_keras` imports no Keras, which a process that only reads videos does not need.
_ENVIRONMENT = {"BOD_KERAS_READER": "1"}
_START_SECONDS = 120.0
_STARTS = 5  # processes that may end one after the other while they start, until that is told
_END_SECONDS = 5.0
# A sample goes to the worker that has met its video, unless that one is this many samples behind.
_HOME_LEAD = 3


class WorkersNotStartedError(UserError, RuntimeError):
    """Worker processes that end while they start, one after the other.

    Example:
        >>> from bod_keras.data.loading.worker_pool import WorkersNotStartedError
        >>> issubclass(WorkersNotStartedError, RuntimeError)
        True
    """


@dataclasses.dataclass
class Sample:
    """What came of a task.

    Args:
        task: the task.
        slot: where in shared memory it is written.
        clips: uint8 array, valid until the next sample is asked for; None if it cannot be read.
        reason: why it cannot be read, or None.
        looped: whether the video is shorter than a clip.
        attempts: worker processes that ended while they read it.

    Example:
        >>> from bod_keras.data.loading.reader import Task
        >>> from bod_keras.data.loading.worker_pool import Sample
        >>> Sample(Task(0, index=0, epoch=0, views=2), slot=0).reason is None
        True
    """

    task: Task
    slot: int
    clips: np.ndarray | None = None
    reason: str | None = None
    looped: bool = False
    attempts: int = 0


class WorkerPool:
    """Reads samples with several processes and gives them in the order of the tasks.

    The processes are started afresh (no fork, no import of the main script), import no TensorFlow,
    and end when this process ends, however it ends. A file that keeps a worker busy for longer than
    `timeout` is given up: the worker is killed and replaced. So is a worker that died; the sample
    that it was reading is tried once more.

    Args:
        reader: what reads a sample; it is pickled.
        workers: number of processes.
        timeout: seconds that a sample may take.

    Attributes:
        closed: whether the processes have been ended, and no run is possible any more.

    Example:
        >>> from bod_keras.data.loading.reader import ClipReader, Task
        >>> from bod_keras.data.loading.worker_pool import WorkerPool
        >>> from bod_keras.data import Record, augmentation
        >>> center = augmentation("none", 16)
        >>> reader = ClipReader([Record("nowhere.mp4")], 8, 1, 0, center, center, 0)
        >>> pool = WorkerPool(reader, workers=1, timeout=60)
        >>> [sample.reason for sample in pool.run([Task(0, 0, 0, 2)], (2, 8, 16, 16, 3), window=4)]
        ['there is no such file']
        >>> pool.close()
    """

    def __init__(self, reader: ClipReader, workers: int, timeout: float):
        self._reader, self._timeout = reader, timeout
        self._given_up: dict[str, str] = {}
        self._done: dict[int, Sample] = {}
        self._memory = _SharedMemory()
        self.closed = False
        self._failed_starts = 0
        self._workers = [_Worker(reader, self._memory) for _ in range(workers)]

    def run(self, tasks: Iterable[Task], shape: tuple[int, ...], window: int) -> Iterator[Sample]:
        """Read samples; one run at a time.

        Args:
            tasks: what to read; may be endless.
            shape: of the clips of one sample.
            window: how many samples may be under way or wait to be asked for.

        Yields:
            A `Sample` per task, in order.

        Raises:
            OSError: if the storage of the files does not answer.
            WorkersNotStartedError: if the workers cannot be started.
            RuntimeError: if reading fails by a programming error.
        """
        tasks, free = iter(tasks), list(range(window))
        self._shape, self._bytes = shape, math.prod(shape)
        self._memory.resize(window * self._bytes)
        sent = due = 0
        try:
            while True:
                while free and (task := next(tasks, None)) is not None:
                    self._dispatch(sent, Sample(task, free.pop()))
                    sent += 1
                if due == sent:
                    return
                while due not in self._done:
                    self._pump()
                sample = self._done.pop(due)
                due += 1
                if sample.reason is None:
                    sample.clips = self._memory.array(sample.slot * self._bytes, shape)
                yield sample
                free.append(sample.slot)
        finally:
            self._drain()

    def close(self) -> None:
        """End the processes; a run that is under way gets a RuntimeError."""
        self.closed = True
        for worker in self._workers:
            worker.end()

    def _dispatch(self, ticket: int, sample: Sample) -> None:
        path = self._reader.records[sample.task.index].path
        if path in self._given_up:
            sample.reason = self._given_up[path]
            self._done[ticket] = sample
            return
        shortest = min(self._workers, key=lambda worker: len(worker.samples))
        home = self._workers[sample.task.index % len(self._workers)]
        worker = home if len(home.samples) < len(shortest.samples) + _HOME_LEAD else shortest
        message = (ticket, sample.task, sample.slot * self._bytes, self._shape, self._memory.size)
        worker.give(ticket, sample, message)

    def _pump(self) -> None:
        """Take what the workers have to say, or wait for it."""
        if self.closed:
            raise RuntimeError("the worker processes of this data set were closed")
        now = awake_seconds()
        limits = {w: w.since + (self._timeout if w.ready else _START_SECONDS) for w in self._busy()}
        seconds = max(0.0, min(limits.values()) - now) if limits else 0.0
        talking = wait([worker.connection for worker in self._workers], seconds)
        for worker in list(self._workers):
            if worker.connection in talking:
                self._hear(worker)
            elif worker in limits and awake_seconds() > limits[worker]:
                self._replace(worker, f"no answer from the decoder for {self._timeout:g} s")

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.samples]

    def _hear(self, worker: _Worker) -> None:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            self._replace(worker, None)
            return
        worker.since = awake_seconds()
        if message == "ready":
            worker.ready = True
            self._failed_starts = 0
            return
        ticket, kind, detail = message
        sample = worker.samples.pop(ticket)
        if kind == "storage":
            raise OSError(detail)
        if kind == "failed":
            raise RuntimeError(
                f"Reading {self._reader.records[sample.task.index].path} failed by an error that is "
                f"not the file's:\n{detail}"
            )
        sample.reason = detail if kind == "bad" else None
        sample.looped = kind == "read" and detail
        self._done[ticket] = sample

    def _replace(self, worker: _Worker, reason: str | None) -> None:
        """Start another process instead of one that hangs (with a reason) or has ended."""
        code = worker.end()
        if not worker.ready:
            self._failed_starts += 1
            killed = reason is None and code is not None and code < 0
            if not killed or self._failed_starts == _STARTS:
                self.close()
                raise WorkersNotStartedError(
                    f"A worker process did not start (exit code {code}); what it printed says why. Of -9 it is "
                    "mostly a lack of memory: fewer clips.workers need less; workers=0 reads in this process."
                )
        self._workers[self._workers.index(worker)] = _Worker(self._reader, self._memory)
        for position, (ticket, sample) in enumerate(worker.samples.items()):
            if position == 0 and worker.ready:
                sample.attempts += 1
                if sample.attempts == 2 and reason is None:
                    reason = f"the process that read it died twice (exit code {code})"
                if reason is not None:
                    self._given_up[self._reader.records[sample.task.index].path] = reason
            self._dispatch(ticket, sample)

    def _drain(self) -> None:
        """Let go of the samples that nobody will ask for."""
        for worker in self._busy():
            worker.drop()
        end = awake_seconds() + _END_SECONDS
        while not self.closed and (busy := self._busy()):
            for connection in wait([worker.connection for worker in busy], end - awake_seconds()):
                self._hear(next(worker for worker in busy if worker.connection is connection))
            if awake_seconds() > end:
                self.close()
        self._done.clear()


class _Worker:
    """A process, its connection, and the samples it is to read, oldest first."""

    def __init__(self, reader: ClipReader, memory: _SharedMemory):
        self.samples: collections.OrderedDict[int, Sample] = collections.OrderedDict()
        self.ready, self.since = False, awake_seconds()
        self.connection, theirs = Pipe()
        with theirs:
            files = (theirs.fileno(), memory.file)
            settings = json.dumps([*files, sys.path])
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, settings],
                pass_fds=files,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **_ENVIRONMENT},
            )
        try:
            self.connection.send(reader)
        except OSError:
            pass  # It has ended already, which is noticed when it is listened to.

    def give(self, ticket: int, sample: Sample, message: tuple) -> None:
        if not self.samples:
            self.since = awake_seconds()
        self.samples[ticket] = sample
        self._send(message)

    def drop(self) -> None:
        self._send(None)

    def _send(self, message: tuple | None) -> None:
        try:
            self.connection.send(message)
        except OSError:
            pass  # As above.

    def end(self) -> int | None:
        """Kill the process; its exit code, or None if it does not even die."""
        self.connection.close()
        if self._process.poll() is None:
            self._process.kill()
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return None


class _SharedMemory:
    """Memory without a name, so that nothing is left of it when its processes are gone."""

    def __init__(self):
        if hasattr(os, "memfd_create"):  # not limited by the size of /dev/shm
            self.file = os.memfd_create("bod_keras")
        else:
            with tempfile.TemporaryFile() as file:
                self.file = os.dup(file.fileno())
        self.size = 0

    def resize(self, size: int) -> None:
        if size > self.size:
            try:
                os.ftruncate(self.file, size)
            except OSError as error:
                raise OSError(
                    f"The worker processes need {size} bytes of shared memory, which the system refuses "
                    f"({error.strerror}). Raise the limit (ulimit -f), or read without them: clips.workers=0."
                ) from error
            self.size = size
            self._map = mmap.mmap(self.file, size)

    def array(self, offset: int, shape: tuple[int, ...]) -> np.ndarray:
        return np.frombuffer(self._map, np.uint8, math.prod(shape), offset).reshape(shape)

    def __del__(self):
        os.close(self.file)
