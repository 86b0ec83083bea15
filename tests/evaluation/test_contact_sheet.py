"""The sheet shows the frames, and right and wrong neighbors in their colors."""

import cv2
import numpy as np
import pytest

from bod_keras.evaluation import contact_sheet, moving_sheet


def count_color(picture, rgb):
    return int(np.all(np.abs(picture[..., ::-1].astype(int) - rgb) < 4, axis=-1).sum())


def sheet(png, right):
    queries, neighbors = np.array(right).shape
    frames = [[np.full((30, 40, 3), (250, 20, 200), np.uint8)] * (neighbors + 1)] * queries
    contact_sheet(frames, [["name"] * (neighbors + 1)] * queries, right, png)
    return cv2.imread(str(png))


def test_frames_and_colors(tmp_path):
    green, red = (0, 158, 115), (213, 94, 0)
    mixed = sheet(tmp_path / "new" / "a.png", [[True, False, False], [False, False, True]])
    assert count_color(mixed, (250, 20, 200)) > 8 * 5000  # 2 x 4 pictures
    assert count_color(mixed, red) > 1.7 * count_color(mixed, green) > 0
    right = sheet(tmp_path / "b.png", [[True, True, True]] * 2)
    assert count_color(right, red) == 0 < count_color(right, green)


def test_errors(tmp_path):
    frame = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match=r"Received: 1, 1 and 1 queries with \[\(2, 2, 3\)\]"):
        contact_sheet([[frame] * 2], [["a", "b"]], [[True, True]], tmp_path / "a.png")
    with pytest.raises(ValueError, match="Received: 0, 0 and 0 queries"):
        contact_sheet([], [], [], tmp_path / "a.png")


@pytest.mark.parametrize(
    "name", [r"$\frac$", "$a$ $b", "caf\udce9", "two\nlines", "<script>\x1b\u65e5"]
)
def test_odd_captions_are_drawn(tmp_path, name):
    frames = [[np.zeros((30, 40, 3), np.uint8)] * 2]
    contact_sheet(frames, [[name, name]], [[True]], tmp_path / "a.png")
    assert cv2.imread(str(tmp_path / "a.png")) is not None


def test_neighbors_move(tmp_path):
    """A page a frame; each shows the frames of its time in their places, and the colors of the sheet."""
    image = pytest.importorskip("PIL.Image")
    colors = [(250, 20, 200), (20, 60, 250), (240, 220, 30)]
    clip = np.stack([np.full((30, 40, 3), color, np.uint8) for color in colors])
    names = ["run\na.avi", "0.93 jump\n<b>$x$\x1b.avi"]
    moving_sheet([[clip, clip[::-1]]], [names], [[False]], tmp_path / "new" / "a.gif")
    with image.open(tmp_path / "new" / "a.gif") as picture:
        assert picture.n_frames == 3 and picture.info["loop"] == 0
        for page in range(3):
            picture.seek(page)
            shown = np.asarray(picture.convert("RGB"))
            half = shown.shape[1] // 2
            for side, color in (
                (shown[:, :half], colors[page]),
                (shown[:, half:], colors[2 - page]),
            ):
                near = np.all(np.abs(side.astype(int) - color) < 12, axis=-1)
                assert near.sum() > 5000
                others = [c for c in colors if c != color]
                assert not any(
                    np.all(np.abs(side.astype(int) - c) < 12, axis=-1).any() for c in others
                )
            assert np.all(np.abs(shown.astype(int) - (213, 94, 0)) < 12, axis=-1).sum() > 300
    with pytest.raises(ValueError, match="clips must be of one shape"):
        moving_sheet([[clip, clip[:2]]], [names], [[False]], tmp_path / "b.gif")
    assert not (tmp_path / "b.gif").exists()
