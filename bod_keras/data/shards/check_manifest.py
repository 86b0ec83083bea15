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
        >>> check_manifest({**parts, "class_names": [], "flip_safe": True}, "manifest.json")
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
    keys: set[str] = set()
    for number, video in enumerate(videos):
        place = f"videos[{number}]."
        part(video, "key", str, place)
        shard, frames, fps = (video.get(name) for name in ("shard", "frames", "fps"))
        need(_whole(shard, 0, len(shards) - 1), f"{place}shard", f"0 to {len(shards) - 1}", shard)
        # A frame has more than a byte.
        end = shards[shard]["bytes"]
        need(_whole(frames, 1, end), f"{place}frames", f"1 to {end}", frames)
        twice = video["key"] in keys
        need(not twice, f"{place}key", "of this video alone", video["key"])
        keys.add(video["key"])
        known = fps is None or (_number(fps) and fps > 0)
        need(known, f"{place}fps", "above 0, or null", fps)
        for side in ("height", "width"):
            pixels = video.get(side)
            need(_whole(pixels, 1, _LARGEST), f"{place}{side}", f"1 to {_LARGEST}", pixels)
        offsets = part(video, "offsets", list, place)
        count = -(-frames // chunk)
        wanted = f"{count} increasing offsets below {end}"
        fits = len(offsets) == count and all(_whole(offset, 0, end - 1) for offset in offsets)
        fits = fits and all(a < b for a, b in zip(offsets, offsets[1:]))
        need(fits, f"{place}offsets", wanted, offsets)
    part(manifest, "flip_safe", bool, "")
    names = part(manifest, "class_names", list, "")
    need(all(isinstance(name, str) for name in names), "class_names", "a list of names", names)
    for number, record in enumerate(part(manifest, "records", list, "")):
        place = f"records[{number}]."
        need(isinstance(record, dict), place[:-1], "a dict", record)
        video, span, label = (record.get(name) for name in ("video", "span", "label"))
        need(_whole(video, 0, len(videos) - 1), f"{place}video", f"0 to {len(videos) - 1}", video)
        times = isinstance(span, list) and len(span) == 2 and all(map(_number, span))
        need(span is None or times, f"{place}span", "two times in seconds", span)
        classes = len(names) or 2**31
        labels = record.get("labels", [])
        need(isinstance(labels, list), f"{place}labels", "a list", labels)
        for one in [*labels, *([] if label is None else [label])]:
            need(_whole(one, 0, classes - 1), f"{place}label", "a class number", one)
        factors, split = record.get("factors", {}), record.get("split")
        numbers = isinstance(factors, dict) and all(_whole(v, -(2**62)) for v in factors.values())
        need(numbers, f"{place}factors", "names with integers", factors)
        need(split is None or isinstance(split, str), f"{place}split", "a name", split)


def _whole(value: object, low: int, high: float = 2**62) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
