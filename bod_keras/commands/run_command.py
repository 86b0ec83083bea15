"""A command's errors: one line for what the user can mend, a traceback for what only we can."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import TypeVar

from bod_keras.errors import UserError
from bod_keras.storage.clean_exit import reader_has_left

_Result = TypeVar("_Result")


def run_command(name: str, function: Callable[[], _Result], traceback: bool = False) -> _Result:
    """Return what a command's function returns; end the process with one line where the user can mend an error.

    Such errors are `UserError`, `OSError` (files, storage, processes that are lost), a video that cannot be
    read, and a missing package that we name. All others are faults of the program and keep their traceback.

    Args:
        name: of the command, for the message: ``"train.py"``.
        function: the command, without arguments.
        traceback: show the traceback of every error.

    Raises:
        SystemExit: with the message, which Python prints before it ends the process with code 1.
    """
    for stream in (sys.stdout, sys.stderr):
        # A file's name may be no text of the terminal's encoding.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return function()
    except Exception as error:
        if traceback or reader_has_left(error) or not _can_be_mended(error):
            raise
        failure = f"{name}: {error}"
    # The error is let go of first: a stream that its traceback still holds would abort the interpreter at exit.
    gc.collect()
    sys.exit(failure)


def _can_be_mended(error: Exception) -> bool:
    from bod_keras.data import VideoError

    if isinstance(error, ImportError):
        return (
            error.name is None
        )  # raised by us, with what to install; Python's own names the module
    return isinstance(error, (UserError, OSError, VideoError))
