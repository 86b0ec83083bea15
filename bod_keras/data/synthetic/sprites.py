"""What the built-in clips are made of: still scenes with a digit, from scikit-learn, and a disc."""

from __future__ import annotations

import functools
import importlib.resources

import cv2
import numpy as np

_CLASSES = 10
_PHOTOS = ("china.jpg", "flower.jpg")
# Gray level of a digit: clearly above each background, below the disc.
_DIGIT_LEVEL = 0.7


@functools.lru_cache(maxsize=8)
def digit_masks(images: str, side: int) -> tuple[np.ndarray, ...]:
    """Opacity masks of one image set, one array `(count, side, side)` per digit class."""
    from sklearn.datasets import load_digits  # slow to import, so only when clips are made

    bunch = load_digits()
    masks = []
    for kind in range(_CLASSES):
        pictures = bunch.images[bunch.target == kind].astype(np.float32) / 16
        # The file is ordered by writer, so its last third are mostly hands not seen in training.
        cut = len(pictures) * 2 // 3
        pictures = pictures[:cut] if images == "train" else pictures[cut:]
        masks.append(
            np.stack(
                [cv2.resize(p, (side, side), interpolation=cv2.INTER_LINEAR) for p in pictures]
            )
        )
    return tuple(masks)


@functools.lru_cache(maxsize=2)
def _photos(images: str) -> tuple[np.ndarray, ...]:
    """The two photos bundled with scikit-learn: left 2/3 for training, the rest for testing."""
    folder = importlib.resources.files("sklearn.datasets.images")
    parts = []
    for name in _PHOTOS:
        data = np.frombuffer((folder / name).read_bytes(), np.uint8)
        photo = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
        cut = photo.shape[1] * 2 // 3
        parts.append(np.ascontiguousarray(photo[:, :cut] if images == "train" else photo[:, cut:]))
    return tuple(parts)


def draw_scene(rng: np.random.Generator, digit: np.ndarray, images: str) -> np.ndarray:
    """A still scene: a digit as large as the frame over a texture of its own, (size, size, 3)."""
    mask = np.minimum(1.3 * digit, 1.0)[..., None]
    return draw_texture(rng, images, len(digit)) * (1 - mask) + _DIGIT_LEVEL * mask


@functools.lru_cache(maxsize=8)
def disc_mask(side: int) -> np.ndarray:
    """Opacity of a disc with a soft edge, float32 (side, side)."""
    axis = np.arange(side) - (side - 1) / 2
    distance = np.hypot(axis[:, None], axis[None])
    return np.clip(side / 2 - distance, 0.0, 1.0).astype(np.float32)


def draw_texture(rng: np.random.Generator, images: str, size: int) -> np.ndarray:
    """A smooth texture from a photo: float32 (size, size, 3), darker than any digit."""
    photos = _photos(images)
    photo = photos[rng.integers(len(photos))]
    side = int(rng.integers(64, 180))
    top = int(rng.integers(photo.shape[0] - side + 1))
    left = int(rng.integers(photo.shape[1] - side + 1))
    crop = cv2.resize(
        photo[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA
    )
    crop = cv2.GaussianBlur(crop, (0, 0), size / 32).astype(np.float32)
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    crop = crop[..., rng.permutation(3)]
    # Equal contrast for all: a patch of plain sky would otherwise hardly differ from another.
    crop = (crop - crop.mean((0, 1))) / (crop.std() + 1.0)
    level = rng.uniform(0.15, 0.3, 3).astype(np.float32)
    return np.clip(level + 0.09 * crop, 0.0, 0.45)


def draw_color(rng: np.random.Generator) -> np.ndarray:
    """A pastel color with random hue, the disc's."""
    hue, saturation = rng.uniform(0, 360), rng.uniform(0.1, 0.3)
    hsv = np.array([[[hue, saturation, 1.0]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]
