"""Video file, frame folder or array -> frames."""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "VideoError": "video_file",
    "iterate_frames": "video",
    "read_frames": "video",
    "readable_frames": "video",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
