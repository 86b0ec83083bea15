"""MC3-18, the 18-layer residual network that looks across time in its first stage only."""

import keras

from bod_keras.encoders._blocks import ENCODERS
from bod_keras.encoders._resnet18 import build_resnet18, frame_conv, full_conv, full_stem


@ENCODERS.register("mc3_18")
def MC3_18(  # noqa: N802
    input_shape: tuple[int | None, ...] = (None, 112, 112, 3),
    temporal_stride: int = 1,
    width: int = 64,
    remat: bool = False,
    name: str = "mc3_18",
) -> keras.Model:
    """Build MC3-18 as a Functional model from clips to frame features.

    `R3D18` with 1 x 3 x 3 instead of 3 x 3 x 3 convolutions in stages 2, 3 and 4: "mixed
    convolutions", 3-D in the stem and in stage 1. A third of the parameters of R3D-18, and a feature sees
    five frames to each side of its own.

        frame_features[b, t] = mean over height and width of stage4(clips)[b, t]

    With the default stride and width this is the published network without its classifier, which keeps
    every frame: parameters (11,490,240 trainable ones) and padding are equal, and
    `bod_keras.weights.load_torch` reads its weights.

    Args:
        input_shape, temporal_stride, width, remat, name: as in `R3D18`.

    Returns:
        A `keras.Model` from `(batch, time, height, width, 3)`, RGB in [0, 1] (standardized inside
        with the mean and the deviation of Kinetics), to frame features
        `(batch, ceil(time / temporal_stride), 8 * width)` float32.

    Example:
        >>> from bod_keras.encoders import MC3_18
        >>> import numpy as np
        >>> encoder = MC3_18(input_shape=(None, 32, 32, 3), width=4)
        >>> encoder(np.zeros((2, 5, 32, 32, 3), "float32")).shape == (2, 5, 32)
        True

    Reference:
        Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR
        2018 (arXiv:1711.11248), network MC3 in the form of torchvision's `mc3_18`.
    """
    convs = [full_conv, frame_conv, frame_conv, frame_conv]
    return build_resnet18(full_stem, convs, 1, input_shape, temporal_stride, width, remat, name)
