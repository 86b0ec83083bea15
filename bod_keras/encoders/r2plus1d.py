"""R(2+1)D-18, the 18-layer residual network of convolutions across space, then across time."""

import keras

from bod_keras.encoders._blocks import ENCODERS, space_time_conv_norm
from bod_keras.encoders._resnet18 import build_resnet18


@ENCODERS.register("r2plus1d18")
def R2Plus1D18(  # noqa: N802
    input_shape: tuple[int | None, ...] = (None, 112, 112, 3),
    temporal_stride: int = 1,
    width: int = 64,
    remat: bool = False,
    name: str = "r2plus1d18",
) -> keras.Model:
    """Build R(2+1)D-18 as a Functional model from clips to frame features.

    `R3D18` with each 3 x 3 x 3 convolution replaced by a 1 x 3 x 3 convolution into M channels, batch
    normalization, ReLU and a 3 x 1 x 1 convolution. In a block that leads from I to O channels

        M = floor(27 I O / (9 I + 3 O)),

    with which the pair has about as many parameters as the convolution that it replaces. The stem's M
    is 45 of 64 channels.

        frame_features[b, t] = mean over height and width of stage4(clips)[b, t]

    With `temporal_stride=8` and the default width this is the published network without its
    classifier: parameters (31,300,125 trainable ones) and padding are equal, and
    `bod_keras.weights.load_torch` reads its weights.

    Args:
        input_shape, temporal_stride, width, remat, name: as in `R3D18`.

    Returns:
        A `keras.Model` from `(batch, time, height, width, 3)`, RGB in [0, 1] (standardized inside
        with the mean and the deviation of Kinetics), to frame features
        `(batch, ceil(time / temporal_stride), 8 * width)` float32.

    Example:
        >>> from bod_keras.encoders import R2Plus1D18
        >>> import numpy as np
        >>> encoder = R2Plus1D18(input_shape=(None, 32, 32, 3), width=4)
        >>> encoder(np.zeros((2, 5, 32, 32, 3), "float32")).shape == (2, 5, 32)
        True

    Reference:
        Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR
        2018 (arXiv:1711.11248), network R(2+1)D in the form of torchvision's `r2plus1d_18`.
    """
    return build_resnet18(_stem, [_conv] * 4, 8, input_shape, temporal_stride, width, remat, name)


def _stem(x, width):
    return space_time_conv_norm(x, max(1, 45 * width // 64), width, (3, 7), (1, 2, 2), "stem")


def _conv(x, filters, strides, name, inputs):
    middle = (27 * inputs * filters) // (9 * inputs + 3 * filters)
    return space_time_conv_norm(x, middle, filters, (3, 3), strides, name)
