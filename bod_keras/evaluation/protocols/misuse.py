"""What makes a number worthless, found before it is measured."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Iterable, Sequence

import keras

from bod_keras.data import Record
from bod_keras.data.video.array_store import ArrayRecord
from bod_keras.errors import UserError
from bod_keras.storage.remote import is_remote
from bod_keras.storage.remote_error import without_secrets

_HEAD = 2**20  # bytes of a file that are compared, beside its size


def check_clips(encoder: keras.Model, frames: int, size: int, protocol: str) -> None:
    """Raise a `UserError` unless an encoder takes clips of the frames and the size that a protocol asks for."""
    _, time, *place, _ = encoder.input_shape  # of features there is no place
    for key, made_for, asked in (("frames", time, frames), *(("size", n, size) for n in place)):
        if made_for is not None and made_for != asked:
            made = " and ".join(
                [f"{time} frames", *([" x ".join(map(str, place))] if place else [])]
            )
            raise UserError(
                f"The protocol {protocol} asks for clips of {frames} frames and {size} x {size} pixels, but "
                f"this model was made for {made}. Evaluate a model that was "
                f"made for them, or change the protocol with --set={key}={made_for}; the result is then "
                f"reported as modified."
            )


def check_class_names(train: Sequence[str], test: Sequence[str]) -> None:
    """Raise a `UserError` unless the classes of two splits have the same names in the same order.

    Otherwise one label would stand for two classes. More classes at the end of train are allowed, and an empty
    list means that no names are known.
    """
    if not train or not test or list(train[: len(test)]) == list(test):
        return
    extra = [f"{name!r} in train only" for name in train if name not in test]
    extra += [f"{name!r} in test only" for name in test if name not in train]
    extra = extra or ["their order"]
    raise UserError(
        f"The classes of train and test differ: {', '.join(extra[:5])}{' ...' if len(extra) > 5 else ''} "
        f"(train has {len(train)} classes, test {len(test)}), so a label would not mean the same in both. Give "
        "both the same class folders, or lists with labels."
    )


def leaks(
    train: Sequence[Record],
    test: Sequence[Record],
    pretrained_on: Sequence[Record] | None,
    allow: bool = False,
) -> list[str]:
    """Return a sentence for each way in which test videos were seen before.

    Args:
        train: the videos to learn from with labels.
        test: the videos to test on.
        pretrained_on: the videos of the pre-training, or None if they are not known.
        allow: also report a test video in `train`, instead of stopping.

    Raises:
        UserError: a test video is in `train`, unless it is allowed.
    """
    found = []
    if shared := shared_videos(train, test):
        said = (
            f"{len(shared)} of the {len(test)} test videos are in the training list, too: {_some(shared)}. A "
            "number on them says nothing of new videos."
        )
        if not allow:
            raise UserError(f"{said} Take them out of one list; or pass --allow_overlap.")
        found.append(said)
    if copies := copied_videos(train, test):
        pairs = [f"{other} is {one}" for one, other in copies]
        found.append(
            f"{len(copies)} test videos are copies of training videos under another name: {_some(pairs)}."
        )
    if pretrained_on is None:
        found.append(
            "The videos of the pre-training are not here, so it is not known whether it has seen test videos."
        )
    elif seen := shared_videos(pretrained_on, test):
        found.append(
            f"Pre-training has seen {len(seen)} of the {len(test)} test videos, without their labels: "
            f"{_some(seen)}. Say so beside the number."
        )
    return found


def shared_videos(one: Iterable[Record], other: Iterable[Record]) -> list[str]:
    """Return the paths in `other` of videos that both have: the same file, at times that overlap."""
    spans = _group(one, lambda record: _place(record.path))
    found = {
        record.path
        for record in other
        if any(_overlap(record.span, seen.span) for seen in spans.get(_place(record.path), ()))
    }
    return sorted(found)


def copied_videos(one: Iterable[Record], other: Iterable[Record]) -> list[tuple[str, str]]:
    """Return pairs of local files of other names with equal size and an equal first MiB."""
    here, there = (
        _group([r for r in records if _is_file(r)], lambda record: os.path.getsize(record.path))
        for records in (one, other)
    )
    pairs = set()
    for size in here.keys() & there.keys():
        known = sorted({record.path for record in here[size]}, reverse=True)
        heads = {_head(path): path for path in known}
        for path in {record.path for record in there[size]}:
            twin = heads.get(_head(path))
            if twin is not None and _place(twin) != _place(path):
                pairs.add((twin, path))
    return sorted(pairs, key=lambda pair: pair[1])


def _some(texts: Sequence[str]) -> str:
    return ", ".join(map(without_secrets, texts[:3])) + (" ..." if len(texts) > 3 else "")


def _group(records: Iterable[Record], key: Callable[[Record], Hashable]) -> dict:
    groups: dict[Hashable, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def _place(path: str) -> str:
    return path if is_remote(path) else os.path.realpath(path)


def _overlap(one: tuple | None, other: tuple | None) -> bool:
    return one is None or other is None or (one[0] < other[1] and other[0] < one[1])


def _is_file(record: Record) -> bool:
    is_local = not isinstance(record, ArrayRecord) and not is_remote(record.path)
    return is_local and os.path.isfile(record.path)


def _head(path: str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read(_HEAD)).digest()
