"""Factor probes on videos without labels: which file it is, how fast, which direction, which order."""

from __future__ import annotations

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from bod_keras.data.loading.clips import clip_span
from bod_keras.data.record_frames import video_lengths
from bod_keras.errors import UserError
from bod_keras.evaluation.probes.factors import factor_probes
from bod_keras.evaluation.protocols._kinds import kind
from bod_keras.evaluation.protocols.factors import tabulate
from bod_keras.evaluation.protocols.subject import Subject
from bod_keras.evaluation.window_variants import window_variants

_LEAST = 4  # videos: two to learn from and two to test on
_STATIC, _DYNAMIC = ("file",), ("speed", "direction", "order")


@kind("factors_real", by_part=True)
def run_factors_real(subject: Subject, protocol: ConfigDict) -> dict[str, Any]:
    """Probe every part for a static factor and three dynamic ones that videos have by themselves.

    "file": which video a clip is of. Of clips that follow one another in a video, every second one is learned
    from and the others are tested. "speed": how many frames of the video lie between two of the clip;
    "direction": forward or reversed; "order": right or shuffled. For these three, half of the files is learned
    from and the other half is tested, and the shuffled orders of the test are other ones than in training.

    Args:
        subject: a `Subject`; its `test` videos are used, their labels are not.
        protocol: with `clips`, `speeds`, `shuffles` (`window_variants`), `most_videos` and `measures`.

    Returns:
        As the protocol "factors", with `too_short`, the number of videos that are shorter than the window and
        are left out, and `window`, its frames.
    """
    split = subject.test
    frames, stride = split.data.clips.frames, split.data.clips.stride
    length, variants = window_variants(
        frames, protocol.clips, protocol.speeds, protocol.shuffles, subject.seed
    )
    kept, too_short = _long_enough(split, clip_span(length, stride), subject.seed, protocol)
    some = split.subset(kept)
    features, index = subject.features(
        some, frames=length, kind=protocol.read_out, variants=variants
    )
    split.skip(some.skipped)
    files = np.unique([split.records[kept[i]].path for i in index], return_inverse=True)[1]
    if files.max() + 1 < _LEAST:
        raise UserError(
            f"{protocol.name} needs at least {_LEAST} readable files. Received: {files.max() + 1}."
        )
    parts = list(dict.fromkeys(name.split()[-1] for name in features))
    table = {
        variant: {part: features[f"{variant} {part}"] for part in parts} for variant in variants
    }
    found = {}
    for factor, splits in _factors(table, files, protocol, subject.seed).items():
        found |= factor_probes(
            *[(x, {factor: y}) for x, y in splits], subject.seed, protocol.measures
        )
    result = {"factors": found, "window": length, "too_short": too_short, "used": len(index)}
    if {"static", "dynamic"} <= set(parts):
        kinds = {"static": _STATIC, "dynamic": _DYNAMIC}
        result |= tabulate(found, kinds, protocol.measures, subject.folder)
    return result


def _long_enough(split, needed: int, seed: int, protocol) -> tuple[list[int], int]:
    """Positions of that many drawn videos that have the frames, and how many of those looked at have not."""
    order = np.random.default_rng(seed).permutation(len(split.records))
    kept, too_short = [], 0
    longest = 0
    for start in range(0, len(order), protocol.most_videos):
        rows = order[start : start + protocol.most_videos].tolist()
        for row, length in zip(rows, video_lengths([split.records[row] for row in rows])):
            if length is None or length >= needed:  # what cannot be read is named when it is read
                kept.append(row)
            else:
                too_short += 1
                longest = max(longest, length)
        if len(kept) >= protocol.most_videos:
            break
    kept = sorted(kept[: protocol.most_videos])
    if len(kept) < _LEAST:
        raise UserError(
            f"{protocol.name} needs videos of {needed} frames, at least {_LEAST} of them; {len(kept)} of the "
            f"{len(order)} are that long, and the others have at most {longest}. Take fewer clips or lower "
            "speeds, such as --set=clips=2 --set='speeds=(1,2)', or a lower --set=stride."
        )
    return kept, too_short


def _factors(table, files: np.ndarray, protocol, seed: int) -> dict:
    """From a factor to what is learned from and what is tested: `(features, classes)` each."""
    clips, speeds, shuffles = range(protocol.clips), protocol.speeds, protocol.shuffles
    everything = np.arange(len(files))
    order = np.random.default_rng(seed).permutation(files.max() + 1)
    first = np.isin(files, order[: len(order) // 2])
    halves = np.flatnonzero(first), np.flatnonzero(~first)

    def gather(pieces):
        """`(features, classes)` of pieces: a variant, rows and their classes."""
        parts = table["reversed"]
        x = {p: np.concatenate([table[name][p][rows] for name, rows, _ in pieces]) for p in parts}
        return x, np.concatenate([np.broadcast_to(y, len(rows)) for _, rows, y in pieces])

    def shuffled(half, rows):
        """Each row in one of the orders of its half."""
        chosen = range(half, shuffles, 2)
        return [
            (f"shuffled {k}", rows[i :: len(chosen)], 1)
            for i, k in enumerate(chosen)
            if len(rows) > i
        ]

    return {
        "file": [
            gather([(f"clip {i}", everything, files) for i in clips if i % 2 == half])
            for half in (0, 1)
        ],
        "speed": [gather([(f"speed {s}", rows, s) for s in speeds]) for rows in halves],
        "direction": [gather([("speed 1", rows, 0), ("reversed", rows, 1)]) for rows in halves],
        "order": [
            gather([("speed 1", rows, 0), *shuffled(half, rows)])
            for half, rows in enumerate(halves)
        ],
    }
