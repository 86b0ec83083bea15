"""Worker processes: results in order or as they come, into shared memory, and without hanging."""

from __future__ import annotations

import collections
import dataclasses
import json
import math
import mmap
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator
from multiprocessing.connection import Pipe, wait
from typing import Any

import numpy as np

from bod_keras.data.processes.awake_clock import awake_seconds
from bod_keras.data.processes.worker import IDLE
from bod_keras.errors import UserError

_START = """
import json, sys
channel, memory, patience, sys.path[:] = json.loads(sys.argv[1])
from bod_keras.data.processes.worker import main
main(channel, memory, patience)
"""
# By it `bod_keras` imports no Keras, which a process that only reads videos does not need.
_ENVIRONMENT = {"BOD_KERAS_READER": "1"}
_START_SECONDS = 120.0
_STARTS = 5  # processes that may end one after the other while they start, before that is an error
_END_SECONDS = 5.0
# A process that is not asked for this long ends: a stream may be kept by what will never ask again, such as
# Keras' and TensorFlow's wrapping of a generator after `fit`.
_IDLE_SECONDS = 300.0
# An item goes to the worker that has met its file, unless that one is this many items behind.
_HOME_LEAD = 3


class WorkersNotStartedError(UserError, RuntimeError):
    """Worker processes that end while they start, one after the other.

    Example:
        >>> from bod_keras.data.processes.worker_pool import WorkersNotStartedError
        >>> issubclass(WorkersNotStartedError, RuntimeError)
        True
    """


@dataclasses.dataclass
class Job:
    """What came of an item.

    Args:
        item: the item.
        slot: where in shared memory it may write.
        answer: what the function gave for it.
        memory: uint8 array that the function wrote, valid until the next job is asked for.
        reason: why its file is given up, or None.
        attempts: worker processes that ended while they were at it.

    Example:
        >>> from bod_keras.data.processes.worker_pool import Job
        >>> Job("a.mp4", slot=0).reason is None
        True
    """

    item: Any
    slot: int
    answer: Any = None
    memory: np.ndarray | None = None
    reason: str | None = None
    attempts: int = 0


class WorkerPool:
    """Applies a function to items in several processes.

    The processes are started afresh (no fork, no import of the main script), import no TensorFlow,
    and end when this process ends, however it ends. An item that keeps a worker busy for longer than
    its `timeout` is given up: the worker is killed and replaced. So is a worker that died; the item
    that it was at is tried once more. Time in which this process is stopped does not count. Processes that
    have had nothing to do for five minutes end, and are started again when there is.

    Args:
        function: of an item, or of an item and a uint8 array to write into; it is pickled.
        workers: number of processes.
        timeout: item -> seconds that it may take.
        file_of: item -> what is given up with it, and so is not tried again; None: the item alone.

    Attributes:
        closed: whether the processes have been ended, and no run is possible any more.

    Example:
        >>> from bod_keras.data.processes.worker_pool import WorkerPool
        >>> pool = WorkerPool(abs, workers=1, timeout=lambda item: 60.0)
        >>> [job.answer for job in pool.run([-3, 4], window=2)]
        [3, 4]
        >>> pool.close()
    """

    def __init__(
        self,
        function: Callable[..., Any],
        workers: int,
        timeout: Callable[[Any], float],
        file_of: Callable[[Any], Hashable] | None = None,
    ):
        self._function, self._timeout, self._file_of = function, timeout, file_of
        self._given_up: dict[Hashable, str] = {}
        self._done: dict[int, Job] = {}
        self._memory = _SharedMemory()
        self.closed = False
        self._failed_starts = 0
        self._workers = [_Worker(function, self._memory) for _ in range(workers)]

    def run(
        self,
        items: Iterable[Any],
        window: int,
        shape: tuple[int, ...] | None = None,
        in_order: bool = True,
    ) -> Iterator[Job]:
        """Apply the function to items; one run at a time.

        Args:
            items: may be endless.
            window: how many items may be under way or wait to be asked for.
            shape: of the array that the function writes for an item; None: it takes none.
            in_order: whether jobs come in the order of the items, or as they are done.

        Yields:
            A `Job` per item.

        Raises:
            OSError: if the function does, other than for a file: storage that does not answer.
            WorkersNotStartedError: if the workers cannot be started.
            RuntimeError: if the function fails by a programming error.
        """
        items, free = iter(items), list(range(window))
        self._shape, self._bytes = shape, math.prod(shape or (0,))
        self._memory.resize(window * self._bytes)
        sent = due = 0

        def dispatch() -> int:
            count = 0
            while free and (item := next(items, free)) is not free:
                self._dispatch(sent + count, Job(item, free.pop()))
                count += 1
            return count

        try:
            while True:
                sent += dispatch()
                if due == sent:
                    return
                while not (self._done if not in_order else due in self._done):
                    self._pump()
                job = self._done.pop(due if in_order else next(iter(self._done)))
                due += 1
                if shape is None:  # the next item goes out first, so that no process waits
                    free.append(job.slot)
                    sent += dispatch()
                    yield job
                    continue
                if job.reason is None:
                    job.memory = self._memory.array(job.slot * self._bytes, shape)
                yield job
                free.append(job.slot)
        finally:
            self._drain()

    def close(self) -> None:
        """End the processes; a run that is under way gets a RuntimeError."""
        self.closed = True
        for worker in self._workers:
            worker.end()

    def _dispatch(self, ticket: int, job: Job) -> None:
        worker = min(self._workers, key=lambda worker: len(worker.jobs))
        if self._file_of is not None:
            file = self._file_of(job.item)
            if file in self._given_up:
                job.reason = self._given_up[file]
                self._done[ticket] = job
                return
            home = self._workers[hash(file) % len(self._workers)]
            if len(home.jobs) < len(worker.jobs) + _HOME_LEAD:
                worker = home
        place = (job.slot * self._bytes, self._shape, self._memory.size) if self._shape else None
        worker.give(ticket, job, (ticket, job.item, place))

    def _pump(self) -> None:
        """Take what the workers have to say, or wait for it."""
        if self.closed:
            raise RuntimeError("the worker processes of this data set were closed")
        limits = {worker: worker.since + self._patience(worker) for worker in self._busy()}
        seconds = max(0.0, min(limits.values()) - awake_seconds()) if limits else 0.0
        talking = wait([worker.connection for worker in self._workers], seconds)
        for worker in list(self._workers):
            if worker.connection in talking:
                self._hear(worker)
            elif worker in limits and awake_seconds() > limits[worker]:
                self._replace(worker, f"no answer for {self._patience(worker):.3g} s")

    def _patience(self, worker: _Worker) -> float:
        return self._timeout(worker.first.item) if worker.ready else _START_SECONDS

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.jobs]

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
        job = worker.jobs.pop(ticket)
        if kind == "storage":
            raise OSError(detail)
        if kind == "failed":
            name = job.item if self._file_of is None else self._file_of(job.item)
            raise RuntimeError(
                f"Reading {name} failed by an error that is not the file's:\n{detail}"
            )
        job.reason = detail if kind == "bad" else None
        job.answer = detail if kind == "done" else None
        self._done[ticket] = job

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
                    "mostly a lack of memory: fewer workers need less; workers=0 reads in this process."
                )
        self._workers[self._workers.index(worker)] = _Worker(self._function, self._memory)
        for position, (ticket, job) in enumerate(worker.jobs.items()):
            if position == 0 and worker.ready and code != IDLE:
                job.attempts += 1
                if job.attempts == 2 and reason is None:
                    reason = f"the process that read it died twice ({_named(code)})"
                if reason is not None and self._file_of is not None:
                    self._given_up[self._file_of(job.item)] = reason
                elif reason is not None:
                    job.reason = reason
                    self._done[ticket] = job
                    continue
            self._dispatch(ticket, job)

    def _drain(self) -> None:
        """Let go of the jobs that nobody will ask for."""
        for worker in self._busy():
            worker.drop()
        end = awake_seconds() + _END_SECONDS
        while not self.closed and (busy := self._busy()):
            for connection in wait([worker.connection for worker in busy], end - awake_seconds()):
                self._hear(next(worker for worker in busy if worker.connection is connection))
            if awake_seconds() > end:
                self.close()
        self._done.clear()


def _named(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"


class _Worker:
    """A process, its connection, and the jobs that it has, oldest first."""

    def __init__(self, function: Callable[..., Any], memory: _SharedMemory):
        self.jobs: collections.OrderedDict[int, Job] = collections.OrderedDict()
        self.ready, self.since = False, awake_seconds()
        self.connection, theirs = Pipe()
        with theirs:
            files = (theirs.fileno(), memory.file)
            settings = json.dumps([*files, _IDLE_SECONDS, sys.path])
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, settings],
                pass_fds=files,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **_ENVIRONMENT},
            )
        self._send(function)

    @property
    def first(self) -> Job:
        """What the process is at."""
        return next(iter(self.jobs.values()))

    def give(self, ticket: int, job: Job, message: tuple) -> None:
        if not self.jobs:
            self.since = awake_seconds()
        self.jobs[ticket] = job
        self._send(message)

    def drop(self) -> None:
        self._send(None)

    def _send(self, message: Any) -> None:
        try:
            self.connection.send(message)
        except OSError:
            pass  # It has ended already, which is noticed when it is listened to.

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
