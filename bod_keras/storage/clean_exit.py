"""The end of a command: the right exit code, and no traceback of a reader who has left."""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator

_LEFT = 128 + signal.SIGPIPE


@contextlib.contextmanager
def clean_exit() -> Iterator[None]:
    """End the process after a command's main with the right exit code.

    Once tensorflow-io has touched s3://, its destructors abort the process after everything is done
    ("pure virtual method called", exit code 134), and a scheduler takes a finished run for a crashed one. So
    where it is loaded, what Python does at exit is done here (message, exit handlers, flushing), and the
    process ends without destructors.

    A command whose output nobody reads any longer (``| head``) ends with code 141, as those of the system do.

    Example:
        >>> from bod_keras.storage.clean_exit import clean_exit
        >>> with clean_exit():
        ...     print("done")
        done
    """
    try:
        yield
        code = 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except BaseException as error:
        left = reader_has_left(error)
        if left:  # what is still to be written goes nowhere
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
        if "tensorflow_io" not in sys.modules:
            if left:
                raise SystemExit(_LEFT) from None
            raise
        code = _LEFT if left else _report(error)
    if "tensorflow_io" in sys.modules:
        atexit._run_exitfuncs()  # as Python does at exit, and multiprocessing in its children
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # such as a closed pipe
                stream.flush()
        os._exit(code)


def reader_has_left(error: BaseException) -> bool:
    """Return whether an error is that of a command's output whose reader has ended."""
    if not isinstance(error, BrokenPipeError):
        return False
    output = select.poll()
    try:
        output.register(sys.stdout, 0)  # errors are told in any case
    except (OSError, TypeError, ValueError):  # no file of the system
        return False
    return bool(output.poll(0))


def _report(error: BaseException) -> int:
    """Print what Python would, and give the exit code."""
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    sys.excepthook(type(error), error, error.__traceback__)
    return 130 if isinstance(error, KeyboardInterrupt) else 1
