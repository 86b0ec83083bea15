"""What a file takes of its disk."""

from __future__ import annotations

import os


def stored_size(path: str | os.PathLike) -> int:
    """Return the bytes that a file has on its disk, at most its size; 0 if there is none.

    A file of which little was ever written, such as one that claims terabytes of zeros, has few. A time limit
    that grows with a file's size is to grow with these.

    Args:
        path: the file.

    Example:
        >>> import os, tempfile
        >>> from bod_keras.storage.stored_size import stored_size
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     os.truncate(file.name, 2**40)
        ...     stored_size(file.name)
        0
    """
    try:
        found = os.stat(path)
    except OSError:
        return 0
    return min(found.st_size, 512 * getattr(found, "st_blocks", found.st_size))
