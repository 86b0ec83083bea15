"""A tree of settings as one flat dict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested dicts under their joint names. An empty dict has none.

    Args:
        tree: nested dicts, such as a config.
        prefix: what the names begin with.

    Returns:
        Name to value, in the order of the tree.

    Example:
        >>> from bod_keras.flatten import flatten
        >>> flatten({"seed": 0, "clips": {"frames": 16, "shard": (0, 1)}})
        {'seed': 0, 'clips.frames': 16, 'clips.shard': (0, 1)}
    """
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
