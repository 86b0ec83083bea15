"""Videos that are folders of numbered images."""

from __future__ import annotations

import functools
import os

import cv2
import numpy as np

from bod_keras.data.video.frame_folders import frame_names
from bod_keras.data.video.store import Cut, FrameStore
from bod_keras.data.video.video_file import VideoError, VideoInfo
from bod_keras.errors import UserError

# A clip is read soon after its folder was measured; older listings are let go.
_FOLDERS_REMEMBERED = 256


class FrameFolderStore(FrameStore):
    """The `FrameStore` of folders that hold the frames of one video each, as images.

    Frames are in the order of the numbers in their names (`2.jpg` before `10.jpg`), whatever number
    they begin with; so `img_%05d.jpg`, `image_%05d.jpg`, `frame_%06d.jpg` and `%06d.jpg` all work.
    Images of optical flow (`flow*`, `x_*`, `y_*`) are left out.

    Args:
        cache_mb: decoded videos are kept up to this many MiB; 0 keeps none.
        fps: frames a second of all folders, or None if it is not known.

    Raises:
        ValueError: if `cache_mb` is negative or `fps` is not positive.

    Example:

    >>> import numpy as np
    >>> from bod_keras.data import FrameFolderStore
    >>> import cv2, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for t in range(1, 4):
    ...         name = os.path.join(folder, f"img_{t:05d}.png")
    ...         _ = cv2.imwrite(name, np.full((8, 8, 3), t, np.uint8))
    ...     FrameFolderStore().frames(folder, [2, 0])[:, 0, 0, 0].tolist()
    [3, 1]
    """

    def __init__(self, cache_mb: float = 0, fps: float | None = None):
        super().__init__(cache_mb)
        if fps is not None and not fps > 0:
            raise UserError(f"fps must be above 0, or None if unknown. Received: fps={fps}")
        self._fps = fps
        self._names = functools.lru_cache(maxsize=_FOLDERS_REMEMBERED)(frame_names)

    def measure(self, path: str) -> VideoInfo:
        names = self._names(path)
        height, width, _ = _read_image(path, names[0]).shape
        return VideoInfo(frames=len(names), fps=self._fps, height=height, width=width)

    def decode(self, path: str, indices: np.ndarray) -> np.ndarray:
        return np.stack(self._read(path, indices))

    def decode_cut(self, path: str, indices: np.ndarray, cut: Cut) -> np.ndarray:
        return np.stack([cut(image, row) for row, image in enumerate(self._read(path, indices))])

    def _read(self, path: str, indices: np.ndarray) -> list[np.ndarray]:
        names = self._names(path)
        unique, rows = np.unique(indices, return_inverse=True)
        if unique[-1] >= len(names):
            raise VideoError(path, f"there is no frame {unique[-1]}, only {len(names)} images")
        images = []
        for index in unique.tolist():
            images.append(_read_image(path, names[index]))
            if images[-1].shape != images[0].shape:
                raise VideoError(
                    path,
                    f"{names[index]} is {_size(images[-1])}, other frames are {_size(images[0])}",
                )
        return [images[row] for row in rows]


def _read_image(folder: str, name: str) -> np.ndarray:
    try:
        data = np.fromfile(os.path.join(folder, name), np.uint8)
    except OSError as error:
        raise VideoError(folder, f"{name} cannot be read: {error.strerror}") from None
    image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    if image is None:
        raise VideoError(folder, f"{name} is no image that OpenCV can decode, or is cut off")
    return image


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
