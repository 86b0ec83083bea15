"""http(s) by the standard library.

tensorflow-io's own reader fails on servers without ranges, and waits a minute for an answer.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request

from bod_keras.storage.remote_error import RemoteError, RemoteFileError


def measure(url: str, seconds: float) -> int | None:
    """Return the size of a file in bytes; None for a page of HTML, which is how servers show a folder."""
    with _open(url, seconds, "HEAD") as answer:
        if answer.headers.get_content_type() == "text/html":
            return None
        length = answer.headers.get("Content-Length")
    if length is None:
        raise RemoteError(url, "the server does not say how long the file is (no Content-Length)")
    return int(length)


def read_range(url: str, start: int, length: int, seconds: float) -> bytes:
    """Return bytes of a file, fewer at its end. A server without ranges is read from the start."""
    span = {"Range": f"bytes={start}-{start + length - 1}"}
    try:
        with _open(url, seconds, "GET", span) as answer:
            skip = 0 if answer.status == http.client.PARTIAL_CONTENT else start
            while skip and (passed := answer.read(min(skip, 2**20))):
                skip -= len(passed)
            return answer.read(length)
    except EOFError:
        return b""
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, RemoteError):
            raise
        raise RemoteError(url, f"the connection broke off ({error!r})") from None


def _open(url: str, seconds: float, method: str, headers=()) -> http.client.HTTPResponse:
    parts = urllib.parse.urlsplit(url)
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
        return urllib.request.urlopen(request, timeout=seconds)
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
        raise RemoteError(url, f"cannot be reached: {reason}") from None
