"""Clip -> clip, with one random draw for all frames, so that motion stays what it was."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np

from bod_keras.data.augment.color import apply_color
from bod_keras.data.augment.crops import cut_out
from bod_keras.errors import UserError, check_choice
from bod_keras.views.augmentation_law import AugmentationLaw
from bod_keras.views.color import GRAY_WEIGHTS, jitter_matrix
from bod_keras.views.recipes import recipe_settings


@dataclasses.dataclass(frozen=True)
class ClipAugment(AugmentationLaw):
    """An `AugmentationLaw`, whose arguments it takes, applied to clips of bytes by OpenCV.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import ClipAugment
        >>> augment = ClipAugment(size=8, crop_area=(0.3, 1.0), flip=0.5)
        >>> clip = np.zeros((4, 20, 30, 3), np.uint8)
        >>> augment(clip, np.random.default_rng(0), view=1).shape
        (4, 8, 8, 3)
    """

    def __call__(self, clip: np.ndarray, rng: np.random.Generator, view: int = 0) -> np.ndarray:
        """Augment one clip.

        Args:
            clip: uint8 array `(frames, height, width, 3)`, RGB.
            rng: random generator; all randomness comes from it.
            view: which clip of its pair this is; blur and solarisation depend on it.

        Returns:
            uint8 array `(frames, size, size, 3)`, RGB.

        Raises:
            ValueError: if the clip has another shape or dtype.
        """
        clip = np.asarray(clip)
        if clip.ndim != 4 or clip.shape[-1] != 3 or clip.dtype != np.uint8 or not clip.size:
            raise UserError(
                "clip must be a uint8 array (frames, height, width, 3). "
                f"Received: {clip.dtype} {clip.shape}"
            )
        box = self.draw_box(clip.shape[1], clip.shape[2], rng)
        return self.finish(np.stack([cut_out(frame, box, self.size) for frame in clip]), rng, view)

    def finish(self, out: np.ndarray, rng: np.random.Generator, view: int = 0) -> np.ndarray:
        """Do all but the crop.

        Args:
            out: uint8 array `(frames, size, size, 3)`, RGB: the crop.
            rng: random generator, that `draw_box` was called with.
            view: which clip of its pair this is.

        Returns:
            uint8 array of the same shape; `out` may be changed.
        """
        if self.draw_flip(rng):
            out = np.ascontiguousarray(out[:, :, ::-1])
        out = self._color(out, rng)
        if rng.random() < _of_view(self.blur_probability, view):
            sigma = rng.uniform(*self.blur_sigma)
            for frame in out:
                cv2.GaussianBlur(frame, (0, 0), sigma, dst=frame)
        if rng.random() < _of_view(self.solarize_probability, view):
            out = np.where(out >= 128, 255 - out, out)
        return out

    def draw_flip(self, rng: np.random.Generator) -> bool:
        """Draw, as `finish` does first of all, whether a clip is flipped left to right."""
        return bool(rng.random() < self.flip)

    def _color(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        jitters = rng.random() < self.jitter_probability and any(self.jitter)
        factors, turn = np.ones(3), 0.0
        if jitters:
            strength = np.array(self.jitter[:3])
            factors = rng.uniform(np.maximum(0.0, 1 - strength), 1 + strength)
            turn = rng.uniform(-self.jitter[3], self.jitter[3])
        gray = rng.random() < self.gray_probability
        if not jitters and not gray:
            return clip
        tall = clip.reshape(-1, clip.shape[2], 3)
        mean_gray = float(np.dot(GRAY_WEIGHTS, cv2.mean(tall)[:3]))
        brightness, contrast, saturation = factors
        matrix = jitter_matrix(
            brightness=brightness,
            contrast=contrast,
            saturation=saturation,
            hue=turn,
            gray=gray,
            mean_gray=mean_gray,
        )
        return apply_color(clip, matrix)


def augmentation(name: str, size: int, **overrides: Any) -> ClipAugment:
    """Make the augmentation of a named recipe.

    - "cvrl": the recipe of CVRL; view 1 is blurred seldom and solarized at times.
    - "rho": the recipe of the rho-MoCo/BYOL/SimCLR/SwAV study.
    - "motion": mild and without flips, for data whose label is the direction of motion.
    - "crop", "scale_jitter": crop and flip, as RSPNet and SlowFast train with labels;
      "scale_jitter_color" the latter with colors, as it fine-tunes on UCF101.
    - "coclr_probe", "tclr_probe": those of the linear probes of CoCLR and TCLR.
    - "none": a centered square, resized; nothing is random.

    The published crops are 224 pixels wide, and sigmas of the blur are in pixels: at a much
    smaller `size` give `blur_sigma=(0.1, 2.0 * size / 224)` for the same look.

    Args:
        name: a key of `RECIPES`.
        size: height and width of the result in pixels.
        **overrides: arguments of `ClipAugment` to change.

    Returns:
        A `ClipAugment`.

    Raises:
        ValueError: if there is no such recipe or argument.

    Example:
        >>> from bod_keras.data import augmentation
        >>> augmentation("rho", 112, flip=0.0).crop_area
        (0.2, 0.766)
    """
    known = [field.name for field in dataclasses.fields(ClipAugment)]
    for key in overrides:
        check_choice("argument of ClipAugment", key, known)
    return ClipAugment(**{"size": size, **recipe_settings(name, **overrides)})


def _of_view(probabilities: tuple[float, ...], view: int) -> float:
    return probabilities[min(view, len(probabilities) - 1)]
