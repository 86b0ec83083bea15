"""What goes wrong with remote storage."""

from __future__ import annotations

import urllib.parse


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
    """One remote file that is missing or may not be read, while the storage itself answers.

    Example:
        >>> from bod_keras.storage.remote_error import RemoteFileError
        >>> RemoteFileError("s3://bucket/a.mp4", "there is no such file").reason
        'there is no such file'
    """


def without_secrets(path: str) -> str:
    """Return a path for messages: a web address without user, password and query.

    Args:
        path: any path.

    Returns:
        What may be shown and logged.

    Example:
        >>> from bod_keras.storage.remote_error import without_secrets
        >>> without_secrets("https://me:password@host/a.mp4?key=1"), without_secrets("s3://b/what?.mp4")
        ('https://host/a.mp4', 's3://b/what?.mp4')
    """
    if not path.lower().startswith(("http://", "https://")):
        return path
    address = path.partition("#")[0].partition("?")[0]
    scheme, _, rest = address.partition("://")
    host, slash, file = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{urllib.parse.unquote(file)}"
