"""Queries and their nearest neighbors, all of them moving."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from bod_keras.errors import UserError
from bod_keras.evaluation.pictures.contact_sheet import draw_sheet
from bod_keras.storage.atomic_file import atomic_file

_DPI = 80
_MILLISECONDS = 150  # a frame
_COLORS = 128


def moving_sheet(
    clips: Sequence[Sequence[np.ndarray]],
    captions: Sequence[Sequence[str]],
    right: Sequence[Sequence[bool]],
    gif: str | os.PathLike,
) -> None:
    """Draw a `contact_sheet` whose pictures are clips, as an animated GIF that repeats.

    Stills cannot show motion: neighbors by motion look unlike each other until they move.

    Args:
        clips: for each query 1 + k clips (T, H, W, 3), RGB, uint8 or floats in [0, 1], all of one shape: the
            query's, then its neighbors', the nearest first.
        captions, right: as in `contact_sheet`.
        gif: the picture to write; missing folders are made.

    Raises:
        ValueError: if there is no query, the three do not fit each other, or the clips are of several shapes.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation import moving_sheet
        >>> import pathlib, tempfile
        >>> gif = pathlib.Path(tempfile.mkdtemp()) / "neighbors.gif"
        >>> clip = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), np.uint8)
        >>> moving_sheet([[clip, clip]], [["run", "jump"]], [[False]], gif)
    """
    from PIL import Image  # comes with matplotlib

    shapes = sorted({np.shape(clip) for row in clips for clip in row})
    if len(shapes) > 1 or any(len(shape) != 4 or not shape[0] for shape in shapes):
        raise UserError(
            f"clips must be of one shape (T, H, W, 3) with T at least 1. Received: {shapes}. Sample as many "
            "frames of each, of one size."
        )
    figure, axes = draw_sheet([[clip[0] for clip in row] for row in clips], captions, right)
    figure.set_dpi(_DPI)
    figure.canvas.draw()
    page = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    height = page.shape[0]
    pages = [Image.fromarray(page.copy()) for _ in range(shapes[0][0])]
    for row, of_row in zip(clips, axes):
        for clip, axis in zip(row, of_row):
            # Inside of the colored frame, which lies half on the picture.
            inset = axis.spines["left"].get_linewidth() / 2 * _DPI / 72
            box = axis.get_window_extent()
            left, right_side = round(box.x0 + inset), round(box.x1 - inset)
            top, bottom = round(height - box.y1 + inset), round(height - box.y0 - inset)
            for one, frame in zip(pages, clip):
                if frame.dtype != np.uint8:
                    frame = np.round(255 * np.clip(frame, 0, 1)).astype(np.uint8)
                shown = Image.fromarray(frame).resize((right_side - left, bottom - top))
                one.paste(shown, (left, top))
    # One palette for all, or still parts would flicker.
    together = Image.fromarray(np.concatenate([np.asarray(one) for one in pages]))
    palette = together.quantize(_COLORS)
    first, *others = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in pages]
    with atomic_file(gif) as part:
        first.save(
            part,
            format="GIF",
            save_all=True,
            append_images=others,
            duration=_MILLISECONDS,
            loop=0,
        )
