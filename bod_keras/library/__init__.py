"""Embedded videos: a file of vectors, what is found in it, and a page to look at it (docs/library.md)."""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "Library": "library_file",
    "Match": "searching",
    "PageServer": "page_server",
    "embed": "embedding",
    "find_duplicates": "duplicates",
    "read_library": "library_file",
    "search": "searching",
    "write_page": "page",
}
__all__ = list(_MODULES)


# When it is first used: reading a library needs no Keras. No module has the name of what it defines, because a
# module that is imported takes that name here.
def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"bod_keras.library.{_MODULES[name]}"), name)
