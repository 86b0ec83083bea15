"""The numbers of a manifest of shards, each within its range, before anything is read by them."""

from __future__ import annotations

import math
import os
from numbers import Real
from typing import Any

from bod_keras.errors import UserError

_LARGEST = 2**16 - 1  # pixels of a side of a JPEG image


def check_manifest(manifest: dict[str, Any], path: str) -> None:
    """Raise a `UserError` that names the first place of a manifest that cannot be.

    Args:
        manifest: as `read_manifest` finds it, of the right format and version.
        path: the manifest's, for the error.

    Raises:
        UserError: a number out of its range, a name that leaves the folder, or a part that is missing.

    Example:
        >>> from bod_keras.data.shards.check_manifest import check_manifest
        >>> parts = {"settings": {"chunk": 32}, "shards": [], "videos": [], "records": []}
        >>> check_manifest(parts, "manifest.json")
    """

    def need(holds: bool, place: str, wanted: str, value: object) -> None:
        if not holds:
            raise UserError(
                f"The manifest {path} is damaged: {place} must be {wanted}. Received: {str(value)[:80]}. Write "
                "the shards again, or copy the manifest again."
            )

    def part(of: Any, name: str, kind: type, place: str) -> Any:
        found = of.get(name) if isinstance(of, dict) else None
        need(isinstance(found, kind), f"{place}{name}", f"a {kind.__name__}", found)
        return found

    chunk = part(manifest, "settings", dict, "").get("chunk")
    need(_whole(chunk, 1), "settings.chunk", "at least 1", chunk)
    shards = part(manifest, "shards", list, "")
    for number, shard in enumerate(shards):
        place = f"shards[{number}]."
        file, size = part(shard, "file", str, place), part(shard, "bytes", int, place)
        plain = os.path.basename(file) == file and file.endswith(".tfrecord") and "#" not in file
        need(plain, f"{place}file", "the name of a .tfrecord file in the same folder", file)
        need(_whole(size, 1), f"{place}bytes", "at least 1", size)
    videos = part(manifest, "videos", list, "")
    for number, video in enumerate(videos):
        place = f"videos[{number}]."
        part(video, "key", str, place)
        shard, frames, fps = (video.get(name) for name in ("shard", "frames", "fps"))
        need(_whole(shard, 0, len(shards) - 1), f"{place}shard", f"0 to {len(shards) - 1}", shard)
        need(_whole(frames, 1), f"{place}frames", "at least 1", frames)
        known = fps is None or (_number(fps) and fps > 0)
        need(known, f"{place}fps", "above 0, or null", fps)
        for side in ("height", "width"):
            pixels = video.get(side)
            need(_whole(pixels, 1, _LARGEST), f"{place}{side}", f"1 to {_LARGEST}", pixels)
        offsets, end = part(video, "offsets", list, place), shards[shard]["bytes"]
        count = -(-frames // chunk)
        wanted = f"{count} increasing offsets below {end}"
        fits = len(offsets) == count and all(_whole(offset, 0, end - 1) for offset in offsets)
        fits = fits and all(a < b for a, b in zip(offsets, offsets[1:]))
        need(fits, f"{place}offsets", wanted, offsets)
    for number, record in enumerate(part(manifest, "records", list, "")):
        place = f"records[{number}]."
        need(isinstance(record, dict), place[:-1], "a dict", record)
        video, span, label = (record.get(name) for name in ("video", "span", "label"))
        need(_whole(video, 0, len(videos) - 1), f"{place}video", f"0 to {len(videos) - 1}", video)
        times = isinstance(span, list) and len(span) == 2 and all(map(_number, span))
        need(span is None or times, f"{place}span", "two times in seconds", span)
        need(label is None or _whole(label, 0), f"{place}label", "a class number", label)


def _whole(value: object, low: int, high: float = 2**62) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
