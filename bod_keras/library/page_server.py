"""The page of a library from a server on this machine: what is looked at is read then."""

from __future__ import annotations

import functools
import http.server
import json
import os
import socketserver
import threading
from typing import Any

import numpy as np

from bod_keras.errors import UserError
from bod_keras.library.library_file import Library, read_library
from bod_keras.library.page import (
    kinds_of,
    loop_name,
    map_of,
    neighbors,
    page_text,
    read_loops,
)
from bod_keras.library.searching import BY

_KEPT = 4096  # loops in memory, of about 10 KB
_READERS = 2


class PageServer(http.server.ThreadingHTTPServer):
    """Serve the page of `write_page` on 127.0.0.1, with all rows; loops, neighbors, maps as they are asked for.

    No request names a file: a loop is asked for by a hash, and only those of the library's rows are known. A
    request that was not sent to this address (its ``Host`` is another) is refused.

    Args:
        library: a `Library`, or its file.
        port: port; 0 for a free one.

    Attributes:
        url: address of the page.

    Raises:
        FileNotFoundError: there is no such library.
        UserError: the port is in use, or none.

    Example:
        >>> from bod_keras.library import PageServer
        >>> with PageServer("library") as server:  # doctest: +SKIP
        ...     print(server.url)
        ...     server.serve_forever()
        http://127.0.0.1:40121/
    """

    def __init__(self, library: str | os.PathLike | Library, port: int = 0):
        self.library = library if isinstance(library, Library) else read_library(library)
        rows = range(len(self.library))
        names = [loop_name(self.library, row) for row in rows]
        self._rows = dict(zip(names, rows))
        self._files = np.unique(self.library.keys, return_inverse=True)[1]
        text = page_text(self.library, np.arange(len(rows)), names, {"map": {}, "served": True})
        policy = "default-src 'none'; "
        self._page = text.replace(policy, f"{policy}connect-src 'self'; ", 1).encode()
        self._units_once, self._map_once = threading.Lock(), threading.Lock()
        self._readers = threading.Semaphore(_READERS)
        self._loop = functools.lru_cache(_KEPT)(self._read_loop)
        self._map = functools.lru_cache(None)(lambda kind: map_of(self._units(kind)))
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            raise UserError(
                f"The page cannot be served at port {port}: {error}. Choose another, or 0 for a free one."
            ) from None
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}

    def server_bind(self) -> None:
        """Bind without the base class' look-up of this machine's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Return status, type and content of what a path of the page's names."""
        room, _, name = path.removeprefix("/").partition("/")
        if path == "/":
            return 200, "text/html; charset=utf-8", self._page
        if room == "loops" and name.removesuffix(".webp") in self._rows:
            try:
                return 200, "image/webp", self._loop(name.removesuffix(".webp"))
            except _NoLoopError as error:
                return 404, "text/plain; charset=utf-8", _text(str(error))
        if room == "map" and name in kinds_of(self.library):
            with self._map_once:
                return _json(self._map(name))
        if room == "near" and name.isascii() and name.isdigit() and len(name) < 12:
            row = int(name)
            if row < len(self.library):
                found: dict[str, dict] = {"near": {}, "similarity": {}}
                for kind in kinds_of(self.library):
                    index, cosine = neighbors(self._units(kind), self._files, [row])
                    found["near"][kind], found["similarity"][kind] = index[0], cosine[0]
                return _json(found)
        return 404, "text/plain; charset=utf-8", b"There is nothing at this address."

    def _units(self, kind: str) -> np.ndarray:
        with self._units_once:
            return self.library.unit_vectors(BY[kind])

    def _read_loop(self, name: str) -> bytes:
        with self._readers:
            [(_, encoded, reason)] = read_loops(self.library, [self._rows[name]], 0, 60.0)
        if encoded is None:
            raise _NoLoopError(reason)
        return encoded


class _NoLoopError(Exception):
    pass


class _Handler(http.server.BaseHTTPRequestHandler):
    server: PageServer
    timeout = 30

    def do_GET(self) -> None:  # noqa: N802
        if self.headers.get("Host") not in self.server.hosts:
            found = 403, "text/plain; charset=utf-8", _text(f"Open {self.server.url}")
        else:
            found = self.server.answer(self.path)
        status, kind, content = found
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Frame-Options", "DENY")
        loop = kind == "image/webp"  # its name changes with the video
        self.send_header("Cache-Control", "private, max-age=3600" if loop else "no-store")
        self.end_headers()
        try:
            self.wfile.write(content)
        except ConnectionError:  # the page has moved on
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each request."""


def _json(data: Any) -> tuple[int, str, bytes]:
    return 200, "application/json", json.dumps(data, separators=(",", ":")).encode()


def _text(text: str) -> bytes:
    return text.encode(errors="backslashreplace")
