"""What makes a number worthless, found before it is measured."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence

from bod_keras.data import Record
from bod_keras.data.video.array_store import ArrayRecord
from bod_keras.errors import UserError
from bod_keras.storage.remote import is_remote

_HEAD = 2**20  # bytes of a file that are compared, beside its size


def check_clips(encoder, frames: int, size: int, protocol: str) -> None:
    """Raise unless an encoder takes the clips of a protocol.

    Args:
        encoder: with an `input_shape` (None, T, H, W, 3).
        frames: of the protocol's clips.
        size: their height and width in pixels.
        protocol: its name.

    Raises:
        ValueError: if the encoder was made for another number of frames, or for another size.

    Example:
        >>> from bod_keras.evaluation.protocols.misuse import check_clips
        >>> from bod_keras.encoders import FrameCNN
        >>> check_clips(FrameCNN((8, 32, 32, 3), widths=(4,)), 8, 32, "linear")
    """
    _, time, height, width, _ = encoder.input_shape
    pairs = (("frames", time, frames), ("size", height, size), ("size", width, size))
    for key, made_for, asked in pairs:
        if made_for is not None and made_for != asked:
            raise UserError(
                f"The protocol {protocol} asks for clips of {frames} frames and {size} x {size} pixels, but "
                f"this model was made for {time} frames and {height} x {width}. Evaluate a model that was "
                f"made for them, or change the protocol with --set={key}={made_for}; the result is then "
                f"reported as modified."
            )


def check_class_names(train: Sequence[str], test: Sequence[str]) -> None:
    """Raise unless the classes of two splits have the same names in the same order.

    Args:
        train, test: the names in the order of the labels; an empty list where none are known.

    Raises:
        ValueError: if they differ: then one label stands for two classes. Further classes at the end of train
            do no harm.

    Example:
        >>> from bod_keras.evaluation.protocols.misuse import check_class_names
        >>> check_class_names(["run", "jump"], ["run", "jump"])
    """
    train, test = list(train), list(test)
    if not train or not test or train[: len(test)] == test:
        return
    extra = [f"{name!r} in train only" for name in train if name not in test]
    extra += [f"{name!r} in test only" for name in test if name not in train]
    extra = extra or ["their order"]
    raise UserError(
        f"The classes of train and test differ: {', '.join(extra[:5])}{' ...' if len(extra) > 5 else ''} "
        f"(train has {len(train)} classes, test {len(test)}), so a label would not mean the same in both. Give "
        "both the same class folders, or lists with labels."
    )


def shared_videos(one: Iterable[Record], other: Iterable[Record]) -> list[str]:
    """Find videos that two lists both have: the same file, at times that overlap.

    Args:
        one, other: records.

    Returns:
        The paths in `other`, sorted.

    Example:
        >>> from bod_keras.data import Record
        >>> from bod_keras.evaluation.protocols.misuse import shared_videos
        >>> shared_videos([Record("a.mp4"), Record("b.mp4")], [Record("./b.mp4"), Record("c.mp4")])
        ['./b.mp4']
    """
    spans: dict[str, list] = {}
    for record in one:
        spans.setdefault(_place(record.path), []).append(record.span)
    found = {
        record.path
        for record in other
        if any(_overlap(record.span, span) for span in spans.get(_place(record.path), ()))
    }
    return sorted(found)


def copied_videos(one: Iterable[Record], other: Iterable[Record]) -> list[tuple[str, str]]:
    """Find local files of other names with equal content: of equal size, and equal in their first MiB.

    Args:
        one, other: records.

    Returns:
        Pairs of a path in `one` and a path in `other`, sorted by the latter.

    Example:
        >>> from bod_keras.data import Record
        >>> from bod_keras.evaluation.protocols.misuse import copied_videos
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> files = [folder / name for name in ("a.avi", "b.avi", "c.avi")]
        >>> for file, content in zip(files, ("x", "x", "y")):
        ...     _ = file.write_text(content)
        >>> pairs = copied_videos([Record(str(files[0]))], [Record(str(files[1])), Record(str(files[2]))])
        >>> [pathlib.Path(copy).name for _, copy in pairs]
        ['b.avi']
    """
    here, there = _by_size(one), _by_size(other)
    pairs = []
    for size in here.keys() & there.keys():
        heads: dict[bytes, str] = {}
        for path in here[size]:
            heads.setdefault(_head(path), path)
        pairs += [
            (heads[head], path)
            for path, head in ((path, _head(path)) for path in there[size])
            if head in heads and _place(heads[head]) != _place(path)
        ]
    return sorted(pairs, key=lambda pair: pair[1])


def leaks(
    train: Sequence[Record],
    test: Sequence[Record],
    pretrained_on: Sequence[Record] | None,
    allow: bool = False,
) -> list[str]:
    """Say which test videos were seen before.

    Args:
        train: the videos that are learned from with labels.
        test: the videos that are tested on.
        pretrained_on: the videos of the pre-training, or None if they are not known.
        allow: say of a test video in `train`, too, instead of stopping.

    Returns:
        A sentence for each thing to be said.

    Raises:
        ValueError: if a test video is in `train`, unless it is allowed.

    Example:
        >>> from bod_keras.data import Record
        >>> from bod_keras.evaluation.protocols.misuse import leaks
        >>> leaks([Record("a.mp4")], [Record("b.mp4")], [Record("b.mp4")])[0][:38]
        'Pre-training has seen 1 of the 1 test '
    """
    found = []
    shared = shared_videos(train, test)
    if shared:
        said = (
            f"{len(shared)} of the {len(test)} test videos are in the training list, too: {_some(shared)}. A "
            "number on them says nothing of new videos."
        )
        if not allow:
            raise UserError(f"{said} Take them out of one list; or pass --allow_overlap.")
        found.append(said)
    copies = copied_videos(train, test)
    if copies:
        pairs = [f"{other} is {one}" for one, other in copies]
        found.append(
            f"{len(copies)} test videos are copies of training videos under another name: {_some(pairs)}."
        )
    if pretrained_on is None:
        found.append(
            "The videos of the pre-training are not here, so it is not known whether it has seen test videos."
        )
        return found
    seen = shared_videos(pretrained_on, test)
    if seen:
        found.append(
            f"Pre-training has seen {len(seen)} of the {len(test)} test videos, without their labels: "
            f"{_some(seen)}. Say so beside the number."
        )
    return found


def _some(texts: Sequence[str]) -> str:
    return ", ".join(texts[:3]) + (" ..." if len(texts) > 3 else "")


def _place(path: str) -> str:
    return path if is_remote(path) else os.path.realpath(path)


def _overlap(one, other) -> bool:
    if one is None or other is None:
        return True
    return one[0] < other[1] and other[0] < one[1]


def _by_size(records: Iterable[Record]) -> dict[int, list[str]]:
    sizes: dict[int, list[str]] = {}
    paths = {record.path for record in records if not isinstance(record, ArrayRecord)}
    for path in sorted(paths):
        if not is_remote(path) and os.path.isfile(path):
            sizes.setdefault(os.path.getsize(path), []).append(path)
    return sizes


def _head(path: str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read(_HEAD)).digest()
