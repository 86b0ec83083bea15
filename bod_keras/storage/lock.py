"""At most one process at a time in a folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from bod_keras.storage import remote


@contextlib.contextmanager
def lock(folder: str | os.PathLike, advice: str, wait: float = 0) -> Iterator[None]:
    """Refuse, while the block runs, every other process that asks for the same folder or file.

    The lock is the operating system's (``flock``) on the file ``.<folder>.lock`` beside the folder, which says
    who holds it. It ends with its process, however that ends: a killed process leaves no lock behind. Other
    hosts see it where the file system shares locks, as NFS does by default. Remote storage has no locks: there
    a file in the system's temporary folder keeps out processes of the same host and user, and no others.

    Args:
        folder: path of the folder or file, which need not exist. It may be remote, as ``s3://bucket/runs/a``.
        advice: what the process that is refused can do, a sentence for its error message.
        wait: seconds to wait for another process that holds it.

    Raises:
        BlockingIOError: another process holds the lock; the message names the process, its host and the time.
        OSError: the lock file cannot be written, or the file system has no locks.

    Example:
        >>> import tempfile
        >>> from bod_keras.storage.lock import lock
        >>> with lock(tempfile.mkdtemp() + "/run", "Wait until it has ended."):
        ...     print("alone")
        alone
    """
    path = _lock_file(os.fspath(folder))
    held = FileLock(path, timeout=wait, fallback_to_soft=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except Timeout:
        raise BlockingIOError(f"{folder} is in use: {_holder(path)}. {advice}") from None
    except OSError as error:
        raise OSError(
            f"{path} cannot be locked: {error.strerror or error}. The folder must lie on a file system with "
            "locks (flock)."
        ) from error
    try:
        path.write_text(
            json.dumps(
                {
                    "pid": os.getpid(),
                    "host": socket.gethostname(),
                    "since": datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
                }
            )
        )
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)  # while it is still held: who waits for it looks again
        held.release()


def is_lock(name: str) -> bool:
    """Return whether a file of this name is a lock, as ``.report.json.lock``."""
    return name.startswith(".") and name.endswith(".lock")


def _lock_file(folder: str) -> Path:
    if remote.is_remote(folder):
        place = f"{os.environ.get('S3_ENDPOINT', '')} {folder.rstrip('/')}"
        name = hashlib.sha256(place.encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir(), f"bod_keras-{os.getuid()}-{name}.lock")
    resolved = Path(folder).resolve()
    return resolved.parent / f".{resolved.name}.lock"


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        return f"process {holder['pid']} on {holder['host']} has held it since {holder['since']}"
    except (OSError, ValueError, KeyError):  # its holder has not written its name yet
        return "another process holds it"
