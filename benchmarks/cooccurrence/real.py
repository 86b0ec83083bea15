"""Excerpts of real videos under a camera that pans: what is shown is the file, how it moves a direction."""

import contextlib
from pathlib import Path

import cv2
import numpy as np

from bod_keras.data.video.video import iterate_frames

FILES = (
    "vtest.avi",
    "box.mp4",
    "cup.mp4",
    "bikes.mp4",
    "tree.avi",
    "mp4.mp4",
    "Megamind.avi",
    "balle1-vp9.avi",
    "carphone_pristine.mp4",
    "bigbuckbunny.mp4",
)
DIRECTIONS = 8  # of the pan, counterclockwise from right
_SHORT = 2.5  # shorter side of what is decoded, in sides of a clip
_WINDOW = (1.0, 1.25)  # side of what the camera sees, the same
_SPEED = (0.08, 0.12)  # of the pan from frame to frame, in sides of the window
# Of a clip's place; the one with most texture is taken: no direction shows on a plain wall.
_DRAWS = 6
_SLACK = 8  # frames by which a clip may begin later than its video


class RealScenes(contextlib.nullcontext):
    """Draws clips of one file and one pan; of "train" from the file's first half, of "test" from its second.

    Args:
        folder: holds `FILES`, which `tools/fetch_real_videos.py` fetches.
        frames, size: of a clip.

    Raises:
        FileNotFoundError: if a file is missing.
        VideoError: if a file cannot be read.
        ValueError: if a file is too short.
    """

    def __init__(self, folder, frames, size):
        super().__init__(self)
        self.frames, self.size = frames, size
        paths = [Path(folder) / name for name in FILES]
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            raise FileNotFoundError(
                f"{folder} lacks {', '.join(missing)}. Fetch the videos of the regime "
                f'"real" with: python tools/fetch_real_videos.py {folder}'
            )
        self.videos = [self._read(path) for path in paths]
        for path, video in zip(paths, self.videos):
            if len(video) < 2 * (frames + _SLACK):
                raise ValueError(
                    f"{path} has {len(video)} frames; {2 * (frames + _SLACK)} are needed."
                )

    def _read(self, path):
        """All frames, made small."""
        frames = []
        for frame in iterate_frames(path):
            scale = _SHORT * self.size / min(frame.shape[:2])
            frames.append(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
        return np.stack(frames)

    def video(self, file, direction, images, rng):
        """A function that draws one clip of a video after the other, as `PhysicsScenes.video`.

        They share file, direction, speed and size of the window, and roughly the time and the place.

        Args:
            file: index into `FILES`.
            direction: of the pan, below `DIRECTIONS`.
            images: "train" or "test", the half of the file.
            rng: NumPy generator.

        Returns:
            A function without arguments; a clip is uint8 (T, height, width, 3), RGB.
        """
        half = np.array_split(self.videos[file], 2)[images == "test"]
        begin = rng.integers(len(half) - self.frames - _SLACK + 1)
        extent = min(half.shape[1:3])
        corner = rng.integers(np.array(half.shape[1:3]) - extent + 1)  # of a square
        side = round(rng.uniform(*_WINDOW) * self.size)
        angle = 2 * np.pi * direction / DIRECTIONS
        step = rng.uniform(*_SPEED) * side * np.array([-np.sin(angle), np.cos(angle)])
        track = np.round(np.arange(self.frames)[:, None] * step).astype(int)
        track -= track.min(axis=0)

        def clip():
            time = begin + rng.integers(_SLACK + 1)
            places = [
                corner + rng.integers(extent - side - track.max(axis=0) + 1) for _ in range(_DRAWS)
            ]
            clips = [self._follow(half[time:], place + track, side) for place in places]
            return max(clips, key=_texture)

        return clip

    @staticmethod
    def _follow(video, track, side):
        return np.stack(
            [
                frame[top : top + side, left : left + side]
                for frame, (top, left) in zip(video, track)
            ]
        )


def _texture(clip):
    """Mean change of the first frame from pixel to pixel, along the axis on which it is less."""
    frame = clip[0].astype("float32")
    return min(np.abs(np.diff(frame, axis=axis)).mean() for axis in (0, 1))
