"""The augmentation of whole clips as a Keras layer, for the device that trains."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import ops

from bod_keras.backend import replicas
from bod_keras.backend.replicas import own_rows
from bod_keras.errors import UserError
from bod_keras.views.augmentation_law import AugmentationLaw
from bod_keras.views.color import GRAY_WEIGHTS
from bod_keras.views.hue import hue_rotations
from bod_keras.views.recipes import recipe_settings


@keras.saving.register_keras_serializable("bod_keras")
class ClipAugmenter(keras.layers.Layer):
    """`bod_keras.data.ClipAugment` as a batched layer: the same law, drawn once per clip, for all its frames.

    With X a clip (T, H, W, 3) in [0, 1], crop, flip, resizing and blur are one matrix A (size, H) for
    the rows and one, B (size, W), for the columns; color is one affine map:

        Y_t = clip(M (A X_t B^T) + o, 0, 1), and where it is solarized Y >= 128/255 becomes 1 - Y.

    So it is three contractions of static shape, and compiles on every backend. What differs from
    `ClipAugment`: crops end between pixels, nothing is rounded, and the blur is before the color,
    which shows only where a color was clipped. Without training, or with all defaults, it cuts out
    the centered square and resizes it.

    Args:
        size: height and width of the result in pixels.
        crop_area, crop_aspect, flip, jitter, jitter_probability, gray_probability,
            blur_probability, blur_sigma, solarize_probability: as in `AugmentationLaw`.
        seed: an integer; None for a random one. The state of the draws is saved with a model.

    Call arguments:
        clips: (B, V, T, H, W, 3), V views of a video, or (B, T, H, W, 3), the first view alone; RGB,
            integers of 0 to 255 or floats in [0, 1].
        training: whether to draw; otherwise the centered square.

    Returns:
        Clips of the same rank in [0, 1], (..., T, size, size, 3), in the compute dtype.

    Raises:
        ValueError: if an argument is out of range, or the input has another rank.

    Example:
        >>> import numpy as np, bod_keras
        >>> layer = bod_keras.ClipAugmenter(8, crop_area=(0.3, 1.0), flip=0.5, seed=0)
        >>> tuple(layer(np.zeros((2, 2, 4, 20, 30, 3), np.uint8), training=True).shape)
        (2, 2, 4, 8, 8, 3)

    Reference:
        As `AugmentationLaw`.
    """

    def __init__(
        self,
        size: int,
        crop_area: tuple[float, float] | None = None,
        crop_aspect: tuple[float, float] = (0.5, 2.0),
        flip: float = 0.0,
        jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
        jitter_probability: float = 0.0,
        gray_probability: float = 0.0,
        blur_probability: Sequence[float] = (0.0,),
        blur_sigma: tuple[float, float] = (0.1, 2.0),
        solarize_probability: Sequence[float] = (0.0,),
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        settings = {
            "size": size,
            "crop_area": crop_area,
            "crop_aspect": crop_aspect,
            "flip": flip,
            "jitter": jitter,
            "jitter_probability": jitter_probability,
            "gray_probability": gray_probability,
            "blur_probability": blur_probability,
            "blur_sigma": blur_sigma,
            "solarize_probability": solarize_probability,
        }
        AugmentationLaw(**settings)  # checks them
        self._settings = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
        self.size = size
        self.seed = seed
        self._generator = keras.random.SeedGenerator(seed)
        self.built = True

    @classmethod
    def from_recipe(
        cls, name: str, size: int, seed: int | None = None, **overrides
    ) -> ClipAugmenter:
        """Make the layer of a named recipe, as `bod_keras.data.augmentation` makes a `ClipAugment`.

        Args:
            name: a key of `RECIPES`.
            size: height and width of the result in pixels.
            seed: as above.
            **overrides: arguments of this class to change.

        Returns:
            A `ClipAugmenter`.

        Raises:
            ValueError: if there is no such recipe or argument.
        """
        return cls(size, **recipe_settings(name, **overrides), seed=seed)

    def call(self, clips, training=False):
        if len(clips.shape) not in (5, 6):
            raise UserError(
                "clips must have shape (batch, views, time, height, width, 3) or (batch, time, height, "
                f"width, 3). Received: {tuple(clips.shape)}"
            )
        integers = "int" in keras.backend.standardize_dtype(clips.dtype)
        x = ops.cast(clips, "float32") / (255.0 if integers else 1.0)
        views = clips.shape[1] if len(clips.shape) == 6 else 1
        frames, height, width = clips.shape[-4:-1]
        x = ops.reshape(x, (-1, views, frames, height, width, 3))
        drawn = self._draw(ops.shape(x)[0], views, height, width) if training else None
        rows, columns = self._matrices(drawn, height, width)
        axes = "bv" if training else ""
        x = ops.einsum(f"{axes}ih,bvthwc->bvtiwc", rows, x)
        x = ops.einsum(f"{axes}jw,bvtiwc->bvtijc", columns, x)
        if training:
            x = self._color(x, drawn)
            solarized = ops.logical_and(
                drawn["solarize"][..., None, None, None, None], x >= 128 / 255
            )
            x = ops.where(solarized, 1.0 - x, x)
        shape = (-1, *clips.shape[1:-3], self.size, self.size, 3)
        return ops.cast(ops.reshape(x, shape), self.compute_dtype)

    def compute_output_spec(self, clips, training=False):
        shape = (*clips.shape[:-3], self.size, self.size, 3)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def _draw(self, batch, views, height, width):
        """Every random number of a batch, by name, each (batch, views)."""
        s = self._settings
        joint = (
            batch * replicas.count(),
            views,
        )  # replicas draw alike, so each takes its own of all

        def uniform(low=0.0, high=1.0):
            drawn = keras.random.uniform(joint, seed=self._generator)
            return low + (high - low) * own_rows(drawn)

        def chance(probability):
            # One probability a view; a view beyond the last takes the last.
            probabilities = list(probability) if isinstance(probability, tuple) else [probability]
            probabilities += probabilities[-1:] * (views - len(probabilities))
            return uniform() < ops.convert_to_tensor(probabilities[:views], "float32")

        drawn = self._draw_box(uniform, height, width)
        drawn["flip"] = chance(s["flip"])
        jittered = chance(s["jitter_probability"])
        for name, strength in zip(("brightness", "contrast", "saturation"), s["jitter"]):
            factor = uniform(max(0.0, 1 - strength), 1 + strength)
            drawn[name] = ops.where(jittered, factor, 1.0)
        drawn["hue"] = ops.where(jittered, uniform(-s["jitter"][3], s["jitter"][3]), 0.0)
        drawn["gray"] = chance(s["gray_probability"])
        drawn["blur"] = chance(s["blur_probability"])
        drawn["sigma"] = uniform(*s["blur_sigma"])
        drawn["solarize"] = chance(s["solarize_probability"])
        return drawn

    def _draw_box(self, uniform, height, width):
        s = self._settings
        if s["crop_area"] is None:
            side = min(height, width)
            box = {"top": (height - side) / 2, "left": (width - side) / 2}
            box |= {"height": float(side), "width": float(side)}
            return {name: value + 0.0 * uniform() for name, value in box.items()}
        share = uniform(*s["crop_area"])
        # As in AugmentationLaw: the aspect ratio is drawn in what fits the frame at this area.
        fits_low, fits_high = share * width / height, width / (height * share)
        low, high = (ops.minimum(ops.maximum(fits_low, a), fits_high) for a in s["crop_aspect"])
        aspect = ops.exp(uniform(ops.log(low), ops.log(high)))
        area = share * height * width
        box = {
            "height": ops.minimum(ops.sqrt(area / aspect), height),
            "width": ops.minimum(ops.sqrt(area * aspect), width),
        }
        box["top"] = uniform() * (height - box["height"])
        box["left"] = uniform() * (width - box["width"])
        return box

    def _matrices(self, drawn, height, width):
        """Crop, flip, resizing and blur: (..., size, height) for rows, (..., size, width) for columns."""
        if drawn is None:
            side = float(min(height, width))
            shrinks = side >= self.size
            return tuple(
                _resize_matrix(ops.convert_to_tensor((n - side) / 2), side, shrinks, self.size, n)
                for n in (height, width)
            )
        # OpenCV's rule: areas are averaged when both sides shrink.
        shrinks = ops.logical_and(drawn["height"] >= self.size, drawn["width"] >= self.size)
        rows = _resize_matrix(drawn["top"], drawn["height"], shrinks, self.size, height)
        columns = _resize_matrix(drawn["left"], drawn["width"], shrinks, self.size, width)
        columns = ops.where(drawn["flip"][..., None, None], ops.flip(columns, axis=-2), columns)
        if max(self._settings["blur_probability"]) > 0:
            blur = _blur_matrix(drawn["sigma"], drawn["blur"], self.size)
            rows, columns = ops.matmul(blur, rows), ops.matmul(blur, columns)
        return rows, columns

    def _color(self, x, drawn):
        """`jitter_matrix` of every clip, applied and limited to [0, 1]."""
        gray_weights = ops.convert_to_tensor(GRAY_WEIGHTS, "float32")
        to_gray = ops.tile(gray_weights[None], (3, 1))
        mean_gray = ops.einsum("bvtijc,c->bv", x, gray_weights) / math.prod(x.shape[2:5])
        b, c, s = (
            drawn[name][..., None, None] for name in ("brightness", "contrast", "saturation")
        )
        rotation = hue_rotations(2 * math.pi * drawn["hue"])
        after = ops.matmul(rotation, s * ops.eye(3) + (1 - s) * to_gray)
        after = ops.where(drawn["gray"][..., None, None], ops.matmul(to_gray, after), after)
        offset = ops.sum(after, axis=-1) * ((1 - c) * b)[..., 0] * mean_gray[..., None]
        x = ops.einsum("bvdc,bvtijc->bvtijd", after * (b * c), x)
        return ops.clip(x + offset[:, :, None, None, None], 0.0, 1.0)

    def get_config(self):
        return {**super().get_config(), **self._settings, "seed": self.seed}


def _resize_matrix(start, extent, shrinks, size, length):
    """Weights (..., size, length) that resize `extent` pixels from `start` on to `size` pixels."""
    start, extent = (ops.expand_dims(ops.cast(v, "float32"), (-2, -1)) for v in (start, extent))
    scale = extent / size
    target = ops.arange(size, dtype="float32")[:, None]
    source = ops.arange(length, dtype="float32")[None]
    low = start + target * scale
    # The share of each source pixel in the target pixel; or linear between the pixels' centers, of
    # which those outside of the crop count as its border.
    overlap = ops.minimum(source + 1, low + scale) - ops.maximum(source, low)
    center = ops.clip(low + scale / 2, start + 0.5, start + extent - 0.5) - 0.5
    linear = 1 - ops.abs(center - source)
    shrinks = ops.expand_dims(ops.convert_to_tensor(shrinks), (-2, -1))
    weights = ops.maximum(ops.where(shrinks, overlap, linear), 0.0)
    return weights / ops.sum(weights, axis=-1, keepdims=True)


def _blur_matrix(sigma, blurred, size):
    """Gaussian blur of a line of pixels that is mirrored at its ends, or nothing: (..., size, size)."""
    i = ops.arange(size, dtype="float32")[:, None]
    j = ops.arange(size, dtype="float32")[None]
    sigma = sigma[..., None, None]

    def bell(distance):
        return ops.exp(-0.5 * ops.square(distance / sigma))

    # The border pixel itself is not repeated (OpenCV's reflect-101).
    mirrored = ops.where(j > 0, bell(i + j), 0.0)
    mirrored += ops.where(j < size - 1, bell(2 * (size - 1) - i - j), 0.0)
    weights = bell(i - j) + mirrored
    weights = weights / ops.sum(weights, axis=-1, keepdims=True)
    return ops.where(blurred[..., None, None], weights, ops.eye(size))
