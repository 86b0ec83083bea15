"""Calls to remote storage, each within a time limit and with its errors in our words."""

from __future__ import annotations

import os
import queue
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from bod_keras.errors import UserError
from bod_keras.storage.remote_error import RemoteError, RemoteFileError, without_secrets

# Who reads a scheme: tensorflow-io's file systems, TensorFlow's own, or the standard library.
_PLUGIN, _TENSORFLOW, HTTP = ("s3", "hdfs"), ("gs",), ("http", "https")
REMOTE = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
# Of a server that fails or is not there, tensorflow-io reports after its retries that the file is
# missing: measured after 25 and 51 seconds.
_RETRIES = 20


def scheme(path: str) -> str:
    """The scheme of a path, in lower case; one that nobody reads is an error."""
    match = REMOTE.match(path)
    name = match.group(1).lower() if match else ""
    known = _PLUGIN + _TENSORFLOW + HTTP
    if name not in known:
        raise RemoteError(path, f"expected a path that begins with one of {'://, '.join(known)}://")
    if not path[match.end() :].strip("/"):
        raise RemoteError(path, "expected the name of a bucket or host after ://")
    return name


def limit() -> float:
    """Seconds within which storage must answer."""
    text = os.environ.get("BOD_KERAS_REMOTE_TIMEOUT", "20")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UserError(
            f"BOD_KERAS_REMOTE_TIMEOUT must be a positive number of seconds. Received: {text!r}"
        )
    return seconds


def http_call(path: str, function: Callable) -> Any:
    """Run `function(seconds)` within the time limit, which it takes for its connections, too."""
    seconds = limit()
    return _within(seconds, path, lambda: function(seconds))


def call(path: str, function: Callable, seconds: float | None = None):
    """Run `function(tf.io.gfile)` within a time limit; its errors in our words."""
    tf = _tensorflow(path)
    seconds = limit() if seconds is None else seconds
    started = time.monotonic()
    try:
        return _within(seconds, path, lambda: function(tf.io.gfile))
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
    name = scheme(path)
    if name in HTTP:
        raise RemoteError(path, "http can only be read. Write to a local folder or to s3://")
    install = (
        f"{name}:// is read through tensorflow-io, which {{}}. It has builds for Python 3.10 to 3.12 beside "
        "TensorFlow 2.17: pip install -r requirements.txt there, or pip install 'bod-keras[tensorflow,io]'"
    )
    try:
        import tensorflow as tf
    except ImportError:
        raise RemoteError(path, f"{name}:// needs TensorFlow: pip install tensorflow") from None
    if name in _PLUGIN:
        try:
            import tensorflow_io  # noqa: F401  it registers the file systems
        except ImportError:
            raise RemoteError(path, install.format("is not installed")) from None
    if name not in tf.io.gfile.get_registered_schemes():
        raise RemoteError(path, install.format(f"does not load beside TensorFlow {tf.__version__}"))
    return tf


def _within(seconds: float, path: str, function: Callable):
    """Run a call in a thread of its own: the plugin's settings for time limits do not hold."""
    outcome = queue.SimpleQueue()

    def run():
        try:
            outcome.put((function(), None))
        except BaseException as error:
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = outcome.get(timeout=seconds)
    except queue.Empty:
        endpoint = os.environ.get("S3_ENDPOINT") if scheme(path) == "s3" else None
        at = f" from {without_secrets(endpoint)} (S3_ENDPOINT)" if endpoint else ""
        raise RemoteError(
            path,
            f"no answer{at} within {seconds:g} s. Check the address and the network, or allow more with the "
            "environment variable BOD_KERAS_REMOTE_TIMEOUT (seconds)",
        ) from None
    if error is not None:
        raise error
    return value
