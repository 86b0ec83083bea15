"""Files on remote storage, "scheme://...": list, read, write, each within a time limit."""

from __future__ import annotations

import os
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence

from bod_keras.atomic_file import atomic_file
from bod_keras.data import _http
from bod_keras.data.remote_error import RemoteError, RemoteFileError, without_secrets

# Who reads a scheme: tensorflow-io's file systems, TensorFlow's own, or the standard library.
_PLUGIN, _TENSORFLOW, _HTTP = ("s3", "hdfs"), ("gs",), ("http", "https")
_REMOTE = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_PIECE = 4 * 2**20  # bytes of a read or write: what must come within one time limit
_LISTING = 15  # a folder of many files takes many requests: so many time limits
# Of a server that fails or is not there, tensorflow-io reports after its retries that the file is
# missing: measured after 25 and 51 seconds.
_RETRIES = 20


def is_remote(path: str | os.PathLike) -> bool:
    """Say whether a path has a scheme, as in `s3://bucket/a.mp4`.

    Args:
        path: any path.

    Returns:
        True for a path with a scheme, which the functions here read; False for a local one.

    Example:

    >>> is_remote("s3://bucket/a.mp4"), is_remote("videos/a:b.mp4")
    (True, False)
    """
    return _REMOTE.match(os.fspath(path)) is not None


def exists(path: str) -> bool:
    """Say whether there is a remote file or folder.

    Args:
        path: a path with a scheme.

    Returns:
        False also where the storage refuses access, which S3 does not tell apart.

    Raises:
        RemoteError: if the storage does not answer.

    Example:

    >>> exists("s3://bucket/train.csv")  # doctest: +SKIP
    True
    """
    try:
        _measure(path)
    except RemoteFileError:
        return False
    return True


def is_folder(path: str) -> bool:
    """Say whether a remote path is a folder: something lies below it.

    Args:
        path: a path with a scheme. Of http only the address of a page (HTML) counts as a folder.

    Returns:
        False also if there is nothing at all.

    Raises:
        RemoteError: if the storage does not answer.

    Example:

    >>> is_folder("s3://bucket/videos")  # doctest: +SKIP
    True
    """
    try:
        return _measure(path) is None
    except RemoteFileError:
        return False


def size(path: str) -> int:
    """Give the size of a remote file.

    Args:
        path: a path with a scheme.

    Returns:
        Bytes.

    Raises:
        RemoteFileError: if there is no such file, or it may not be read.
        RemoteError: if the storage does not answer.

    Example:

    >>> size("s3://bucket/a.mp4")  # doctest: +SKIP
    2097152
    """
    measured = _measure(path)
    if measured is None:
        raise RemoteFileError(path, "this is a folder, not a file")
    return measured


def list_files(folder: str, extensions: Sequence[str] = ()) -> list[str]:
    """List the files below a remote folder.

    Args:
        folder: a path with a scheme.
        extensions: endings, in lower case, of names that are files. Any other name costs a request
            to find out whether it is a folder.

    Returns:
        Sorted names relative to the folder, with "/" between their parts.

    Raises:
        RemoteFileError: if there is no such folder.
        RemoteError: if the storage does not answer or, as http, has no listings.

    Example:

    >>> list_files("s3://bucket/videos", (".mp4",))  # doctest: +SKIP
    ['run/a.mp4', 'walk/b.mp4']
    """
    if _scheme(folder) in _HTTP:
        raise RemoteError(
            folder,
            "http has no folders that can be listed. Give the address of a list file with one "
            "'path label' a line, or of a .csv file with a 'path' column",
        )
    if not is_folder(folder):
        raise RemoteFileError(folder, "there is no such folder, or the storage refuses access")
    folder = folder.rstrip("/") + "/"
    found = []
    names = _call(folder, lambda gfile: gfile.listdir(folder), _limit() * _LISTING)
    for name in (name.rstrip("/") for name in names):
        if not name:  # the marker of an empty folder
            continue
        if not name.lower().endswith(tuple(extensions)) and is_folder(folder + name):
            found += [f"{name}/{below}" for below in list_files(folder + name, extensions)]
        else:
            found.append(name)
    return sorted(found)


def read_range(path: str, start: int, length: int) -> bytes:
    """Read a part of a remote file.

    Args:
        path: a path with a scheme.
        start: first byte, counted from 0.
        length: bytes, at least 1.

    Returns:
        The bytes; fewer where the file ends before.

    Raises:
        RemoteFileError: if there is no such file, or it may not be read.
        RemoteError: if the storage does not answer.

    Example:

    >>> read_range("s3://bucket/a.mp4", 4, 4)  # doctest: +SKIP
    b'ftyp'
    """
    if _scheme(path) in _HTTP:
        return _http_call(path, lambda seconds: _http.read_range(path, start, length, seconds))

    def read(gfile):
        with gfile.GFile(path, "rb") as stream:
            stream.seek(start)
            return stream.read(length)

    return _call(path, read)


def read_bytes(path: str) -> bytes:
    """Read a whole remote file.

    Args:
        path: a path with a scheme.

    Returns:
        Its bytes.

    Raises:
        RemoteFileError: if there is no such file, or it may not be read.
        RemoteError: if the storage does not answer.

    Example:

    >>> read_bytes("s3://bucket/train.csv")  # doctest: +SKIP
    b'path,label...'
    """
    total = size(path)
    return b"".join(read_range(path, at, _PIECE) for at in range(0, total, _PIECE))


def download(path: str, target: str | os.PathLike) -> None:
    """Copy a remote file to a local one, which appears whole or not at all.

    Args:
        path: a path with a scheme.
        target: the local file; missing folders are made.

    Raises:
        RemoteFileError: if there is no such file, or it may not be read.
        RemoteError: if the storage does not answer.
        OSError: if the local file cannot be written.

    Example:

    >>> download("s3://bucket/run/model.keras", "model.keras")  # doctest: +SKIP
    """
    total = size(path)
    with atomic_file(target) as part, open(part, "wb") as stream:
        for at in range(0, total, _PIECE):
            stream.write(read_range(path, at, _PIECE))


def upload(source: str | os.PathLike, path: str) -> None:
    """Copy a local file to remote storage. An S3 object appears whole or not at all.

    Args:
        source: the local file.
        path: a path with a scheme, not http.

    Raises:
        RemoteError: if the storage does not answer, refuses, or cannot be written.

    Example:

    >>> upload("model.keras", "s3://bucket/run/model.keras")  # doctest: +SKIP
    """
    length = os.path.getsize(source)

    def send(gfile):
        with open(source, "rb") as stream, gfile.GFile(path, "wb") as target:
            # No more than was there at first: logs grow while they are copied.
            for at in range(0, max(length, 1), _PIECE):  # once for an empty file, too
                target.write(stream.read(min(_PIECE, length - at)))

    _call(path, send, _limit() * (1 + length / _PIECE))
    arrived = size(path)
    if arrived != length:
        raise RemoteError(path, f"{length} bytes were written, {arrived} are there. Repeat it")


def delete(path: str) -> None:
    """Remove a remote file.

    Args:
        path: a path with a scheme, not http.

    Raises:
        RemoteError: if there is no such file, or the storage does not answer.

    Example:

    >>> delete("s3://bucket/run/step-00000004.keras")  # doctest: +SKIP
    """
    _call(path, lambda gfile: gfile.remove(path))


def _measure(path: str) -> int | None:
    """Size of a file, None for a folder."""
    if _scheme(path) in _HTTP:
        return _http_call(path, lambda seconds: _http.measure(path, seconds))
    # A bucket without its slash is no path to tensorflow-io.
    place = path if path.count("/") > 2 else path + "/"
    state = _call(path, lambda gfile: gfile.stat(place))
    return None if state.is_directory else state.length


def _scheme(path: str) -> str:
    match = _REMOTE.match(path)
    scheme = match.group(1).lower() if match else ""
    known = _PLUGIN + _TENSORFLOW + _HTTP
    if scheme not in known:
        raise RemoteError(path, f"expected a path that begins with one of {'://, '.join(known)}://")
    return scheme


def _limit() -> float:
    text = os.environ.get("BOD_KERAS_REMOTE_TIMEOUT", "20")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(
            f"BOD_KERAS_REMOTE_TIMEOUT must be a positive number of seconds. Received: {text!r}"
        )
    return seconds


def _http_call(path: str, call: Callable):
    seconds = _limit()
    return _within(seconds, path, lambda: call(seconds))


def _call(path: str, call: Callable, seconds: float | None = None):
    """Run `call(tf.io.gfile)` within a time limit; its errors in our words."""
    tf = _tensorflow(path)
    seconds = _limit() if seconds is None else seconds
    started = time.monotonic()
    try:
        return _within(seconds, path, lambda: call(tf.io.gfile))
    except tf.errors.NotFoundError as error:
        if time.monotonic() - started > _RETRIES:
            raise RemoteError(path, "the storage fails, or cannot be reached") from None
        if "libhdfs" in error.message:
            raise RemoteError(path, f"hdfs:// needs Hadoop's libhdfs: {error.message}") from None
        raise RemoteFileError(
            path,
            "there is no such file, bucket or folder, or the storage refuses access (S3 does not tell these "
            "apart). Check the name, the credentials and the region",
        ) from None
    except tf.errors.PermissionDeniedError:
        raise RemoteFileError(path, "the storage refuses access. Check the credentials") from None
    except tf.errors.OpError as error:
        text = (error.message or type(error).__name__).splitlines()[0]
        raise RemoteError(path, text[:300]) from None


def _tensorflow(path: str):
    """TensorFlow, with the file system of the path's scheme registered."""
    scheme = _scheme(path)
    if scheme in _HTTP:
        raise RemoteError(path, "http can only be read. Write to a local folder or to s3://")
    install = (
        f"{scheme}:// is read through tensorflow-io, which {{}}. It has builds for Python 3.10 to 3.12 beside "
        "TensorFlow 2.17: pip install -r requirements.txt there, or pip install 'bod-keras[tensorflow,io]'"
    )
    try:
        import tensorflow as tf
    except ImportError:
        raise RemoteError(path, f"{scheme}:// needs TensorFlow: pip install tensorflow") from None
    if scheme in _PLUGIN:
        try:
            import tensorflow_io  # noqa: F401  it registers the file systems
        except ImportError:
            raise RemoteError(path, install.format("is not installed")) from None
    if scheme not in tf.io.gfile.get_registered_schemes():
        raise RemoteError(path, install.format(f"does not load beside TensorFlow {tf.__version__}"))
    return tf


def _within(seconds: float, path: str, call: Callable):
    """Run a call in a thread of its own: the plugin's settings for time limits do not hold."""
    outcome = queue.SimpleQueue()

    def run():
        try:
            outcome.put((call(), None))
        except BaseException as error:
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = outcome.get(timeout=seconds)
    except queue.Empty:
        endpoint = os.environ.get("S3_ENDPOINT") if _scheme(path) == "s3" else None
        at = f" from {without_secrets(endpoint)} (S3_ENDPOINT)" if endpoint else ""
        raise RemoteError(
            path,
            f"no answer{at} within {seconds:g} s. Check the address and the network, or allow more with the "
            "environment variable BOD_KERAS_REMOTE_TIMEOUT (seconds)",
        ) from None
    if error is not None:
        raise error
    return value
