"""Files on remote storage, "scheme://...": list, read, write, each within a time limit.

What does not answer in time, or cannot do what it is asked, raises a `RemoteError`; a file that is missing or
may not be read a `RemoteFileError`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from bod_keras.storage import http as _http
from bod_keras.storage.atomic_file import atomic_file
from bod_keras.storage.calls import HTTP, REMOTE, call, http_call, limit, scheme
from bod_keras.storage.remote_error import RemoteError, RemoteFileError

_PIECE = 4 * 2**20  # bytes of a read or write: what must come within one time limit
_LISTING = 15  # a folder of many files takes many requests: this many time limits


def is_remote(path: str | os.PathLike) -> bool:
    """Return whether a path has a scheme, as in `s3://bucket/a.mp4`.

    Example:
        >>> from bod_keras.storage.remote import is_remote
        >>> is_remote("s3://bucket/a.mp4"), is_remote("videos/a:b.mp4")
        (True, False)
    """
    return REMOTE.match(os.fspath(path)) is not None


def exists(path: str) -> bool:
    """Return whether there is a remote file or folder; False also where the storage refuses access."""
    try:
        _measure(path)
    except RemoteFileError:
        return False
    return True


def is_folder(path: str) -> bool:
    """Return whether something lies below a remote path; of http, whether it is a page (HTML)."""
    try:
        return _measure(path) is None
    except RemoteFileError:
        return False


def size(path: str) -> int:
    """Return the size of a remote file in bytes."""
    measured = _measure(path)
    if measured is None:
        raise RemoteFileError(path, "this is a folder, not a file")
    return measured


def list_files(folder: str, extensions: Sequence[str] = ()) -> list[str]:
    """List the files below a remote folder: sorted names relative to it, with "/" between their parts.

    Args:
        folder: a path with a scheme, not http, which has no listings.
        extensions: endings, in lower case, of names that are files. Any other name costs a request to find out
            whether it is a folder.
    """
    if scheme(folder) in HTTP:
        raise RemoteError(
            folder,
            "http has no folders that can be listed. Give the address of a list file with one "
            "'path label' a line, or of a .csv file with a 'path' column",
        )
    if not is_folder(folder):
        raise RemoteFileError(folder, "there is no such folder, or the storage refuses access")
    folder = folder.rstrip("/") + "/"
    found = []
    names = call(folder, lambda gfile: gfile.listdir(folder), limit() * _LISTING)
    for name in (name.rstrip("/") for name in names):
        if not name:  # the marker of an empty folder
            continue
        if not name.lower().endswith(tuple(extensions)) and is_folder(folder + name):
            found += [f"{name}/{below}" for below in list_files(folder + name, extensions)]
        else:
            found.append(name)
    return sorted(found)


def read_range(path: str, start: int, length: int) -> bytes:
    """Read bytes of a remote file from `start` on; fewer where the file ends before."""
    if scheme(path) in HTTP:
        return http_call(path, lambda seconds: _http.read_range(path, start, length, seconds))

    def read(gfile):
        with gfile.GFile(path, "rb") as stream:
            stream.seek(start)
            return stream.read(length)

    return call(path, read)


def read_bytes(path: str) -> bytes:
    """Read a whole remote file."""
    total = size(path)
    return b"".join(_pieces(path, total))


def download(path: str, target: str | os.PathLike) -> None:
    """Copy a remote file to a local one, which appears whole or not at all."""
    total = size(path)
    with atomic_file(target) as part, open(part, "wb") as stream:
        for piece in _pieces(path, total):
            stream.write(piece)


def upload(source: str | os.PathLike, path: str) -> None:
    """Copy a local file to remote storage, not http. An S3 object appears whole or not at all."""
    length = os.path.getsize(source)

    def send(gfile):
        with open(source, "rb") as stream, gfile.GFile(path, "wb") as target:
            # No more than was there at first: logs grow while they are copied.
            for at in range(0, max(length, 1), _PIECE):  # once for an empty file, too
                target.write(stream.read(min(_PIECE, length - at)))

    call(path, send, limit() * (1 + length / _PIECE))
    arrived = size(path)
    if arrived != length:
        raise RemoteError(path, f"{length} bytes were written, {arrived} are there. Repeat it")


def delete(path: str) -> None:
    """Remove a remote file."""
    call(path, lambda gfile: gfile.remove(path))


def read_exactly(path: str, start: int, length: int) -> bytes:
    """As `read_range`, where the file is known to hold all of the bytes; fewer are a `RemoteError`."""
    data = read_range(path, start, length)
    if len(data) != length:
        raise RemoteError(
            path,
            f"{len(data)} of {length} bytes came from {start} on: it broke off, or was changed",
        )
    return data


def _pieces(path: str, total: int) -> Iterator[bytes]:
    for at in range(0, total, _PIECE):
        yield read_exactly(path, at, min(_PIECE, total - at))


def _measure(path: str) -> int | None:
    """Size of a file, None for a folder."""
    if scheme(path) in HTTP:
        return http_call(path, lambda seconds: _http.measure(path, seconds))
    # A bucket without its slash is no path to tensorflow-io.
    place = path if path.count("/") > 2 else path + "/"
    state = call(path, lambda gfile: gfile.stat(place))
    return None if state.is_directory else state.length
