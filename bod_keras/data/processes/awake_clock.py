"""A clock that stands still while this process is stopped."""

from __future__ import annotations

import functools
import threading
import time

_TICK = 0.25  # seconds
_MOST = 0.5  # of a tick that comes late: what is beyond was a pause


class AwakeClock:
    """Seconds since the clock was made, without those in which the process was stopped.

    A time limit of what another process does must not run on while Ctrl-Z or a scheduler has stopped both of
    them: when they continue, nothing is to blame. The clock ticks in a thread, which stops with the process.

    Example:
        >>> from bod_keras.data.processes.awake_clock import AwakeClock
        >>> AwakeClock()() < 60
        True
    """

    def __init__(self):
        self._sum, self._last = 0.0, time.monotonic()
        self._lock = threading.Lock()
        threading.Thread(target=self._tick, daemon=True).start()

    def __call__(self) -> float:
        with self._lock:
            now = time.monotonic()
            self._sum += min(now - self._last, _MOST)
            self._last = now
            return self._sum

    def _tick(self) -> None:
        while True:
            time.sleep(_TICK)
            self()


def awake_seconds() -> float:
    """Return the time of this process' one `AwakeClock`."""
    return _clock()()


@functools.cache
def _clock() -> AwakeClock:
    return AwakeClock()
