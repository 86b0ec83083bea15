"""LPC Sprites (Li & Mandt, 2018): characters of four attributes and nine actions, put together of sheets.

The folder of sheets is that of github.com/YingzhenLi/Sprites. Its artists license it, and pictures made of it,
under CC-BY-SA 3.0 and GPL 3.0.
"""

import contextlib
from pathlib import Path

import cv2
import numpy as np

ATTRIBUTES = ("body", "bottom", "top", "hair")
KINDS = 6  # of each attribute
_FOLDERS = (
    "body",
    "bottomwear",
    "topwear",
    "hair",
    "shoes",
)  # from the lowest layer to the uppermost
_CHARACTERS, _KNOWN = KINDS ** len(ATTRIBUTES), 1000  # those of training; the rest is for the test
# First tiles to the left, to the front and to the right, and the order of the tiles from there.
_ACTIONS = {
    "walk": ((118, 131, 144), (7, 0, 1, 2, 3, 4, 5, 6)),
    "spellcard": ((13, 26, 39), (0, 1, 2, 3, 4, 5, 4, 6)),
    "slash": ((169, 182, 195), (0, 1, 2, 3, 4, 5, 4, 0)),
}
_TILES = np.array([np.add(i, order) for firsts, order in _ACTIONS.values() for i in firsts])
ACTIONS, FRAMES = _TILES.shape
_SIDE, _ROWS, _COLUMNS = 64, 21, 13  # of a tile; tiles of a sheet
_MIDDLE = slice(8, 56)  # what is kept of a tile's rows and columns


class LpcScenes(contextlib.nullcontext):
    """Draws clips of one character and one action.

    Args:
        size: of a frame.
        folder: of the sheets.

    Raises:
        FileNotFoundError: if a sheet is missing.
        ValueError: if a file is no sheet.
    """

    def __init__(self, size, folder):
        super().__init__(self)
        self._size = size
        numbers = [(1,) if name == "shoes" else range(KINDS) for name in _FOLDERS]
        paths = [[Path(folder, f, f"{i}.png") for i in n] for f, n in zip(_FOLDERS, numbers)]
        missing = [path for layer in paths for path in layer if not path.is_file()]
        if missing:
            raise FileNotFoundError(
                f"{folder} lacks {len(missing)} sheets, first {missing[0]}. Expected the folders "
                f"{', '.join(_FOLDERS)} of github.com/YingzhenLi/Sprites; give their place as --files=FOLDER."
            )
        self._layers = [[_read_sheet(path) for path in layer] for layer in paths]

    def video(self, character, action, images, rng):
        """A function that draws one clip of a video after the other, as `PhysicsScenes.video`.

        Clips of "train" begin at a random frame of the looped sequence, all others at its first.
        """
        sequence = self.sequence(character, action)

        def clip():
            start = rng.integers(FRAMES) if images == "train" else 0
            return np.roll(sequence, -start, axis=0)

        return clip

    def sequence(self, character, action):
        """The frames (8, size, size, 3), uint8 RGB: all layers on black."""
        frames = np.float32(0)
        for layer, kind in zip(self._layers, (*attributes_of(character), 0)):
            tiles = layer[kind][action]
            frames = frames + tiles[..., 3:] / 255 * (tiles[..., :3] - frames)
        size = (self._size, self._size)
        small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
        return np.stack(small).round().astype(np.uint8)


def attributes_of(characters):
    """Body, bottom, top and hair of characters by number, of which the hair runs fastest."""
    return np.unravel_index(characters, (KINDS,) * len(ATTRIBUTES))


def draw_sequences(videos, rho, images, rng):
    """Numbers of characters and of actions.

    Args:
        videos: how many; "test" has all sequences of its characters instead.
        rho: probability that a character's hair is that of its action, ``action % 6``.
        images: "test", or another name: of the characters of training. The split is the published one.
        rng: NumPy generator.
    """
    order = np.random.RandomState(423).permutation(_CHARACTERS)
    known, other = order[:_KNOWN], order[_KNOWN:]
    if images == "test":
        return np.repeat(other, ACTIONS), np.tile(np.arange(ACTIONS), len(other))
    actions = rng.integers(ACTIONS, size=videos)
    characters = rng.choice(known, videos)
    for video in np.flatnonzero(rng.random(videos) < rho):
        fitting = attributes_of(known)[-1] == actions[video] % KINDS
        characters[video] = rng.choice(known[fitting])
    return characters, actions


def _read_sheet(path):
    """Middles (actions, frames, 48, 48, 4) of the tiles, RGB and opacity."""
    sheet = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    expected = (_ROWS * _SIDE, _COLUMNS * _SIDE, 4)
    if sheet is None or sheet.shape != expected:
        found = "no picture" if sheet is None else sheet.shape
        raise ValueError(f"{path} must be a sheet of {expected} values. Found: {found}.")
    sheet = cv2.cvtColor(sheet, cv2.COLOR_BGRA2RGBA)
    tiles = sheet.reshape(_ROWS, _SIDE, _COLUMNS, _SIDE, 4).swapaxes(1, 2)
    tiles = tiles.reshape(-1, _SIDE, _SIDE, 4)[_TILES]
    return tiles[:, :, _MIDDLE, _MIDDLE].astype("float32")
