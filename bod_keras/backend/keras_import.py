"""Keras, or a plain word about the backend that it lacks."""

from __future__ import annotations

import importlib.util

_BACKENDS = ("tensorflow", "jax", "torch")


def import_keras() -> None:
    """Import Keras.

    Raises:
        ImportError: its backend is not installed; the message says what to install, or to choose.
    """
    try:
        import keras  # noqa: F401
    except ModuleNotFoundError as error:
        backend = (error.name or "").partition(".")[0]
        if backend not in _BACKENDS:
            raise
        others = [name for name in _BACKENDS if importlib.util.find_spec(name)]
        choose = f", or set KERAS_BACKEND={' or '.join(others)}" if others else ""
        raise ImportError(
            f"Keras is to run on {backend}, which is not installed: pip install {backend}{choose}."
        ) from error
