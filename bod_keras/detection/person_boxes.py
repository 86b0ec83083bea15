"""The boxes of a person detector instead of the annotated ones."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

from bod_keras.data.datasets.key_frames import KeyFrame, in_time
from bod_keras.data.datasets.named.ava import RATE
from bod_keras.data.record import Box
from bod_keras.errors import UserError


def video_names(path: str) -> tuple[str, str]:
    """Return the two names of a video in a table of boxes: with the folder it is in, and without."""
    stem = os.path.basename(path if os.path.isdir(path) else os.path.splitext(path)[0])
    return f"{os.path.basename(os.path.dirname(path))}/{stem}", stem


def moment_of(key_frame: KeyFrame, start: float = 0.0) -> int:
    """Return what a table of boxes calls a key frame: its second in the film, or else its number."""
    if key_frame.time is None:
        return key_frame.frame
    return round(key_frame.time + start)


def predicted_key_frames(
    annotated: Sequence[KeyFrame],
    predictions: Mapping[tuple[str, int], Sequence[Box]],
    *,
    least_score: float = 0.0,
    start: float = 0.0,
    excluded: Collection[tuple[str, int]] = (),
) -> list[KeyFrame]:
    """Return the key frames with the boxes that a person detector has found, by video and time.

    An annotated key frame without a predicted box stays, empty. A predicted one that is not annotated is added:
    what is detected there is false.

    Args:
        annotated: from `key_frames`.
        predictions: from `read_ava_predictions`: video and second of the film, or number of the frame from 0
            where the data set counts frames. A video is named by its file, or by its folder and file.
        least_score: boxes below it are left out.
        start: second of the film at which its file starts.
        excluded: key frames, as in `predictions`, that are not added.

    Raises:
        UserError: not one of the predicted videos is annotated.
    """
    videos: dict[str, dict[int, KeyFrame]] = {}
    for one in annotated:
        videos.setdefault(one.path, {})[moment_of(one, start)] = one
    paths = {name: path for path in videos for name in reversed(video_names(path))}
    if not any(video in paths for video, _ in predictions):
        names = sorted({video for video, _ in predictions})
        expected = " or ".join(video_names(next(iter(videos))))
        raise UserError(
            f"Not one of the {len(names)} videos of the person boxes is among the {len(videos)} annotated "
            f"ones. Expected names such as {expected}. Received: {names[:3]}"
        )
    by_seconds = annotated[0].time is not None
    found: dict[str, dict[int, KeyFrame]] = {
        path: {moment: KeyFrame(path, (), one.frame, one.time) for moment, one in moments.items()}
        for path, moments in videos.items()
    }
    for (video, moment), boxes in predictions.items():
        path = paths.get(video)
        if path is None or (video, moment) in excluded:
            continue
        kept = tuple(box for box in boxes if box.score is None or box.score >= least_score)
        there = found[path].get(moment)
        if there is not None:
            found[path][moment] = KeyFrame(path, kept, there.frame, there.time)
        elif kept and by_seconds:
            time = moment - start
            frame = round(time * RATE) if os.path.isdir(path) else None
            found[path][moment] = KeyFrame(path, kept, frame, time)
        elif kept:
            found[path][moment] = KeyFrame(path, kept, moment)
    return [one for moments in found.values() for one in sorted(moments.values(), key=in_time)]
