"""What the encoders share: a normalised convolution, the model at the end, the checks of their arguments."""

import keras

from bod_keras.encoders.remat_model import RematModel


def conv_norm(
    x, filters: int, kernel: tuple[int, int, int], strides: tuple[int, int, int], name: str
):
    """Symmetric zero padding, convolution without bias, batch normalisation."""
    padding = tuple(size // 2 for size in kernel)
    if any(padding):
        # padding="same" would pad a strided convolution on one side only, where the published
        # weights were trained with both sides.
        x = keras.layers.ZeroPadding3D(padding, data_format="channels_last", name=f"{name}_pad")(x)
    x = keras.layers.Conv3D(
        filters,
        kernel,
        strides=strides,
        padding="valid",
        use_bias=False,
        data_format="channels_last",
        # One initialiser per convolution: a shared instance would repeat its draw.
        kernel_initializer=keras.initializers.VarianceScaling(
            2.0, mode="fan_out", distribution="untruncated_normal"
        ),
        name=f"{name}_conv",
    )(x)
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)


def space_mean(x):
    """The frame features (B, T, C) of a map (B, T, H, W, C).

    Space only: the mean over time belongs to whoever wants a clip vector. In float32 under every policy: the
    split reads small differences between frames.
    """
    return keras.ops.mean(keras.ops.cast(x, "float32"), axis=(2, 3))


def encoder_model(clips, features, name: str, remat: bool) -> keras.Model:
    """The Functional model from `clips` to `features`; a `RematModel` if `remat`."""
    if not isinstance(remat, bool):
        raise ValueError(
            f"remat must be True (activations are computed again for the gradient, which takes less "
            f"memory and more time) or False, received {remat!r}."
        )
    return (RematModel if remat else keras.Model)(clips, features, name=name)


def checked_shape(input_shape, smallest: int, published: int) -> tuple[int | None, ...]:
    """Returns `input_shape` as a tuple, or raises with what was expected.

    Args:
        input_shape: what the caller passed for `(time, height, width, 3)`.
        smallest: least height and width.
        published: height and width for the message's example.
    """
    shape = tuple(input_shape) if isinstance(input_shape, (tuple, list)) else ()
    fits = len(shape) == 4 and shape[3] == 3
    if fits:
        fits = all(
            size is None or (isinstance(size, int) and size >= least)
            for size, least in zip(shape[:3], (1, smallest, smallest))
        )
    if not fits:
        raise ValueError(
            "input_shape must be (time, height, width, 3) without the batch, where time is at "
            f"least 1, height and width are at least {smallest}, and each of the three may "
            f"be None; received {input_shape!r}. Decode to RGB with the channels last, for "
            f"example input_shape=(None, {published}, {published}, 3)."
        )
    return shape


def check_width(width) -> None:
    """Raises unless `width` is a positive integer."""
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise ValueError(
            f"width must be a positive integer (channels of the stem), received {width!r}. "
            f"Use 64 for the published network."
        )
