"""R3D-18, the 18-layer residual network of 3-D convolutions, with a choice of temporal stride."""

import keras

from bod_keras.encoders._blocks import (
    check_width,
    checked_shape,
    conv_norm,
    encoder_model,
    space_mean,
)

# Of Kinetics-400 frames in [0, 1], red, green, blue: what the published weights expect.
_RGB_MEAN = (0.43216, 0.394666, 0.37645)
_RGB_STD = (0.22803, 0.22145, 0.216989)

# Temporal strides of stages 2, 3, 4 for each total. The earliest stride goes first, so that the
# stages which are kept closest to the published network are the late, wide ones.
_STAGE_STRIDES = {1: (1, 1, 1), 2: (1, 1, 2), 4: (1, 2, 2), 8: (2, 2, 2)}

_SMALLEST_FRAME = 16  # four halvings: below this the last stage would see nothing but padding


def R3D18(  # noqa: N802
    input_shape: tuple[int | None, ...] = (None, 112, 112, 3),
    temporal_stride: int = 1,
    width: int = 64,
    remat: bool = False,
    name: str = "r3d18",
) -> keras.Model:
    """Builds R3D-18 as a Functional model from clips to frame features.

    A stem (3 x 7 x 7 convolution, spatial stride 2) and four stages of two basic blocks (two
    3 x 3 x 3 convolutions and a shortcut), with 1, 2, 4 and 8 times `width` channels.
    Space is halved by the stem and by stages 2, 3 and 4, then averaged; time is never averaged:

        frame_features[b, t] = mean over height and width of stage4(clips)[b, t]

    With `temporal_stride=8` and the default width this is the published network without its
    classifier: parameters (33,166,272 trainable ones) and padding are equal, so its weights fit
    once a kernel (out, in, time, height, width) is transposed to (time, height, width, in, out).

    Args:
        input_shape: `(time, height, width, 3)` without the batch. Time, height and width may be
            `None` (any); height and width are at least 16.
        temporal_stride: input frames per output frame: 1 (every frame is kept), 2, 4 or 8. With 2
            only stage 4 halves time, with 4 stages 3 and 4, with 8 stages 2, 3 and 4.
        width: channels of the stem; the features have `8 * width`.
        remat: whether training keeps few activations and computes the others again
            (`RematModel`): less memory, more time, the same results.
        name: name of the model.

    Returns:
        A `keras.Model` from `(batch, time, height, width, 3)`, RGB in [0, 1] (standardised inside
        with the mean and the deviation of Kinetics), to frame features
        `(batch, ceil(time / temporal_stride), 8 * width)` float32.

    Raises:
        ValueError: if `input_shape`, `temporal_stride`, `width` or `remat` is not as described.

    Example:

    >>> import numpy as np
    >>> encoder = R3D18(input_shape=(None, 32, 32, 3), width=4)
    >>> encoder(np.zeros((2, 5, 32, 32, 3), "float32")).shape == (2, 5, 32)
    True

    Reference:
        Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR
        2018 (arXiv:1711.11248), network R3D with 18 layers.
    """
    input_shape = checked_shape(input_shape, smallest=_SMALLEST_FRAME, published=112)
    if isinstance(temporal_stride, bool) or temporal_stride not in tuple(_STAGE_STRIDES):
        raise ValueError(
            f"temporal_stride must be 1, 2, 4 or 8 (input frames per output frame), received "
            f"{temporal_stride!r}. Use 1 to keep every frame, 8 for the published network."
        )
    check_width(width)
    clips = keras.Input(input_shape, name="clips")
    x = keras.layers.Normalization(
        axis=-1,
        mean=list(_RGB_MEAN),
        variance=[std**2 for std in _RGB_STD],
        name="standardise",
    )(clips)
    x = conv_norm(x, width, kernel=(3, 7, 7), strides=(1, 2, 2), name="stem")
    x = keras.layers.ReLU(name="stem_relu")(x)
    strides = [(1, 1, 1)] + [(time, 2, 2) for time in _STAGE_STRIDES[temporal_stride]]
    for stage, stage_strides in enumerate(strides, start=1):
        filters = width * 2 ** (stage - 1)
        x = _basic_block(x, filters, stage_strides, name=f"stage{stage}_block1")
        x = _basic_block(x, filters, (1, 1, 1), name=f"stage{stage}_block2")
    return encoder_model(clips, space_mean(x), name, remat)


def _basic_block(x, filters: int, strides: tuple[int, int, int], name: str):
    """Two 3 x 3 x 3 convolutions around a shortcut, projected where the shape changes."""
    shortcut = x
    if strides != (1, 1, 1) or x.shape[-1] != filters:
        shortcut = conv_norm(x, filters, (1, 1, 1), strides, name=f"{name}_shortcut")
    x = conv_norm(x, filters, (3, 3, 3), strides, name=f"{name}_1")
    x = keras.layers.ReLU(name=f"{name}_1_relu")(x)
    x = conv_norm(x, filters, (3, 3, 3), (1, 1, 1), name=f"{name}_2")
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu")(x)
