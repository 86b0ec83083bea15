"""What the encoders share: normalized convolutions, the model at the end, the checks of their arguments."""

from __future__ import annotations

from typing import Any

import keras

from bod_keras.encoders._layers import FusedBatchNormalization, MaxPooling3D, PaddedConv3D
from bod_keras.encoders.clip_model import ClipModel, RematClipModel
from bod_keras.errors import UserError
from bod_keras.registry import Registry

ENCODERS = Registry("encoder", "bod_keras.encoders")  # each registers itself in its own file

# Temporal strides of the last three places that halve time in the published networks, for each total. The
# earliest goes first, so that what is kept closest to the published network are the late, wide stages.
_STRIDES = {1: (1, 1, 1), 2: (1, 1, 2), 4: (1, 2, 2), 8: (2, 2, 2)}


def standardize(clips: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> Any:
    """Clips in [0, 1] with the mean and the deviation of each color taken out."""
    return keras.layers.Normalization(
        axis=-1, mean=list(mean), variance=[s**2 for s in std], name="standardize"
    )(clips)


def region_means(maps: Any, regions: int) -> Any:
    """Maps (B, h, w, C) to the means of r x r regions, (B, r^2 C), in float32 for small differences' sake.

    Raises:
        UserError: r does not divide the maps, or these have no known size.
    """
    kept = {"data_format": "channels_last", "dtype": "float32"}
    if regions == 1:
        return keras.layers.GlobalAveragePooling2D(**kept, name="space_mean")(maps)
    height, width = maps.shape[1:3]
    if regions < 1 or not height or not width or height % regions or width % regions:
        raise UserError(
            f"regions must be at least 1 and divide the last maps of {height} x {width} numbers. "
            f"Received: regions={regions}"
        )
    window = (height // regions, width // regions)
    x = keras.layers.AveragePooling2D(window, **kept, name="region_means")(maps)
    return keras.layers.Flatten(dtype="float32", name="join_regions")(x)


def conv_norm(
    x: Any,
    filters: int,
    kernel: tuple[int, int, int],
    strides: tuple[int, int, int],
    name: str,
    use_bias: bool = False,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
) -> Any:
    """Symmetric zero padding, convolution, batch normalization."""
    x = PaddedConv3D(
        filters,
        kernel,
        strides=strides,
        use_bias=use_bias,
        data_format="channels_last",
        # One initializer per convolution: a shared instance would repeat its draw.
        kernel_initializer=keras.initializers.VarianceScaling(
            2.0, mode="fan_out", distribution="untruncated_normal"
        ),
        name=f"{name}_conv",
    )(x)
    return FusedBatchNormalization(momentum=momentum, epsilon=epsilon, name=f"{name}_bn")(x)


def space_time_conv_norm(
    x: Any,
    middle: int,
    filters: int,
    sizes: tuple[int, int],
    strides: tuple[int, int, int],
    name: str,
    skip_early: bool = False,
    **norm,
) -> Any:
    """A convolution across space into `middle` channels, ReLU, and one across time.

    `sizes` of the kernels are (time, space). The stride in time is the second's, the first's if `skip_early`.
    """
    (time, space), (stride, *space_strides) = sizes, strides
    first, second = (stride, 1) if skip_early else (1, stride)
    x = conv_norm(x, middle, (1, space, space), (first, *space_strides), f"{name}_space", **norm)
    x = keras.layers.ReLU(name=f"{name}_space_relu")(x)
    return conv_norm(x, filters, (time, 1, 1), (second, 1, 1), f"{name}_time", **norm)


def max_pool(
    x: Any,
    size: tuple[int, int, int],
    strides: tuple[int, int, int],
    name: str,
    padded: bool = True,
) -> Any:
    """The maximum of each window, with half a window of padding if `padded`; of the output of a ReLU."""
    padding = tuple(edge // 2 for edge in size)
    if padded and any(padding):
        # Zeros never win against the output of a ReLU, so they pad as minus infinity would.
        x = keras.layers.ZeroPadding3D(padding, data_format="channels_last", name=f"{name}_pad")(x)
    return MaxPooling3D(
        size,
        strides=strides,
        data_format="channels_last",
        # TensorFlow has no such kernel in float16 on CPUs.
        dtype="float32" if x.dtype == "float16" else None,
        name=name,
    )(x)


def space_mean(x: Any) -> Any:
    """The frame features (B, T, C) of a map (B, T, H, W, C).

    Space only: whoever needs a clip vector takes the mean over time. In float32 under every policy: the
    split reads small differences between frames.
    """
    return keras.ops.mean(keras.ops.cast(x, "float32"), axis=(2, 3))


def encoder_model(clips: Any, features: Any, name: str, remat: bool) -> keras.Model:
    """The `ClipModel` from `clips` to `features`; a `RematModel` if `remat`."""
    check_remat(remat)
    return (RematClipModel if remat else ClipModel)(clips, features, name=name)


def checked_shape(
    input_shape: Any, smallest: int, published: int, frames: int = 1
) -> tuple[int | None, ...]:
    """Return `input_shape` as a tuple, or raises with what was expected.

    Args:
        input_shape: what the caller passed for `(time, height, width, 3)`.
        smallest: least height and width.
        published: height and width for the message's example.
        frames: least time.
    """
    shape = tuple(input_shape) if isinstance(input_shape, (tuple, list)) else ()
    fits = len(shape) == 4 and shape[3] == 3
    if fits:
        fits = all(
            size is None or (isinstance(size, int) and size >= least)
            for size, least in zip(shape[:3], (frames, smallest, smallest))
        )
    if not fits:
        raise UserError(
            "input_shape must be (time, height, width, 3) without the batch, where time is at "
            f"least {frames}, height and width are at least {smallest}, and each of the three may "
            f"be None. Received: {input_shape!r}. Decode to RGB with the channels last, for "
            f"example input_shape=(None, {published}, {published}, 3)."
        )
    return shape


def checked_strides(temporal_stride: Any, published: int) -> tuple[int, int, int]:
    """Temporal strides of the three last places that halve time, or raises with what was expected.

    Args:
        temporal_stride: what the caller passed: input frames per output frame.
        published: that of the published network, for the message.
    """
    if isinstance(temporal_stride, bool) or temporal_stride not in tuple(_STRIDES):
        keep = "Use 1 to keep every frame"
        if published > 1:
            keep += f", {published} for the published network"
        raise UserError(
            "temporal_stride must be 1, 2, 4 or 8 (input frames per output frame). Received: "
            f"{temporal_stride!r}. {keep}."
        )
    return _STRIDES[temporal_stride]


def check_remat(remat: Any) -> None:
    """Raise unless `remat` is a truth value."""
    if not isinstance(remat, bool):
        raise UserError(
            "remat must be True (activations are computed again for the gradient, which takes less memory "
            f"and more time) or False. Received: {remat!r}."
        )


def check_width(width: Any) -> None:
    """Raise unless `width` is a positive integer."""
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise UserError(
            f"width must be a positive integer (channels of the stem). Received: {width!r}. "
            f"Use 64 for the published network."
        )
