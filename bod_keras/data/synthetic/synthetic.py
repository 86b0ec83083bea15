"""Digit drift: clips whose static and dynamic factors are known, as arrays or as video files.

Static factor (10 classes): which digit the still scene shows; the pictures are scikit-learn's
handwritten digits, split by picture into train and held-out ones. Dynamic factor (8 classes): the
direction in which a disc drifts on the torus. Its start is uniform on the torus, so in every single
frame its position is uniform whatever the direction is: one frame says nothing about the dynamic
factor.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bod_keras.data.synthetic.noise_drift import render_noise
from bod_keras.data.synthetic.sprites import digit_masks, disc_mask, draw_color, draw_scene
from bod_keras.errors import UserError, check_choice

STATIC_CLASSES = 10
DYNAMIC_CLASSES = 8
SCENES = ("photos", "noise")
_INSIDE = 0.4  # opacity from which a pixel belongs to a digit of noise
_IMAGE_SETS = ("train", "test")
# At 32 x 32 pixels; both grow with the frame size.
_DISC_SIDE = 9 / 32
_SPEED = (1.5 / 32, 2.5 / 32)


def sample_factors(
    n: int,
    rho: float,
    rng: np.random.Generator,
    classes: tuple[int, int] = (STATIC_CLASSES, DYNAMIC_CLASSES),
) -> tuple[np.ndarray, np.ndarray]:
    """Draw static and dynamic classes with a chosen co-occurrence.

    The pairs of classes, 10 x 8 of the built-in videos, are dealt in shuffled rounds, so that they are
    balanced; then each clip takes the dynamic class tied to its static class with probability `rho`. Hence
    `P(dynamic is the tied one) = rho + (1 - rho) / 8`, and `rho = 0` is balanced exactly when `n`
    is a multiple of 80. The tie is `dynamic = static mod 8`
    (digits 8 and 9 share the classes of 0 and 1).

    Args:
        n: number of clips.
        rho: probability in [0, 1] that the dynamic class is forced to the tied one.
        rng: random generator.
        classes: numbers of static and dynamic classes.

    Returns:
        `(static, dynamic)`, two int64 arrays of shape `(n,)`.

    Raises:
        ValueError: if `n` is negative or `rho` is outside [0, 1].

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import sample_factors
        >>> static, dynamic = sample_factors(100, 1.0, np.random.default_rng(0))
        >>> bool((dynamic == static % 8).all())
        True
    """
    if n < 0:
        raise UserError(f"n must be at least 0. Received: n={n}")
    if not 0.0 <= rho <= 1.0:
        raise UserError(f"rho is a probability and must lie in [0, 1]. Received: rho={rho}")
    statics, dynamics = classes
    pairs = statics * dynamics
    rounds = [rng.permutation(pairs) for _ in range(-(-n // pairs))]
    cell = np.concatenate(rounds)[:n] if rounds else np.zeros(0, np.int64)
    static, free = cell % statics, cell // statics
    return static, np.where(rng.random(n) < rho, static % dynamics, free)


def render_clip(
    sprite: np.ndarray,
    background: np.ndarray,
    direction: int,
    speed: float,
    start: tuple[float, float],
    color: tuple[float, float, float],
    frames: int,
) -> np.ndarray:
    """Render one sprite that drifts over a still background and wraps around its edges.

    Frame `t` shows the sprite with its corner at `start + t * speed * (cos a, sin a)` modulo the
    frame size, `a = 45 degrees * direction`; fractions of a pixel are bilinear. With `m` the
    shifted sprite the frame is `background * (1 - m) + color * m`.

    Args:
        sprite: float array `(h, w)` in [0, 1], its opacity; not larger than a frame.
        background: float array `(size, size, 3)` in [0, 1], RGB.
        direction: integer, multiples of 45 degrees; 0 is to the right, 2 is down.
        speed: pixels per frame.
        start: `(x, y)` of the upper left corner of the sprite in frame 0, in pixels.
        color: RGB of the sprite in [0, 1].
        frames: number of frames.

    Returns:
        uint8 array `(frames, size, size, 3)`, RGB.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import render_clip
        >>> dot, black = np.ones((1, 1)), np.zeros((8, 8, 3))
        >>> clip = render_clip(dot, black, 0, 1.0, (6.0, 2.0), (1.0, 1.0, 1.0), frames=4)
        >>> clip[:, 2, :, 0].argmax(axis=1).tolist()
        [6, 7, 0, 1]
    """
    size = background.shape[0]
    canvas = np.zeros((size, size), np.float32)
    canvas[: sprite.shape[0], : sprite.shape[1]] = sprite
    angle = np.pi / 4 * direction
    steps = np.arange(frames) * speed
    mask = _shift_rows(
        canvas, (start[0] + steps * np.cos(angle)) % size, (start[1] + steps * np.sin(angle)) % size
    )[..., None]
    still = np.asarray(background, np.float32) * 255
    # One multiply-add: b + m * (c - b), then round half up by truncation.
    clip = mask * (np.asarray(color, np.float32) * 255 - still)
    clip += still + 0.5
    return clip.astype(np.uint8)


def _shift_rows(canvas: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Shift a square canvas on the torus by each `(x, y)`, bilinearly: (size, size) -> (t, ...)."""
    size = canvas.shape[0]
    grid = np.arange(size)

    def gather(source: np.ndarray, shift: np.ndarray, axis: int) -> np.ndarray:
        whole = np.floor(shift).astype(np.int64)
        part = (shift - whole).astype(np.float32)[:, None, None]
        near = (grid[None] - whole[:, None]) % size
        far = (near - 1) % size
        if axis == 0:
            return source[near] * (1 - part) + source[far] * part
        near, far = near[:, None, :], far[:, None, :]
        return np.take_along_axis(source, near, 2) * (1 - part) + (
            np.take_along_axis(source, far, 2) * part
        )

    return gather(gather(canvas, y, 0), x, 1)


def digit_drift_arrays(
    n: int,
    rho: float = 0.95,
    *,
    frames: int = 24,
    size: int = 32,
    seed: int = 0,
    images: str = "train",
    scene: str = "photos",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make digit-drift clips in memory.

    Args:
        n: number of clips.
        rho: probability that the dynamic class is forced to the tied one (`sample_factors`).
        frames: frames of a clip.
        size: height and width in pixels.
        seed: the same seed gives the same bytes.
        images: "train" or "test", which digits and parts of the photos are used.
        scene: as of `iterate_clips`.

    Returns:
        `(videos, static, dynamic)`: uint8 `(n, frames, size, size, 3)` RGB, and two int64 `(n,)`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> from bod_keras.data import digit_drift_arrays
        >>> videos, static, dynamic = digit_drift_arrays(4, frames=6, size=16)
        >>> videos.shape, static.shape, dynamic.shape
        ((4, 6, 16, 16, 3), (4,), (4,))
    """
    check_geometry(frames, size)
    stream = 0 if images == "train" else 1
    static, dynamic = sample_factors(n, rho, np.random.default_rng([seed, stream]))
    videos = np.empty((n, frames, size, size, 3), np.uint8)
    clips = iterate_clips(
        static, dynamic, frames=frames, size=size, key=(seed, stream), images=images, scene=scene
    )
    for index, clip in enumerate(clips):
        videos[index] = clip
    return videos, static, dynamic


def iterate_clips(
    static: np.ndarray,
    dynamic: np.ndarray,
    *,
    frames: int,
    size: int,
    key: tuple[int, ...],
    images: str,
    scene: str = "photos",
) -> Iterator[np.ndarray]:
    """Render one clip after the other for given factors, with random nuisances.

    Args:
        static: integer array `(n,)`, digit classes.
        dynamic: integer array `(n,)`, directions.
        frames: frames of a clip.
        size: height and width in pixels.
        key: integers which, with the index of a clip, seed its nuisances.
        images: "train" or "test".
        scene: "photos": a still digit before a photo, and a disc that drifts. "noise": the digit is a region of
            noise that drifts before noise that drifts the other way (`render_noise`): digit and direction are
            seen in motion alone, in no single frame.

    Yields:
        uint8 arrays `(frames, size, size, 3)`, RGB.

    Example:
        >>> from bod_keras.data import iterate_clips
        >>> clips = iterate_clips([3], [0], frames=5, size=32, key=(0,), images="test")
        >>> next(clips).shape
        (5, 32, 32, 3)
    """
    if images not in _IMAGE_SETS:
        raise UserError(f"images must be one of {_IMAGE_SETS}. Received: images={images!r}")
    check_choice("scene", scene, SCENES)
    digits = digit_masks(images, size)
    sprite = disc_mask(max(2, round(_DISC_SIDE * size)))
    for index, (kind, direction) in enumerate(zip(static, dynamic)):
        # Not `index`: NumPy takes [a, b, 0] and [a, b] for the same seed, and [a, b] is in use.
        rng = np.random.default_rng([*key, index + 1])
        digit = digits[kind][rng.integers(len(digits[kind]))]
        if scene == "noise":
            yield render_noise(digit > _INSIDE, int(direction), frames, rng)
            continue
        gain = rng.uniform(0.7, 1.0)
        yield render_clip(
            sprite,
            draw_scene(rng, digit, images) * gain,
            int(direction),
            rng.uniform(*_SPEED) * size,
            tuple(rng.uniform(0, size, 2)),
            tuple(draw_color(rng) * gain),
            frames,
        )


def check_geometry(frames: int, size: int) -> None:
    """Refuse clips without motion, and frames too small to show the disc.

    Args:
        frames: frames of a clip.
        size: height and width in pixels.

    Raises:
        ValueError: if `frames` is below 2 or `size` below 8.

    Example:
        >>> from bod_keras.data.synthetic.synthetic import check_geometry
        >>> check_geometry(2, 8)
    """
    if frames < 2:
        raise UserError(
            f"frames must be at least 2, because one frame has no motion. Received: frames={frames}"
        )
    if size < 8:
        raise UserError(f"size must be at least 8 pixels. Received: size={size}")
