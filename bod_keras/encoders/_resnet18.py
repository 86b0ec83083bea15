"""The 18-layer video ResNets: what R3D, MC3 and R(2+1)D share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from bod_keras.encoders._blocks import (
    check_width,
    checked_shape,
    checked_strides,
    conv_norm,
    encoder_model,
    space_mean,
    standardize,
)

# Of Kinetics-400 frames in [0, 1], red, green, blue: what the published weights expect.
_RGB_MEAN = (0.43216, 0.394666, 0.37645)
_RGB_STD = (0.22803, 0.22145, 0.216989)

_SMALLEST_FRAME = 16  # four halvings: below this the last stage would see nothing but padding


def build_resnet18(
    stem: Callable,
    convs: list[Callable],
    published_stride: int,
    input_shape: Sequence[int | None],
    temporal_stride: int,
    width: int,
    remat: bool,
    name: str,
) -> keras.Model:
    """A stem and four stages of two basic blocks, then the mean over space.

    Args:
        stem: `(x, width) -> x`, the normalized first convolution.
        convs: for each stage `(x, filters, strides, name, inputs) -> x`, the normalized convolution of its
            blocks, where `inputs` is the number of channels that enter the block.
        published_stride: the temporal stride of the published network.
        input_shape, temporal_stride, width, remat, name: arguments of the encoder, as its caller passed them.

    Returns:
        A `keras.Model`.

    Raises:
        ValueError: if an argument of the encoder is not as its docstring says.
    """
    input_shape = checked_shape(input_shape, smallest=_SMALLEST_FRAME, published=112)
    time_strides = checked_strides(temporal_stride, published_stride)
    check_width(width)
    clips = keras.Input(input_shape, name="clips")
    x = stem(standardize(clips, _RGB_MEAN, _RGB_STD), width)
    x = keras.layers.ReLU(name="stem_relu")(x)
    strides = [(1, 1, 1)] + [(time, 2, 2) for time in time_strides]
    for stage, (conv, stage_strides) in enumerate(zip(convs, strides), start=1):
        filters = width * 2 ** (stage - 1)
        x = _basic_block(x, filters, stage_strides, conv, name=f"stage{stage}_block1")
        x = _basic_block(x, filters, (1, 1, 1), conv, name=f"stage{stage}_block2")
    return encoder_model(clips, space_mean(x), name, remat)


def full_stem(x: Any, width: int) -> Any:
    """The 3 x 7 x 7 convolution that opens R3D and MC3."""
    return conv_norm(x, width, kernel=(3, 7, 7), strides=(1, 2, 2), name="stem")


def full_conv(x: Any, filters: int, strides: tuple[int, int, int], name: str, inputs: int) -> Any:
    """A 3 x 3 x 3 convolution: across time and space."""
    return conv_norm(x, filters, (3, 3, 3), strides, name)


def frame_conv(x: Any, filters: int, strides: tuple[int, int, int], name: str, inputs: int) -> Any:
    """A 1 x 3 x 3 convolution: within each frame."""
    return conv_norm(x, filters, (1, 3, 3), strides, name)


def _basic_block(x, filters, strides, conv, name):
    """Two convolutions around a shortcut, projected where the shape changes."""
    shortcut, inputs = x, x.shape[-1]
    if strides != (1, 1, 1) or inputs != filters:
        shortcut = conv_norm(x, filters, (1, 1, 1), strides, name=f"{name}_shortcut")
    x = conv(x, filters, strides, f"{name}_1", inputs)
    x = keras.layers.ReLU(name=f"{name}_1_relu")(x)
    x = conv(x, filters, (1, 1, 1), f"{name}_2", inputs)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu")(x)
