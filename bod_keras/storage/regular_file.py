"""Files that can be read to their end, and not pipes and devices, on which a reader may wait for ever."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def regular_file(path: str | os.PathLike, pipes: bool = False) -> Path:
    """Return a path, unless what lies there is a pipe, a device or a socket.

    A path where nothing lies, or a folder does, is returned as well: to open it says so.

    Args:
        path: what is to be opened.
        pipes: take pipes, which a shell makes of ``<(command)``.

    Raises:
        OSError: it is no file; the message says what it is, and has the path.

    Example:
        >>> import os
        >>> from bod_keras.storage.regular_file import regular_file
        >>> regular_file(os.devnull)
        Traceback (most recent call last):
        OSError: [Errno 22] this is a device, not a file: '/dev/null'
    """
    try:
        found = stat.S_IFMT(os.stat(path).st_mode)
    except OSError:
        return Path(path)
    if found in _KINDS and not (pipes and found == stat.S_IFIFO):
        reason = f"this is {_KINDS[found]}, not a file"
        raise OSError(errno.EINVAL, reason, os.fspath(path))
    return Path(path)
