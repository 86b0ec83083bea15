"""C3D, eight 3-D convolutions with maxima in between, in the form with batch normalization."""

import keras

from bod_keras.encoders._blocks import (
    ENCODERS,
    check_width,
    checked_shape,
    checked_strides,
    conv_norm,
    encoder_model,
    max_pool,
    space_mean,
    standardize,
)

# Of ImageNet's pictures in [0, 1], red, green, blue: what RSPNet's weights expect.
_RGB_MEAN = (0.485, 0.456, 0.406)
_RGB_STD = (0.229, 0.224, 0.225)

# Convolutions of each stage, and their channels in units of the first.
_STAGES = (("1",), 1), (("2",), 2), (("3a", "3b"), 4), (("4a", "4b"), 8), (("5a", "5b"), 8)

_SMALLEST_FRAME = 16  # four maxima of 2 x 2


@ENCODERS.register("c3d")
def C3D(  # noqa: N802
    input_shape: tuple[int | None, ...] = (None, 112, 112, 3),
    temporal_stride: int = 1,
    width: int = 64,
    remat: bool = False,
    name: str = "c3d",
) -> keras.Model:
    """Build C3D with batch normalization as a Functional model from clips to frame features.

    Eight 3 x 3 x 3 convolutions with bias, each with batch normalization and ReLU, in five stages
    of 1, 1, 2, 2 and 2, with 1, 2, 4, 8 and 8 times `width` channels. A maximum over 2 x 2 pixels, and
    over as many frames as it strides in time, follows stages 1 to 4:

        frame_features[b, t] = mean over height and width of conv5b(clips)[b, t]

    With `temporal_stride=8` and the default width these are the convolutions of the published C3D
    (27,655,936 parameters; with normalization 27,661,440 trainable ones), as VCOP and RSPNet train it:
    without the fully connected layers. `bod_keras.weights.load_torch` reads their weights.

    Args:
        input_shape: `(time, height, width, 3)` without the batch. Time, height and width may be
            `None` (any); height and width are at least 16, time at least `temporal_stride`.
        temporal_stride: input frames per output frame: 1 (every frame is kept), 2, 4 or 8. With 2
            only the maximum after stage 4 is over time, with 4 those after stages 3 and 4, with 8 those after
            stages 2, 3 and 4.
        width: channels of the first convolution; the features have `8 * width`.
        remat, name: as in `R3D18`.

    Returns:
        A `keras.Model` from `(batch, time, height, width, 3)`, RGB in [0, 1] (standardized inside
        with the mean and the deviation of ImageNet), to frame features
        `(batch, floor(time / temporal_stride), 8 * width)` float32.

    Example:
        >>> from bod_keras.encoders import C3D
        >>> import numpy as np
        >>> encoder = C3D(input_shape=(None, 32, 32, 3), width=4)
        >>> encoder(np.zeros((2, 5, 32, 32, 3), "float32")).shape == (2, 5, 32)
        True

    Reference:
        Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", ICCV 2015
        (arXiv:1412.0767), in the form of Chen et al., "RSPNet", AAAI 2021 (arXiv:2011.07949).
    """
    time_strides = checked_strides(temporal_stride, published=8)
    input_shape = checked_shape(
        input_shape, smallest=_SMALLEST_FRAME, published=112, frames=temporal_stride
    )
    check_width(width)
    clips = keras.Input(input_shape, name="clips")
    x = standardize(clips, _RGB_MEAN, _RGB_STD)
    pools = [(time, 2, 2) for time in (1, *time_strides)]
    for stage, (convs, multiple) in enumerate(_STAGES, start=1):
        for conv in convs:
            label = f"conv{conv}"
            x = conv_norm(x, multiple * width, (3, 3, 3), (1, 1, 1), label, use_bias=True)
            x = keras.layers.ReLU(name=f"{label}_relu")(x)
        if stage <= len(pools):
            window = pools[stage - 1]
            x = max_pool(x, window, window, name=f"pool{stage}", padded=False)
    return encoder_model(clips, space_mean(x), name, remat)
