"""Clip -> clip, with one random draw for all frames, so that motion stays what it was."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType

import cv2
import numpy as np

from bod_keras.data.augment.colour import GREY_WEIGHTS, apply_colour, jitter_matrix
from bod_keras.data.augment.crops import cut_out
from bod_keras.errors import UserError

# Published numbers; the two clips of a pair are view 0 and view 1.
RECIPES: Mapping[str, Mapping] = MappingProxyType(
    {
        "cvrl": {
            "crop_area": (0.3, 1.0),
            "crop_aspect": (0.5, 2.0),
            "flip": 0.5,
            "jitter": (0.8, 0.8, 0.8, 0.2),
            "jitter_probability": 0.8,
            "grey_probability": 0.2,
            "blur_probability": (1.0, 0.1),
            "solarize_probability": (0.0, 0.2),
        },
        "rho": {
            "crop_area": (0.2, 0.766),
            "crop_aspect": (0.75, 1.333),
            "flip": 0.5,
            "jitter": (0.6, 0.6, 0.6, 0.15),
            "jitter_probability": 0.8,
            "grey_probability": 0.2,
            "blur_probability": (0.5, 0.5),
        },
        # For data whose label is the direction of motion: a flip would change the label.
        "motion": {
            "crop_area": (0.8, 1.0),
            "crop_aspect": (0.75, 1.333),
            "jitter": (0.2, 0.2, 0.2, 0.05),
            "jitter_probability": 0.8,
        },
        # For training with labels. Of the frame's area, 0.28 to 0.57 is a square of 224 pixels out of a
        # short side of 256 to 320, whether frames are 4:3 or 16:9.
        "crop": {"crop_area": (0.25, 1.0), "crop_aspect": (0.75, 1.333), "flip": 0.5},
        "scale_jitter": {"crop_area": (0.28, 0.57), "crop_aspect": (1.0, 1.0), "flip": 0.5},
        "scale_jitter_colour": {
            "crop_area": (0.28, 0.57),
            "crop_aspect": (1.0, 1.0),
            "flip": 0.5,
            "jitter": (0.4, 0.4, 0.4, 0.1),
            "jitter_probability": 0.8,
            "grey_probability": 0.2,
        },
        "coclr_probe": {
            "crop_area": (0.2, 1.0),
            "crop_aspect": (0.75, 1.333),
            "flip": 0.5,
            "jitter": (0.4, 0.4, 0.4, 0.1),
            "jitter_probability": 0.3,
        },
        "tclr_probe": {
            "crop_area": (0.27, 0.75),
            "crop_aspect": (1.0, 1.0),
            "flip": 0.5,
            "jitter": (0.1, 0.1, 0.1, 0.05),
            "jitter_probability": 0.15,
            "grey_probability": 0.1,
        },
        "none": {},
    }
)


@dataclasses.dataclass(frozen=True)
class ClipAugment:
    """Random resized crop, flip, colour jitter, grey, blur and solarisation of whole clips.

    In this order, each drawn once per clip and applied alike to every frame:

    1. crop: area share uniform in `crop_area`; aspect ratio log-uniform in the part of
       `crop_aspect` that fits the frame at that area; position uniform; resized to a square.
    2. flip left to right.
    3. colour: one affine map `rgb -> M rgb + o` (`jitter_matrix`); contrast is about the mean grey
       of the clip.
    4. blur: Gaussian of uniform sigma, frame by frame, so nothing bleeds between frames.
    5. solarisation: values v >= 128 become 255 - v.

    With all defaults there is no randomness: a centred square is cut out and resized.

    Args:
        size: height and width of the result in pixels.
        crop_area: least and greatest share of the frame's area; None for the centred square.
        crop_aspect: least and greatest width / height of the crop.
        flip: probability.
        jitter: strengths of brightness, contrast, saturation (factors uniform in 1 +- strength, not
            below 0) and hue (turn uniform in +- strength, where 1 is the full circle).
        jitter_probability: probability of the jitter as a whole.
        grey_probability: probability of a grey clip.
        blur_probability: one per view; a view beyond the last takes the last.
        blur_sigma: least and greatest sigma in pixels of the result.
        solarize_probability: one per view; a view beyond the last takes the last.

    Raises:
        ValueError: if an argument is out of range.

    Example:

    >>> augment = ClipAugment(size=8, crop_area=(0.3, 1.0), flip=0.5)
    >>> clip = np.zeros((4, 20, 30, 3), np.uint8)
    >>> augment(clip, np.random.default_rng(0), view=1).shape
    (4, 8, 8, 3)

    Source: Qian et al., "Spatiotemporal Contrastive Video Representation Learning", CVPR 2021;
    Feichtenhofer et al., "A Large-Scale Study on Unsupervised Spatiotemporal Representation
    Learning", CVPR 2021.
    """

    size: int
    crop_area: tuple[float, float] | None = None
    crop_aspect: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.0
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    jitter_probability: float = 0.0
    grey_probability: float = 0.0
    blur_probability: tuple[float, ...] = (0.0,)
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    solarize_probability: tuple[float, ...] = (0.0,)

    def __post_init__(self):
        if self.size < 1:
            raise UserError(f"size must be at least 1 pixel. Received: size={self.size}")
        for name in ("crop_area", "crop_aspect", "blur_sigma"):
            low_high = getattr(self, name)
            if low_high is not None and not 0 < low_high[0] <= low_high[1]:
                raise UserError(
                    f"{name} must be (low, high), 0 < low <= high. Received: {low_high}"
                )
        if self.crop_area is not None and self.crop_area[1] > 1:
            raise UserError(f"crop_area cannot exceed 1. Received: {self.crop_area}")
        if len(self.jitter) != 4 or min(self.jitter) < 0:
            raise UserError(
                "jitter must be 4 strengths >= 0 (brightness, contrast, saturation, hue). "
                f"Received: {self.jitter}"
            )
        for name in ("blur_probability", "solarize_probability"):
            if not getattr(self, name):
                raise UserError(f"{name} must hold one probability per view. Received: ()")
        for name in ("flip", "jitter_probability", "grey_probability"):
            _check_probability(name, getattr(self, name))
        for name in ("blur_probability", "solarize_probability"):
            for value in getattr(self, name):
                _check_probability(name, value)

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
        if rng.random() < self.flip:
            out = np.ascontiguousarray(out[:, :, ::-1])
        out = self._colour(out, rng)
        if rng.random() < _of_view(self.blur_probability, view):
            sigma = rng.uniform(*self.blur_sigma)
            for frame in out:
                cv2.GaussianBlur(frame, (0, 0), sigma, dst=frame)
        if rng.random() < _of_view(self.solarize_probability, view):
            out = np.where(out >= 128, 255 - out, out)
        return out

    def draw_box(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, ...]:
        """Draw the crop.

        Args:
            height: of the frame, pixels.
            width: of the frame, pixels.
            rng: random generator.

        Returns:
            `(top, left, height, width)` in pixels.
        """
        if self.crop_area is None:
            side = min(height, width)
            return (height - side) // 2, (width - side) // 2, side, side
        share = rng.uniform(*self.crop_area)
        # Width <= frame and height <= frame bound the aspect ratio at this area. Drawing inside of
        # the bounds, not until a draw fits, keeps the area uniform and the run time fixed.
        low, high = self.crop_aspect
        fits_low, fits_high = share * width / height, width / (height * share)
        low, high = np.clip([low, high], fits_low, fits_high)
        aspect = math.exp(rng.uniform(math.log(low), math.log(high)))
        area = share * height * width
        crop_height = min(height, max(1, round(math.sqrt(area / aspect))))
        crop_width = min(width, max(1, round(math.sqrt(area * aspect))))
        top = int(rng.integers(height - crop_height + 1))
        left = int(rng.integers(width - crop_width + 1))
        return top, left, crop_height, crop_width

    def _colour(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        jitters = rng.random() < self.jitter_probability and any(self.jitter)
        factors, turn = np.ones(3), 0.0
        if jitters:
            strength = np.array(self.jitter[:3])
            factors = rng.uniform(np.maximum(0.0, 1 - strength), 1 + strength)
            turn = rng.uniform(-self.jitter[3], self.jitter[3])
        grey = rng.random() < self.grey_probability
        if not jitters and not grey:
            return clip
        tall = clip.reshape(-1, clip.shape[2], 3)
        mean_grey = float(np.dot(GREY_WEIGHTS, cv2.mean(tall)[:3]))
        brightness, contrast, saturation = factors
        matrix = jitter_matrix(
            brightness=brightness,
            contrast=contrast,
            saturation=saturation,
            hue=turn,
            grey=grey,
            mean_grey=mean_grey,
        )
        return apply_colour(clip, matrix)


def augmentation(name: str, size: int, **overrides) -> ClipAugment:
    """Make the augmentation of a named recipe.

    - "cvrl": the recipe of CVRL; view 1 is blurred seldom and solarised at times.
    - "rho": the recipe of the rho-MoCo/BYOL/SimCLR/SwAV study.
    - "motion": mild and without flips, for data whose label is the direction of motion.
    - "crop", "scale_jitter": crop and flip, as RSPNet and SlowFast train with labels;
      "scale_jitter_colour" the latter with colours, as it fine-tunes on UCF101.
    - "coclr_probe", "tclr_probe": those of the linear probes of CoCLR and TCLR.
    - "none": a centred square, resized; nothing is random.

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

    >>> augmentation("rho", 112, flip=0.0).crop_area
    (0.2, 0.766)
    """
    if name not in RECIPES:
        raise UserError(f"recipe must be one of {sorted(RECIPES)}. Received: {name!r}")
    known = [f.name for f in dataclasses.fields(ClipAugment)]
    unknown = sorted(set(overrides) - set(known))
    if unknown:
        raise UserError(f"ClipAugment has no argument {unknown}. It has: {known}")
    return ClipAugment(**{"size": size, **RECIPES[name], **overrides})


def _of_view(probabilities: tuple[float, ...], view: int) -> float:
    return probabilities[min(view, len(probabilities) - 1)]


def _check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UserError(f"{name} must be a probability in [0, 1]. Received: {value}")
