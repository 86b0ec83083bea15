"""A remote file as a stream that can be read from any place, fetched in blocks."""

from __future__ import annotations

import functools
import io
from typing import Any

from bod_keras.storage import remote
from bod_keras.storage.remote_error import RemoteError

_BLOCKS = 64  # of all files together: 256 MiB of memory at most, with blocks of 4 MiB


class RemoteFile(io.RawIOBase):
    """Read a remote file from any place. Blocks are fetched on demand, and the last 64 are kept.

    So a video that is opened several times in a row is fetched once, and a clip of a long one fetches only its
    surroundings. Remote files must not change while a process reads them.

    What fails while reading looks like the end of the file, and is kept in `error`: whoever reads from within
    C++ (OpenCV) cannot pass on a Python exception.

    Args:
        path: a path with a scheme.
        block: bytes of a block; a reader of small pieces needs less.

    Attributes:
        error: the first `RemoteError`, or None.
    """

    def __init__(self, path: str, block: int = 4 * 2**20):
        super().__init__()
        self._path, self._block = path, block
        self._at = 0
        self.error: RemoteError | None = None
        self.size = remote_size(path)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        number, within = divmod(self._at, self._block)
        if self._at >= self.size or self.error is not None:
            return 0
        try:
            start = number * self._block
            block = _fetch(self._path, start, min(self._block, self.size - start))
            data = block[within : within + len(buffer)]
        except RemoteError as error:
            self.error = error
            return 0
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


# As `remote.size`, asked for once a file: a few hundred bytes each.
remote_size = functools.lru_cache(maxsize=2**20)(remote.size)


@functools.lru_cache(maxsize=_BLOCKS)
def _fetch(path: str, start: int, length: int) -> bytes:
    return remote.read_exactly(path, start, length)  # what broke off is no end, and is not kept
