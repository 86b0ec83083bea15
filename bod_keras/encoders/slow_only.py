"""SlowOnly R50, the Slow pathway of SlowFast: a ResNet-50 that looks across time in its last two stages."""

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

# One gray level for red, green and blue in [0, 1]: what the published weights expect.
_RGB_MEAN = 0.45
_RGB_STD = 0.225

# Of stages 2, 3, 4, 5: bottlenecks, frames that the first convolution of each sees, spatial stride.
_STAGES = ((3, 1, 1), (4, 1, 2), (6, 3, 2), (3, 3, 2))

_SMALLEST_FRAME = 32  # five halvings: below this the last stage would see nothing but padding


@ENCODERS.register("slow_only_r50")
def SlowOnlyR50(  # noqa: N802
    input_shape: tuple[int | None, ...] = (None, 224, 224, 3),
    temporal_stride: int = 1,
    width: int = 64,
    remat: bool = False,
    name: str = "slow_only_r50",
) -> keras.Model:
    """Build the 50-layer Slow pathway as a Functional model from clips to frame features.

    A stem (1 x 7 x 7 convolution, 1 x 3 x 3 maximum, each with spatial stride 2) and stages 2 to 5
    with 3, 4, 6 and 3 bottlenecks (a k x 1 x 1, a 1 x 3 x 3 and a 1 x 1 x 1 convolution, and a
    shortcut) of 4, 8, 16 and 32 times `width` channels. k is 1 in stages 2 and 3, which see single
    frames, and 3 in stages 4 and 5. Space is halved by the 1 x 3 x 3 convolution that opens stages
    3, 4 and 5, then averaged; time is not averaged, and not strided either unless told to:

        frame_features[b, t] = mean over height and width of stage5(clips)[b, t]

    A feature sees nine frames to each side of its own: as many as there are bottlenecks with k = 3.

    With the default width this is the published network without its classifier: parameters
    (31,634,496 trainable ones) and padding are equal, and `bod_keras.weights.load_torch` reads its weights.
    It was trained on 8 frames, every eighth of a video ("8 x 8").

    Args:
        input_shape: `(time, height, width, 3)` without the batch. Time, height and width may be
            `None` (any); height and width are at least 32.
        temporal_stride: input frames per output frame: 1 (the published network), 2, 4 or 8. Beyond 1 the
            first convolution of stage 5, of stages 4 and 5, or of stages 3, 4 and 5 strides.
        width: channels of the stem; the features have `32 * width`.
        remat, name: as in `R3D18`.

    Returns:
        A `keras.Model` from `(batch, time, height, width, 3)`, RGB in [0, 1] (standardized inside
        with SlowFast's mean 0.45 and deviation 0.225), to frame features
        `(batch, ceil(time / temporal_stride), 32 * width)` in float32.

    Example:
        >>> from bod_keras.encoders import SlowOnlyR50
        >>> import numpy as np
        >>> encoder = SlowOnlyR50(input_shape=(None, 32, 32, 3), width=2)
        >>> encoder(np.zeros((2, 5, 32, 32, 3), "float32")).shape == (2, 5, 64)
        True

    Reference:
        Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019
        (arXiv:1812.03982), table 1; the encoder of Feichtenhofer et al., "A Large-Scale Study on
        Unsupervised Spatiotemporal Representation Learning", CVPR 2021 (arXiv:2104.14558).
    """
    input_shape = checked_shape(input_shape, smallest=_SMALLEST_FRAME, published=224)
    time_strides = (1, *checked_strides(temporal_stride, published=1))
    check_width(width)
    clips = keras.Input(input_shape, name="clips")
    x = standardize(clips, (_RGB_MEAN,) * 3, (_RGB_STD,) * 3)
    x = conv_norm(x, width, kernel=(1, 7, 7), strides=(1, 2, 2), name="stem")
    x = keras.layers.ReLU(name="stem_relu")(x)
    x = max_pool(x, (1, 3, 3), (1, 2, 2), name="stem_pool")
    for stage, (blocks, frames, space) in enumerate(_STAGES, start=2):
        inner = width * 2 ** (stage - 2)
        time = time_strides[stage - 2]
        for block in range(1, blocks + 1):
            strides = (time, space, space) if block == 1 else (1, 1, 1)
            x = _bottleneck(x, inner, frames, strides, name=f"stage{stage}_block{block}")
    return encoder_model(clips, space_mean(x), name, remat)


def _bottleneck(x, inner: int, frames: int, strides: tuple[int, int, int], name: str):
    """Into `inner` channels, across space, out to four times as many, around a shortcut."""
    time, *space = strides
    shortcut = x
    if strides != (1, 1, 1) or x.shape[-1] != 4 * inner:
        shortcut = conv_norm(x, 4 * inner, (1, 1, 1), strides, name=f"{name}_shortcut")
    x = conv_norm(x, inner, (frames, 1, 1), (time, 1, 1), name=f"{name}_1")
    x = keras.layers.ReLU(name=f"{name}_1_relu")(x)
    x = conv_norm(x, inner, (1, 3, 3), (1, *space), name=f"{name}_2")
    x = keras.layers.ReLU(name=f"{name}_2_relu")(x)
    x = conv_norm(x, 4 * inner, (1, 1, 1), (1, 1, 1), name=f"{name}_3")
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu")(x)
