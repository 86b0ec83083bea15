"""The one place that ends a process in which tensorflow-io was loaded."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def clean_exit() -> Iterator[None]:
    """End the process after a command's main with the right exit code.

    Once tensorflow-io has touched s3://, its destructors abort the process after everything is done
    ("pure virtual method called", exit code 134), and a scheduler takes a finished run for a crashed one. So
    where it is loaded, what Python does at exit is done here (message, exit handlers, flushing), and the
    process ends without destructors. Everywhere else this does nothing.

    Example:
        >>> from bod_keras.storage.clean_exit import clean_exit
        >>> with clean_exit():
        ...     print("done")
        done
    """
    try:
        yield
        code = 0
    except BaseException as error:
        if "tensorflow_io" not in sys.modules:
            raise
        code = _report(error)
    if "tensorflow_io" in sys.modules:
        atexit._run_exitfuncs()  # as Python does at exit, and multiprocessing in its children
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # such as a closed pipe
                stream.flush()
        os._exit(code)


def _report(error: BaseException) -> int:
    """Print what Python would, and give the exit code."""
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    sys.excepthook(type(error), error, error.__traceback__)
    return 130 if isinstance(error, KeyboardInterrupt) else 1
