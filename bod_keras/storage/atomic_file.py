"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PART = ".part-"


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a path to write to; after the block it replaces `path`, after an error it is deleted.

    A process that is killed at any moment leaves the old file or the new one, never a part of it, and at most a
    file whose name begins with ``.part-``.

    Args:
        path: the file to replace; missing folders are made.

    Raises:
        OSError: the file cannot be written (disk full, no permission); what was at `path` is untouched.

    Example:
        >>> import pathlib, tempfile
        >>> from bod_keras.storage.atomic_file import atomic_file
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "numbers.txt"
        >>> with atomic_file(target) as part:
        ...     _ = part.write_text("1 2 3")
        >>> target.read_text()
        '1 2 3'
    """
    path = Path(path)
    part = path.with_name(f"{PART}{os.getpid()}-{path.name}")  # Keras insists on the ending
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, "rb+") as file:  # on the disk before the name is: a power cut counts, too
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):  # such as a parent that is no folder: the error says so
            part.unlink(missing_ok=True)
