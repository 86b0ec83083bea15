"""A function over many items in worker processes, of which none can hold up the rest."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bod_keras.data.processes.worker_pool import WorkerPool
from bod_keras.errors import UserError

MOST_WORKERS = 1024
LONGEST = 10**6  # seconds, eleven days: the system waits no longer


def check_timeout(timeout: float) -> None:
    """Raise a `UserError` if a time limit is no number of seconds that can be waited."""
    if not 0 < timeout <= LONGEST:
        raise UserError(
            f"timeout must be more than 0 seconds, and at most {LONGEST:,}. Received: timeout={timeout}"
        )


def process_map(
    function: Callable[[Any], Any],
    items: Iterable,
    workers: int,
    timeout: Callable[[Any], float],
) -> Iterator[tuple[Any, Any, str | None]]:
    """Apply a function to items in a `WorkerPool`; one that hangs or crashes is ended and replaced.

    A pool of `concurrent.futures` cannot end a call that hangs inside of a C library, such as a
    video decoder, and is lost as a whole when one process crashes.

    Args:
        function: a picklable function of one item, of a module, with a picklable result.
        items: what to apply it to.
        workers: number of processes.
        timeout: item -> seconds after which its call is given up.

    Yields:
        `(item, result, None)`, or `(item, None, reason)` if the call failed; as they are done, so
        in another order than `items`.

    Raises:
        UserError: if `workers` is below 1 or above 1024.
        WorkersNotStartedError: if the processes cannot be started.

    Example:
        >>> from bod_keras.data.processes.process_map import process_map
        >>> [result for _, result, _ in process_map(abs, [-3], 1, lambda item: 60.0)]
        [3]
    """
    if not 1 <= workers <= MOST_WORKERS:
        bound = "at least 1" if workers < 1 else f"at most {MOST_WORKERS}"
        raise UserError(f"workers must be {bound}. Received: workers={workers}")
    return _map(function, iter(items), workers, timeout)


def _map(function, items, workers, timeout):
    first = list(itertools.islice(items, workers))
    if not first:
        return
    pool = WorkerPool(functools.partial(_outcome, function), len(first), timeout)
    try:
        for job in pool.run(itertools.chain(first, items), window=len(first), in_order=False):
            yield job.item, *(job.answer or (None, job.reason))
    finally:
        pool.close()


def _outcome(function: Callable[[Any], Any], item: Any) -> tuple[Any, str | None]:
    try:
        return function(item), None
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"
