"""Videos that are folders of numbered images."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bod_keras.data.video.decode_image import decode_image
from bod_keras.data.video.frame_folders import frame_names
from bod_keras.data.video.store import Cut, FrameStore
from bod_keras.data.video.video_file import VideoError, VideoInfo
from bod_keras.errors import UserError
from bod_keras.storage.regular_file import regular_file

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
        return self.decode_cut(path, indices, lambda image, row: image)

    def decode_cut(self, path: str, indices: np.ndarray, cut: Cut) -> np.ndarray:
        found = [None] * len(indices)
        for image, rows in self._read(path, indices):
            for row in rows.tolist():
                found[row] = cut(image, row)
        return np.stack(found)

    def _read(self, path: str, indices: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Each image once, one in memory at a time, with the rows that it is for."""
        names = self._names(path)
        unique, rows = np.unique(indices, return_inverse=True)
        if unique[-1] >= len(names):
            raise VideoError(path, f"there is no frame {unique[-1]}, only {len(names)} images")
        shape = None
        for place, index in enumerate(unique.tolist()):
            image = _read_image(path, names[index])
            shape = shape or image.shape
            if image.shape != shape:
                raise VideoError(
                    path, f"{names[index]} is {_size(image.shape)}, other frames are {_size(shape)}"
                )
            yield image, np.flatnonzero(rows == place)


def _read_image(folder: str, name: str) -> np.ndarray:
    try:
        return decode_image(regular_file(Path(folder, name)).read_bytes())
    except OSError as error:
        raise VideoError(folder, f"{name} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise VideoError(folder, f"{name} {error}") from None


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
