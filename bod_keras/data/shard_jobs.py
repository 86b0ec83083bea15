"""Jobs in processes that die with the one that started them."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import cv2

_POLL_SECONDS = 0.2
_counter = None


def run_jobs(
    function: Callable,
    jobs: Sequence[tuple],
    workers: int,
    count: Callable[[int], None] | None = None,
) -> Iterator[Any]:
    """Call a function with each tuple of arguments, in processes, and give the results in order.

    Args:
        function: of a module, so that it can be sent to a process.
        jobs: arguments of each call.
        workers: processes; with 1 the calls happen in this one.
        count: if given, each call gets a function `add(n)` as its last argument, and `count(sum)` is
            called here while the jobs run.

    Yields:
        What each call returned.

    Raises:
        OSError: if a process died.

    Example:

    >>> list(run_jobs(divmod, [(7, 2), (9, 4)], workers=1))
    [(3, 1), (2, 1)]
    """
    if workers == 1 or len(jobs) < 2:
        yield from _run_here(function, jobs, count)
        return
    # The server imports the package once, decodes nothing, and forks the workers.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bod_keras.data.shard_writer"])
    total = context.Value("q", 0)
    with concurrent.futures.ProcessPoolExecutor(
        min(workers, len(jobs)), context, _start_worker, (total,)
    ) as pool:
        try:
            yield from _collect(pool, function, jobs, count, total)
        except BrokenProcessPool:
            raise OSError(
                "A worker process died: it was killed, ran out of memory, or a video crashed the "
                "decoder. Give the same command again to go on; with one worker fewer videos are "
                "open at a time."
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _run_here(function: Callable, jobs: Sequence[tuple], count: Callable | None) -> Iterator[Any]:
    done = 0

    def add(number: int) -> None:
        nonlocal done
        done += number
        count(done)

    for job in jobs:
        yield function(*job) if count is None else function(*job, add)


def _collect(
    pool: concurrent.futures.Executor,
    function: Callable,
    jobs: Sequence[tuple],
    count: Callable | None,
    total: Any,
) -> Iterator[Any]:
    futures = [pool.submit(_call, function, job, count is not None) for job in jobs]
    for future in futures:
        while not future.done():
            concurrent.futures.wait([future], _POLL_SECONDS)
            if count is not None:
                count(total.value)
        yield future.result()
    if count is not None:
        count(total.value)


def _start_worker(total: Any) -> None:
    global _counter
    _counter = total
    cv2.setNumThreads(1)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A killed parent cannot stop its workers; without this they would wait for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _call(function: Callable, job: tuple, counts: bool) -> Any:
    return function(*job, _add) if counts else function(*job)


def _add(number: int) -> None:
    with _counter.get_lock():
        _counter.value += number
