"""R3D-18, the 18-layer residual network of 3-D convolutions, with a choice of temporal stride."""

import keras

from bod_keras.encoders._blocks import ENCODERS
from bod_keras.encoders._resnet18 import build_resnet18, full_conv, full_stem


@ENCODERS.register("r3d18")
def R3D18(  # noqa: N802
    input_shape: tuple[int | None, ...] = (None, 112, 112, 3),
    temporal_stride: int = 1,
    width: int = 64,
    remat: bool = False,
    name: str = "r3d18",
) -> keras.Model:
    """Build R3D-18 as a Functional model from clips to frame features.

    A stem (3 x 7 x 7 convolution, spatial stride 2) and four stages of two basic blocks (two
    3 x 3 x 3 convolutions and a shortcut), with 1, 2, 4 and 8 times `width` channels.
    Space is halved by the stem and by stages 2, 3 and 4, then averaged; time is never averaged:

        frame_features[b, t] = mean over height and width of stage4(clips)[b, t]

    With `temporal_stride=8` and the default width this is the published network without its
    classifier: parameters (33,166,272 trainable ones) and padding are equal, and
    `bod_keras.weights.load_torch` reads its weights.

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
        A `keras.Model` from `(batch, time, height, width, 3)`, RGB in [0, 1] (standardized inside
        with the mean and the deviation of Kinetics), to frame features
        `(batch, ceil(time / temporal_stride), 8 * width)` float32.

    Raises:
        ValueError: if `input_shape`, `temporal_stride`, `width` or `remat` is not as described.

    Example:
        >>> from bod_keras.encoders import R3D18
        >>> import numpy as np
        >>> encoder = R3D18(input_shape=(None, 32, 32, 3), width=4)
        >>> encoder(np.zeros((2, 5, 32, 32, 3), "float32")).shape == (2, 5, 32)
        True

    Reference:
        Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR
        2018 (arXiv:1711.11248), network R3D with 18 layers.
    """
    return build_resnet18(
        full_stem, [full_conv] * 4, 8, input_shape, temporal_stride, width, remat, name
    )
