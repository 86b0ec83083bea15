"""Keras for a process that began without it."""

from __future__ import annotations

import importlib
import os
import sys


def with_keras() -> None:
    """Give `bod_keras` all its names, Keras with them, in a process that was begun with BOD_KERAS_READER.

    `bod-keras` begins so, because many of its commands need no Keras, whose import takes seconds.

    Raises:
        ImportError: Keras' backend is not installed; the message says what to install.
    """
    if os.environ.get("BOD_KERAS_READER"):
        os.environ["BOD_KERAS_READER"] = ""  # not gone: it is not to be set again
        for name in ("bod_keras", "bod_keras.weights"):
            if name in sys.modules:
                importlib.reload(sys.modules[name])
