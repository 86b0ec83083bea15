"""A run's report without what is nobody else's business."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Names of the user's files, and the identity at a tracker.
_LEFT_OUT = ("skipped", "missing", "blocked", "shorter_than_a_clip", "tracker", "changes")
_PATH = re.compile(r"[/\\]|^~")
_PLACES = ("output", "source", "root", "annotations", "blocklist", "folder", "list", "run")
_PLACES += ("train", "test", "weights", "service", "masks", "photos", "subset", "persons")
_ABSOLUTE = re.compile(r"[/~]|[A-Za-z]:[/\\]|[\w.+-]+://")


def public_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report without names of files; of paths and addresses the last part is left, without a query.

    Warnings that name a path are left out.

    Args:
        report: the content of ``report.json``.

    Example:
        >>> from bod_keras.hub import public_report
        >>> public_report({"config": {"data": {"source": "/home/ann/cats.csv"}}, "training": {"skipped": {}}})
        {'config': {'data': {'source': 'cats.csv'}}, 'training': {}}
    """
    return {_title(name, section): _public(section, name) for name, section in report.items()}


def _title(name: str, section: Any) -> str:
    """The name of a section, which has the settings that were changed, paths among them."""
    modified = section.get("modified") if isinstance(section, Mapping) else None
    for key, values in (modified or {}).items():
        now = values[-1]
        if isinstance(now, str):
            filed = f"{key}={now}".replace("/", "_").replace(" ", "")
            name = name.replace(filed, f"{key}={_public(now, key)}")
    return name


def _public(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _public(v, name) for name, v in value.items() if name not in _LEFT_OUT}
    if key == "warnings":
        return [text for text in value if not _PATH.search(str(text))]
    if isinstance(value, (list, tuple)):
        return [_public(item, key) for item in value]
    if isinstance(value, str) and (
        (key in _PLACES and _PATH.search(value)) or _ABSOLUTE.match(value)
    ):
        return re.split(r"[/\\]", re.split(r"[?#]", value)[0].rstrip("/\\"))[-1]
    return value
