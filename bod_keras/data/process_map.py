"""A function over many items in worker processes, of which none can hold up the rest."""

from __future__ import annotations

import itertools
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from bod_keras.data.awake_clock import awake_seconds
from bod_keras.errors import UserError


def process_map(
    function: Callable[[Any], Any],
    items: Iterable,
    workers: int,
    timeout: Callable[[Any], float],
) -> Iterator[tuple[Any, Any, str | None]]:
    """Apply a function to items in processes; one that hangs or crashes is ended and replaced.

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
        ValueError: if `workers` is below 1.
        RuntimeError: if processes cannot start, as in a script without `if __name__ == "__main__"`.

    Example:
        >>> from bod_keras.data.process_map import process_map
        >>> [result for _, result, _ in process_map(abs, [-3], 1, lambda item: 60.0)]
        [3]
    """
    if workers < 1:
        raise UserError(f"workers must be at least 1. Received: workers={workers}")
    return _map(function, iter(items), workers, timeout)


def _map(function, items, workers, timeout):
    context = _context(function)
    busy: list[_Worker] = []
    try:
        first = list(itertools.islice(items, workers))
        busy += [_Worker(context, function) for _ in first]
        for worker, item in zip(busy, first):
            worker.give(item, timeout(item))
        while busy:
            patience = min(worker.deadline for worker in busy) - awake_seconds()
            ready = wait([worker.connection for worker in busy], max(0.0, patience))
            for worker in list(busy):
                if worker.connection in ready:
                    item, outcome = worker.take()
                elif awake_seconds() > worker.deadline:
                    item, outcome = worker.item, (None, f"no answer in {worker.seconds:.3g} s")
                    worker.end()
                else:
                    continue
                busy.remove(worker)
                # The next item goes out before the caller sees this one, so that no process waits.
                for following in itertools.islice(items, 1):
                    worker = worker if worker.alive else _Worker(context, function)
                    worker.give(following, timeout(following))
                    busy.append(worker)
                if worker not in busy:
                    worker.end()
                yield item, *outcome
    finally:
        for worker in busy:
            worker.end()


class _Worker:
    """A process that waits for items; after `end` it is not used again."""

    def __init__(self, context, function):
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(function, other), daemon=True)
        self.process.start()
        other.close()
        self.alive, self.started = True, False
        self.item, self.seconds, self.deadline = None, 0.0, 0.0

    def give(self, item, seconds: float) -> None:
        if not self.started:
            try:
                self.connection.recv()  # imports are done; they are no part of the first call's time
            except (EOFError, ConnectionResetError):
                raise RuntimeError(
                    "A worker process ended while it started; its error is above. A script that starts "
                    'processes must be a file and do its work under if __name__ == "__main__".'
                ) from None
            self.started = True
        self.connection.send(item)
        self.item, self.seconds, self.deadline = item, seconds, awake_seconds() + seconds

    def take(self):
        try:
            return self.item, self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            code = self.process.exitcode
            self.end()
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            return self.item, (None, f"the process crashed ({how})")

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()
        self.alive = False


def _serve(function, connection: Connection) -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the parent, which ends this process
    connection.send(None)
    while True:
        try:
            item = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            outcome = function(item), None
        except Exception as error:
            outcome = None, f"{type(error).__name__}: {error}"
        connection.send(outcome)


def _context(function):
    """Processes that share no thread with this one; they come from a server that has imported once."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, getattr(function, "func", function).__module__])
    return context
