"""Decoded frame -> RGB array, upright, with square pixels, of one size in the whole video."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import VideoReformatter

# Pixel aspects this near to 1 come from rounding when a video was scaled; they are no reason to scale it again.
_SQUARE = 0.02
_WIDEST = 4  # no camera's pixel is longer


@dataclass(frozen=True)
class Picture:
    """How the frames of a video become arrays; made by `of_first`.

    Args:
        stored: width and height of the first frame as it is decoded.
        height, width: that frames are scaled to, before they are turned.
        turned: whether rows become columns.
        flip_rows, flip_columns: whether they are then reversed.
    """

    stored: tuple[int, int]
    height: int
    width: int
    turned: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of_first(cls, frame: av.VideoFrame, pixel_aspect: Fraction | None) -> Picture:
        """Read it from the first frame of a video.

        Args:
            frame: with the display matrix of the header, `(x, y) -> (a x + c y, b x + d y)`, if there is one.
            pixel_aspect: width over height of a pixel, or None.
        """
        a, b, c, d = 1, 0, 0, 1
        matrix = next((s for s in frame.side_data if s.type.name == "DISPLAYMATRIX"), None)
        if matrix is not None:
            a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32).tolist()
        stored, width = (frame.width, frame.height), frame.width
        if pixel_aspect and 1 / _WIDEST <= pixel_aspect <= _WIDEST:
            if abs(pixel_aspect - 1) > _SQUARE:
                width = max(1, round(width * pixel_aspect))
        if abs(b) > abs(a):
            return cls(stored, frame.height, width, True, b < 0, c < 0)
        return cls(stored, frame.height, width, False, d < 0, a < 0)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the arrays."""
        return (self.width, self.height) if self.turned else (self.height, self.width)

    def array(self, frame: av.VideoFrame, reformatters: dict) -> np.ndarray:
        """Give a frame as uint8 `(height, width, 3)`, RGB, in memory of its own.

        Args:
            frame: decoded.
            reformatters: empty at first; one for each size and format, since none forgets the last one's.
        """
        kind = frame.width, frame.height, frame.format.name
        if kind not in reformatters:
            reformatters[kind] = VideoReformatter()
        rgb = reformatters[kind].reformat(frame, self.width, self.height, "rgb24", threads=1)
        plane = rgb.planes[0]
        shape = (self.height, self.width, 3)
        array = np.ndarray(shape, np.uint8, buffer=plane, strides=(plane.line_size, 3, 1))
        if self.turned:
            array = array.transpose(1, 0, 2)
        array = array[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]
        # Memory of the decoder's own is not for the caller to write to.
        return array.copy() if rgb is frame else np.ascontiguousarray(array)
