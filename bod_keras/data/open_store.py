"""One store for records of every kind: video files, folders of frames, shards, arrays.

`bod_keras.data` imports this module at once, so that its `open_store` is the function, never the module. What
the function needs is imported when it is called.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bod_keras.data.record import Record

if TYPE_CHECKING:
    from bod_keras.data.video.store import FrameStore


def open_store(
    records: Iterable[Record], cache_mb: float = 0, fps: float | None = None
) -> FrameStore:
    """Give a `FrameStore` that reads what the records name, of whatever kind, or of several.

    Args:
        records: from `read_catalog`, `array_records`, or both.
        cache_mb: decoded videos are kept up to this many MiB; 0 keeps none.
        fps: frames a second of folders of frames, or None if it is not known.

    Returns:
        The store; nothing is opened yet.

    Raises:
        ValueError: if an argument is out of range, or two arrays have the same path.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import array_records, open_store
        >>> records = array_records(np.zeros((2, 16, 8, 8, 3), np.uint8))
        >>> open_store(records).length("array#1")
        16
    """
    from bod_keras.data.mixed_store import MixedStore

    return MixedStore(records, cache_mb, fps)
