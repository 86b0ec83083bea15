"""The law of an augmentation: which parts are drawn, and how; `ClipAugment` and `ClipAugmenter` apply it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from bod_keras.errors import UserError


@dataclasses.dataclass(frozen=True)
class AugmentationLaw:
    """What is drawn for a clip: crop, flip, color jitter, gray, blur and solarization.

    In this order, each drawn once per clip and applied alike to every frame:

    1. crop: area share uniform in `crop_area`; aspect ratio log-uniform in the part of
       `crop_aspect` that fits the frame at that area; position uniform; resized to a square.
    2. flip left to right.
    3. color: one affine map `rgb -> M rgb + o` (`jitter_matrix`); contrast is about the mean gray
       of the clip.
    4. blur: Gaussian of uniform sigma, frame by frame, so nothing bleeds between frames.
    5. solarization: values v >= 128 become 255 - v.

    With all defaults there is no randomness: a centered square is cut out and resized.

    Args:
        size: height and width of the result in pixels.
        crop_area: least and greatest share of the frame's area; None for the centered square.
        crop_aspect: least and greatest width / height of the crop.
        flip: probability.
        jitter: strengths of brightness, contrast, saturation (factors uniform in 1 +- strength, not
            below 0) and hue (turn uniform in +- strength, where 1 is the full circle).
        jitter_probability: probability of the jitter as a whole.
        gray_probability: probability of a gray clip.
        blur_probability: one per view; a view beyond the last takes the last.
        blur_sigma: least and greatest sigma in pixels of the result.
        solarize_probability: one per view; a view beyond the last takes the last.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> import numpy as np
        >>> from bod_keras.views.augmentation_law import AugmentationLaw
        >>> law = AugmentationLaw(size=8, crop_area=(0.3, 1.0), flip=0.5)
        >>> top, left, height, width = law.draw_box(20, 30, np.random.default_rng(0))
        >>> 0.29 < height * width / 600 <= 1
        True

    Reference:
        Qian et al., "Spatiotemporal Contrastive Video Representation Learning", CVPR 2021;
        Feichtenhofer et al., "A Large-Scale Study on Unsupervised Spatiotemporal Representation
        Learning", CVPR 2021.
    """

    size: int
    crop_area: tuple[float, float] | None = None
    crop_aspect: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.0
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    jitter_probability: float = 0.0
    gray_probability: float = 0.0
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
        for name in ("flip", "jitter_probability", "gray_probability"):
            _check_probability(name, getattr(self, name))
        for name in ("blur_probability", "solarize_probability"):
            for value in getattr(self, name):
                _check_probability(name, value)

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


def _check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UserError(f"{name} must be a probability in [0, 1]. Received: {value}")
