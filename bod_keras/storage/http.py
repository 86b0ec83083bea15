"""http(s) by the standard library.

tensorflow-io's own reader fails on servers without ranges, and waits a minute for an answer.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import TypeVar

from bod_keras.storage.remote_error import RemoteError, RemoteFileError

_ATTEMPTS = 3
_RANGE = re.compile(r"bytes (\d+)-(\d+)/")
_Result = TypeVar("_Result")


class _BrokeOffError(RemoteError):
    """A connection that was there, and ended before all had come."""


def measure(url: str, seconds: float) -> int | None:
    """Return the size of a file in bytes; None for a page of HTML, which is how servers show a folder."""
    return _again(lambda: _measure(url, seconds))


def _measure(url: str, seconds: float) -> int | None:
    with _open(url, seconds, "HEAD") as answer:
        if answer.headers.get_content_type() == "text/html":
            return None
        length = _length(answer)
    if length is None:
        raise RemoteError(url, "the server does not say how long the file is (no Content-Length)")
    return length


def read_range(url: str, start: int, length: int, seconds: float) -> bytes:
    """Return bytes of a file, fewer at its end. A server without ranges is read from the start.

    A connection that breaks off is made again, twice; what the server announced must have come.
    """
    try:
        return _again(lambda: _read_range(url, start, length, seconds))
    except EOFError:
        return b""


def _read_range(url: str, start: int, length: int, seconds: float) -> bytes:
    span = {"Range": f"bytes={start}-{start + length - 1}"}
    with _open(url, seconds, "GET", span) as answer:
        try:
            total, skip = _length(answer), start
            if answer.status == http.client.PARTIAL_CONTENT:
                skip = 0
                sent = _RANGE.match(answer.headers.get("Content-Range", ""))
                if sent and int(sent[1]) != start:
                    raise RemoteError(
                        url, f"the server sent bytes from {sent[1]} on, asked for {start}"
                    )
                if sent:
                    total = int(sent[2]) - start + 1
            wanted = length if total is None else max(0, min(length, total - skip))
            passed = _take(answer, skip, keep=False)
            data = _take(answer, length)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, RemoteError):
                raise
            raise _BrokeOffError(url, f"the connection broke off ({error!r})") from None
    if total is not None and (passed < min(skip, total) or len(data) < wanted):
        raise _BrokeOffError(
            url, f"the connection broke off: {len(data)} of {wanted} bytes came from {start} on"
        )
    return data


def _take(answer: http.client.HTTPResponse, length: int, keep: bool = True) -> bytes | int:
    """The next bytes, fewer at the end; or how many there were."""
    pieces, missing = [], length
    while missing and (piece := answer.read(min(missing, 2**20))):
        missing -= len(piece)
        if keep:
            pieces.append(piece)
    return b"".join(pieces) if keep else length - missing


def _again(read: Callable[[], _Result]) -> _Result:
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(_BrokeOffError):
            return read()
    return read()


def _length(answer: http.client.HTTPResponse) -> int | None:
    text = answer.headers.get("Content-Length")
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _open(url: str, seconds: float, method: str, headers=()) -> http.client.HTTPResponse:
    if re.search(
        r"[\x00-\x1f\x7f]", url
    ):  # a line end could reach a header; urlsplit would drop it in silence
        raise RemoteError(
            repr(url)[1:-1], "an address must not hold line ends or other control characters"
        )
    parts = _parted(url)
    if "@" in parts.netloc:
        raise RemoteError(
            url,
            "a user or password within an address would end up in reports, so it is refused. Use s3://, or a "
            "server within your network",
        )
    # What is escaped stays as it is; spaces and other letters, as they stand in list files, are escaped here.
    path, query = (urllib.parse.quote(part, safe="/%:@!$&'()*+,;=?") for part in parts[2:4])
    address = urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, query, ""))
    request = urllib.request.Request(address, method=method, headers=dict(headers))
    try:
        return _opener().open(request, timeout=seconds)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise EOFError from None
        if error.code in (http.client.NOT_FOUND, http.client.GONE):
            raise RemoteFileError(url, "there is no such file") from None
        if error.code in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            raise RemoteFileError(url, f"the server refuses access ({error.code})") from None
        raise RemoteError(url, f"the server answers {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        broke = isinstance(reason, (ConnectionResetError, http.client.HTTPException))
        kind = _BrokeOffError if broke else RemoteError
        raise kind(url, f"cannot be reached: {reason}") from None


def _parted(url: str) -> urllib.parse.SplitResult:
    """The parts of an address that has a host and a port, if any, that exists: systems take 99999 for 34463."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RemoteError(url, f"the address cannot be understood: {error}") from None
    if not parts.hostname or port == 0:
        raise RemoteError(url, "expected an address with a host, and no port or one of 1 to 65535")
    return parts


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to addresses that can be."""

    def redirect_request(self, request, answer, code, message, headers, address):
        _parted(address)
        return super().redirect_request(request, answer, code, message, headers, address)


@functools.cache
def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Redirects)
