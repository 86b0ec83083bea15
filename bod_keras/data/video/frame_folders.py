"""Folders of numbered images: which folders are videos, and the order of their frames."""

from __future__ import annotations

import os
import re

from bod_keras.data.video.video_file import VideoError

IMAGE_EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
# A name is a prefix, a frame number, and what follows: img_00001.jpg, 000001.png, a-12_rgb.jpg.
_NAME = re.compile(r"(.*?)(\d+)(\D*)")
# Optical flow lies beside the frames in many data sets; it is no RGB.
_FLOW = ("flow", "x_", "y_")


def frame_names(folder: str | os.PathLike) -> list[str]:
    """Give the names of the frames in a folder, in the order of their numbers.

    Args:
        folder: a folder with the images of one video.

    Returns:
        File names, at least one.

    Raises:
        VideoError: if it is no folder, holds no image, two of one number, or those of several videos.

    Example:
        >>> from bod_keras.data import frame_names
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("10.jpg", "9.jpg", "notes.txt"):
        ...         pathlib.Path(folder, name).touch()
        ...     frame_names(folder)
        ['9.jpg', '10.jpg']
    """
    folder = os.fspath(folder)
    try:
        listed = os.listdir(folder)
    except OSError as error:
        raise VideoError(folder, f"cannot be listed: {error.strerror}") from None
    series: dict[tuple, list] = {}
    for name in filter(is_frame, listed):
        prefix, number, suffix = _NAME.fullmatch(os.path.splitext(name)[0]).groups()
        series.setdefault((prefix, suffix), []).append((int(number), name))
    if not series:
        raise VideoError(
            folder, "the folder holds no numbered image such as img_00001.jpg or 000001.png"
        )
    if len(series) > 1:
        examples = ", ".join(sorted(min(names)[1] for names in series.values())[:4])
        raise VideoError(
            folder,
            f"the folder holds {len(series)} series of images ({examples}); one video is expected",
        )
    (names,) = series.values()
    names.sort()
    twice = next((n for n in range(1, len(names)) if names[n][0] == names[n - 1][0]), None)
    if twice:
        raise VideoError(
            folder, f"two images have one number: {names[twice - 1][1]} and {names[twice][1]}"
        )
    return [name for _, name in names]


def frame_number(name: str) -> int:
    """Give the number in the name of a frame.

    Example:
        >>> from bod_keras.data.video.frame_folders import frame_number
        >>> frame_number("img_00012_rgb.jpg")
        12
    """
    return int(_NAME.fullmatch(os.path.splitext(name)[0])[2])


def is_frame(name: str) -> bool:
    """Say whether a file name is that of a frame: an image, numbered, not hidden, no optical flow.

    Args:
        name: file name without folder.

    Returns:
        True or False.

    Example:
        >>> from bod_keras.data.video.frame_folders import is_frame
        >>> is_frame("img_00001.jpg"), is_frame("flow_x_00001.jpg"), is_frame("cover.jpg")
        (True, False, False)
    """
    stem, extension = os.path.splitext(name)
    return (
        extension.lower() in IMAGE_EXTENSIONS
        and not name.startswith((".", *_FLOW))
        and _NAME.fullmatch(stem) is not None
    )
