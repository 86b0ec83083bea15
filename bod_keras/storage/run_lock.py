"""At most one run at a time in a folder."""

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import tempfile
from datetime import datetime
from pathlib import Path

from bod_keras.storage import remote


@contextlib.contextmanager
def run_lock(folder):
    """While the block runs, refuse every other process that asks for the same folder.

    The lock is the operating system's (``flock``) on the file ``.<folder>.lock`` beside the folder, which says
    who holds it. It ends with its process, however that ends: the lock of a dead process is never in the way.
    Other hosts see it where the file system shares locks, as NFS does by default. Storage with a scheme has no
    locks: there processes of one host and user refuse each other, by a file in the system's temporary folder,
    and processes of different hosts do not.

    Args:
        folder: path of the folder, which need not exist. It may have a scheme, as ``s3://bucket/runs/a``.

    Raises:
        BlockingIOError: another process holds the lock; with its id, its host and since when.
        OSError: the lock cannot be written, or the file system has no locks.

    Example:
        >>> import tempfile
        >>> with run_lock(tempfile.mkdtemp() + "/run"):
        ...     print("alone")
        alone
    """
    path = _lock_path(str(folder))
    stream = _acquire(path, folder)
    try:
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
        }
        stream.seek(0)
        stream.truncate()
        stream.write(json.dumps(holder))
        stream.flush()
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)  # before it is let go of: nobody may hold an old file
        stream.close()


def _lock_path(folder):
    if remote.is_remote(folder):
        place = f"{os.environ.get('S3_ENDPOINT', '')} {folder.rstrip('/')}"
        name = hashlib.sha256(place.encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir(), f"bod_keras-{os.getuid()}-{name}.lock")
    folder = Path(folder).resolve()
    return folder.parent / f".{folder.name}.lock"


def _acquire(path, folder):
    """The lock's open file, locked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        stream = open(path, "a+", encoding="utf-8")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have removed the file between the two calls: then this is the lock of nothing.
            if path.exists() and path.stat().st_ino == os.fstat(stream.fileno()).st_ino:
                return stream
            stream.close()
        except BlockingIOError:
            stream.seek(0)
            told = _holder(stream.read())
            stream.close()
            raise BlockingIOError(
                f"{folder} is in use: {told}. Wait until it has ended, stop it, or choose another "
                "--config.name or --config.output."
            ) from None
        except OSError as error:
            stream.close()
            raise OSError(
                f"{path} cannot be locked: {error.strerror}. A run's folder must lie on a file system "
                "with locks (flock): choose another with --config.output."
            ) from error


def _holder(text):
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']} has run there since {holder['since']}"
    except (ValueError, KeyError):  # it has just been taken, and not yet signed
        return "another process runs there"
