"""What goes wrong with remote storage."""

from __future__ import annotations

import re
import urllib.parse

# Line breaks and what else moves a terminal's cursor.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class RemoteError(OSError):
    """Remote storage that does not answer, or cannot do what was asked of it.

    Args:
        path: the file or folder. Of a web address the message leaves out the query, which may hold
            a signature.
        reason: what is wrong, in words.

    Example:
        >>> from bod_keras.storage.remote_error import RemoteError
        >>> str(RemoteError("https://host/a.mp4?key=1", "no answer within 20 s"))
        'https://host/a.mp4: no answer within 20 s'
    """

    def __init__(self, path: str, reason: str):
        super().__init__(f"{without_secrets(path)}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self):
        return type(self), (self.path, self.reason)  # OSError would give its message to __init__


class RemoteFileError(RemoteError):
    """One remote file that is missing or may not be read, while the storage itself answers."""


def without_secrets(path: str) -> str:
    """Return a path for messages: a web address without user, password and query, all on one line.

    Example:
        >>> from bod_keras.storage.remote_error import without_secrets
        >>> without_secrets("https://me:password@host/a.mp4?key=1"), without_secrets("s3://b/what?.mp4")
        ('https://host/a.mp4', 's3://b/what?.mp4')
        >>> print(without_secrets("two\\nlines.mp4"))
        two\\nlines.mp4
    """
    if path.lower().startswith(("http://", "https://")):
        address = path.partition("#")[0].partition("?")[0]
        scheme, _, rest = address.partition("://")
        host, slash, file = rest.partition("/")
        path = f"{scheme}://{host.rpartition('@')[2]}{slash}{urllib.parse.unquote(file)}"
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], path)
