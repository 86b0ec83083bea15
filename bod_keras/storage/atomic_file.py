"""Files that are written whole or not at all, and what becomes of damaged ones and of parts."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from bod_keras.errors import UserError
from bod_keras.storage.regular_file import regular_file

PART = ".part-"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # pathlib takes a slash away


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a path to write to; after the block it replaces `path`, after an error it is deleted.

    A process that is killed at any moment leaves the old file or the new one, never a part of it, and at most a
    file whose name begins with ``.part-``.

    Args:
        path: the file to replace; missing folders are made.

    Raises:
        UserError: `path` is an address, such as ``s3://bucket/a``.
        OSError: the file cannot be written (disk full, no permission), or `path` is a folder, a pipe or a
            device; what was at `path` is untouched.

    Example:
        >>> import pathlib, tempfile
        >>> from bod_keras.storage.atomic_file import atomic_file
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "numbers.txt"
        >>> with atomic_file(target) as part:
        ...     _ = part.write_text("1 2 3")
        >>> target.read_text()
        '1 2 3'
    """
    path = _target(path)
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


def check_target(path: str | os.PathLike) -> None:
    """Make the folder of a file that is to be written later, and raise now what would prevent it.

    Args:
        path: the file, to be written by `atomic_file`.

    Raises:
        UserError: it is an address, such as ``s3://bucket/a``.
        OSError: it is a folder, a pipe or a device, or nothing can be written beside it.

    Example:
        >>> import tempfile
        >>> from bod_keras.storage.atomic_file import check_target
        >>> check_target(tempfile.mkdtemp() + "/new/report.json")
    """
    folder = _target(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, "nothing can be written to this folder", str(folder))


def check_local(path: str | os.PathLike) -> None:
    """Raise a `UserError` if a path to write to is an address, which would become a local folder."""
    if _ADDRESS.match(os.fspath(path)):
        raise UserError(
            f"{path} is an address, and this is written to local files only. Copy it there afterwards."
        )


def sweep_parts(folder: str | os.PathLike) -> None:
    """Delete below a folder, which need not exist, what killed processes have left half written.

    Files of other processes of this machine stay while these run.
    """
    for part in list(Path(folder).rglob(f"{PART}*")):
        pid = part.name.removeprefix(PART).partition("-")[0]
        if part.is_file() and not (pid.isdecimal() and _runs(int(pid))):
            with contextlib.suppress(OSError):
                part.unlink()


def set_aside(path: str | os.PathLike) -> Path:
    """Rename a damaged file, or anything else of its name, so that nothing is lost by writing a new one.

    Returns:
        The new path: ``aside-`` before the name, and a number if there is one already.

    Example:
        >>> import pathlib, tempfile
        >>> from bod_keras.storage.atomic_file import set_aside
        >>> file = pathlib.Path(tempfile.mkdtemp(), "report.json")
        >>> _ = file.write_text("{")
        >>> set_aside(file).name
        'aside-report.json'
    """
    path = Path(path)
    names = [f"aside-{path.name}", *(f"aside-{n}-{path.name}" for n in range(1, 1000))]
    target = next(place for name in names if not (place := path.with_name(name)).exists())
    return path.rename(target)


def _target(path: str | os.PathLike) -> Path:
    check_local(path)
    path = regular_file(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder, not a file", str(path))
    return path


def _runs(pid: int) -> bool:
    """Whether another process has this number. In a container the one that was killed had our own, often 1."""
    if pid in (1, os.getpid()):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # it is of somebody else
    return True
