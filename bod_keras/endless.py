"""Which streams of batches have no end: what makes one says so, and `fit` asks for the number of steps."""

from __future__ import annotations

import weakref
from typing import Any

# A generator, the only iterator that Keras' `fit` takes, cannot carry an attribute.
_STREAMS: weakref.WeakSet = weakref.WeakSet()


def mark_endless(stream: Any) -> Any:
    """Return a stream, known as endless from now on.

    Args:
        stream: a generator, or a loader.

    Example:
        >>> import itertools
        >>> from bod_keras.endless import is_endless, mark_endless
        >>> is_endless(mark_endless(number for number in itertools.count())), is_endless([1, 2])
        (True, False)
    """
    _STREAMS.add(stream)
    return stream


def is_endless(stream: Any) -> bool:
    """Whether a stream was marked, or is a `tf.data.Dataset` that says so itself."""
    cardinality = getattr(stream, "cardinality", None)
    if callable(cardinality) and int(cardinality()) == -1:
        return True
    return any(known is stream for known in _STREAMS)
