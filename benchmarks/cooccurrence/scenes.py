"""Clips whose static factor is a digit and whose dynamic factor is a direction, one of them hard to see.

More regimes have the same number of classes of other things: "fashion" garments instead of the digits
(`garments.py`), "mujoco" rendered bodies and laws of motion (`physics.py`), "real" files and pans of a camera
(`real.py`), "noise" digits that only the drift of their noise shows, "sprites" characters of four attributes
and their actions (`lpc_sprites.py`).
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os

import numpy as np

from benchmarks.cooccurrence.characters import CLASSES as CHARACTER_CLASSES
from benchmarks.cooccurrence.characters import CharacterScenes
from benchmarks.cooccurrence.garments import garment_masks
from benchmarks.cooccurrence.lpc_sprites import (
    ACTIONS,
    ATTRIBUTES,
    KINDS,
    LpcScenes,
    attributes_of,
    draw_sequences,
)
from benchmarks.cooccurrence.physics import PhysicsScenes
from benchmarks.cooccurrence.real import RealScenes
from bod_keras.data import augmentation, render_clip, render_noise, sample_factors
from bod_keras.data.synthetic.sprites import digit_masks, disc_mask, draw_color, draw_texture

FRAMES, SIZE = 8, 32  # of a clip
CLIPS = 16  # of a training video, augmented; two of them are the views of a step
VIDEOS = 1024
# As many labels as make the probe of a good embedding a good one: docs/findings.md, section 1.
PROBE_VIDEOS = 4480
_GRAY, _INK = 0.25, 0.7
_INSIDE = 0.4  # opacity from which a pixel belongs to a digit of noise
_VERSION = 2  # of the files in the cache
FASHION, MUJOCO, REAL, SPRITES = "fashion", "mujoco", "real", "sprites"
NOISE = "noise"
CHARACTERS = ("characters-static-easy", "characters-dynamic-easy")
_VERSIONS = {NOISE: 1, FASHION: 1, MUJOCO: 5, REAL: 1, SPRITES: 1, **dict.fromkeys(CHARACTERS, 2)}
_CHARACTER_FRAMES, _CHARACTER_SIZE = 12, 32
_FEW_CLIPS = 8  # of a training video: they take long to render, or differ only in their first frame
_SPRITE_VIDEOS = 2000


@dataclasses.dataclass(frozen=True)
class Regime:
    """How visible the two factors are.

    Attributes:
        digit: opacity of the still digit, which fills the frame.
        texture: contrast of the still photo behind it, a cue of the video that is neither factor.
        disc_side: diameter of the disc, in frame sides.
        speed: least and greatest way of the disc in one frame, in frame sides.
    """

    digit: float
    texture: float
    disc_side: float
    speed: tuple[float, float] = (0.05, 0.08)


REGIMES = {
    "static-easy": Regime(digit=1.0, texture=1.0, disc_side=9 / 32),
    "dynamic-easy": Regime(digit=0.12, texture=0.0, disc_side=12 / 32),
}


def clip_shape(regime):
    """Shape (T, H, W, 3) of a regime's clips."""
    if regime in CHARACTERS:
        return (_CHARACTER_FRAMES, _CHARACTER_SIZE, _CHARACTER_SIZE, 3)
    return (FRAMES, SIZE, SIZE, 3)


def factors(regime):
    """Names of a regime's factors, each with its part, "static" or "dynamic", and its number of classes."""
    if regime == SPRITES:
        return {**dict.fromkeys(ATTRIBUTES, ("static", KINDS)), "action": ("dynamic", ACTIONS)}
    return {part: (part, count) for part, count in zip(("static", "dynamic"), _classes(regime))}


def _classes(regime):
    return CHARACTER_CLASSES if regime in CHARACTERS else (10, 8)


def load_scenes(regime, rho, seed, folder, videos=None, probe_videos=PROBE_VIDEOS, files=None):
    """The clips of one experiment, made once and kept in `folder`, a file a split.

    Args:
        regime: a key of `REGIMES`, "noise", "fashion", "mujoco", "real", "sprites" or one of `CHARACTERS`.
        rho: probability that the direction of a training video is tied to its digit (of "sprites": the hair
            to the action); in the two splits of the probe they are independent.
        seed: of everything.
        folder: the cache.
        videos: how many; None: 1,024, of "sprites" 2,000.
        probe_videos: how many in each split of the probe; the test of "sprites" has all of its 2,664 sequences.
        files: folder of what was fetched for "fashion", "real", "sprites" or `CHARACTERS`.

    Returns:
        A dict of arrays: of "train", "probe_train" and "probe_test" each NAME (clips, videos, T, H, W, 3) uint8
        and its classes NAME_FACTOR (videos,) of each of `factors`. The digits of "probe_test" are other
        pictures, of "real" it is another half of the files, of "sprites" other characters.

    Raises:
        ImportError: if the regime is "mujoco", its clips are not in `folder`, and MuJoCo is missing.
        FileNotFoundError: the same of the files of the others.
    """
    few = regime in (MUJOCO, SPRITES, *CHARACTERS)
    videos = videos or (_SPRITE_VIDEOS if regime == SPRITES else VIDEOS)
    splits = {
        "train": (videos, _FEW_CLIPS if few else CLIPS, rho, "train", "motion"),
        "probe_train": (probe_videos, 1, 0.0, "fit" if regime == SPRITES else "train", "none"),
        "probe_test": (probe_videos, 1, 0.0, "test", "none"),
    }
    arrays = {}
    for stream, (name, split) in enumerate(splits.items()):
        path = _file_of(regime, name, split, seed, folder)
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with _open_scenes(regime, files) as scenes:
                clips, labels = _make_split(scenes, regime, *split, seed=(seed, stream))
            # Jobs in parallel make the same.
            part = path.with_name(f"{path.name}.{os.getpid()}.npz")
            np.savez(part, **{name: clips}, **{f"{name}_{key}": labels[key] for key in labels})
            os.replace(part, path)
        with np.load(path) as file:
            arrays |= file
    return arrays


def _file_of(regime, name, split, seed, folder):
    settings = _VERSIONS.get(regime) or dataclasses.asdict(REGIMES[regime])
    key = [_VERSION, FRAMES, SIZE, settings, split, seed]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return folder / f"{regime}-{name}-{digest}.npz"


def _open_scenes(regime, files):
    if regime in CHARACTERS:
        kind = regime.removeprefix("characters-")
        return CharacterScenes(kind, _CHARACTER_FRAMES, _CHARACTER_SIZE, files)
    if regime == SPRITES:
        return LpcScenes(SIZE, files)
    if regime == MUJOCO:
        return PhysicsScenes(FRAMES, SIZE)
    if regime == REAL:
        return RealScenes(files, FRAMES, SIZE)
    if regime == NOISE:
        return NoiseScenes()
    if regime == FASHION:
        return SpriteScenes(REGIMES["static-easy"], functools.partial(garment_masks, files))
    return SpriteScenes(REGIMES[regime], digit_masks)


class SpriteScenes(contextlib.nullcontext):
    """Draws clips of one still sprite with a disc that drifts in one direction, as a `Regime` says.

    Args:
        regime: a `Regime`.
        masks: a function of "train" or "test" and a side: the sprites' opacities, as `digit_masks` gives them.
    """

    def __init__(self, regime, masks):
        super().__init__(self)
        self._regime, self._disc = regime, disc_mask(round(regime.disc_side * SIZE))
        self._masks = functools.cache(lambda images: masks(images, SIZE))

    def video(self, kind, direction, images, rng):
        """A function that draws one clip of a video after the other, as `PhysicsScenes.video`."""
        regime, sprites = self._regime, self._masks(images)[kind]
        sprite = sprites[rng.integers(len(sprites))]
        mask = regime.digit * np.minimum(1.3 * sprite, 1.0)[..., None]
        scene = _GRAY + regime.texture * (draw_texture(rng, images, SIZE) - _GRAY)
        scene = scene * (1 - mask) + _INK * mask
        speed = rng.uniform(*regime.speed) * SIZE

        def clip():
            # Place, color and light are drawn for each clip: the track of the disc would be a static cue of
            # the video, and the easiest of all.
            start, gain = tuple(rng.uniform(0, SIZE, 2)), rng.uniform(0.7, 1.0)
            color = tuple(draw_color(rng) * gain)
            return render_clip(self._disc, scene * gain, direction, speed, start, color, FRAMES)

        return clip


class NoiseScenes(contextlib.nullcontext):
    """Draws digits of noise that drift in one direction before noise that drifts the other way."""

    def __init__(self):
        super().__init__(self)
        self._masks = functools.cache(lambda images: digit_masks(images, SIZE))

    def video(self, kind, direction, images, rng):
        """As `SpriteScenes.video`: each clip has noise of its own."""
        sprites = self._masks(images)[kind]
        shape = sprites[rng.integers(len(sprites))] > _INSIDE
        return lambda: render_noise(shape, direction, FRAMES, rng)


def _make_split(scenes, regime, videos, clips, rho, images, recipe, seed):
    rng = np.random.default_rng(seed)
    if regime == SPRITES:
        static, dynamic = draw_sequences(videos, rho, images, rng)
        labels = dict(zip(factors(regime), (*attributes_of(static), dynamic)))
    else:
        static, dynamic = sample_factors(videos, rho, rng, _classes(regime))
        labels = {"static": static, "dynamic": dynamic}
    shape = clip_shape(regime)
    augment = augmentation(recipe, shape[1])
    result = np.empty((clips, len(static), *shape), np.uint8)
    for i, pair in enumerate(zip(static.tolist(), dynamic.tolist())):
        rng = np.random.default_rng([*seed, i + 1])
        draw_clip = scenes.video(*pair, images, rng)
        for clip in range(clips):
            result[clip, i] = augment(draw_clip(), rng, view=clip % 2)
    return result, labels
