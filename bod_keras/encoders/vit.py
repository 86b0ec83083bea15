"""Vision Transformer for video: tubelets of pixels as tokens that attend to each other in space and time."""

import keras

from bod_keras.encoders._blocks import (
    ENCODERS,
    check_width,
    checked_shape,
    encoder_model,
    space_mean,
    standardize,
)
from bod_keras.encoders.self_attention import SelfAttention
from bod_keras.encoders.token_positions import SinusoidalPositions
from bod_keras.errors import UserError

# Of ImageNet's pictures in [0, 1], red, green, blue: what VideoMAE's weights expect.
_RGB_MEAN = (0.485, 0.456, 0.406)
_RGB_STD = (0.229, 0.224, 0.225)


@ENCODERS.register("video_vit")
def VideoViT(  # noqa: N802
    input_shape: tuple[int | None, ...] = (None, 224, 224, 3),
    temporal_stride: int = 1,
    tubelet: int = 2,
    patch: int = 16,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    remat: bool = False,
    name: str = "video_vit",
) -> keras.Model:
    """Build ViT-B/16 for video as a Functional model from clips to frame features.

    A tubelet, `tubelet` frames of `patch` x `patch` pixels, becomes a token by one linear map; its position
    is added; `depth` blocks of attention among all tokens of the clip and of a network with one hidden
    layer follow, each around a shortcut and after a layer normalization. Tokens are averaged over space,
    time is kept:

        frame_features[b, t] = norm(mean over height and width of block12(...block1(tokens + positions))[b, t])

    With `temporal_stride=2`, its `tubelet`, this is VideoMAE's network without its classifier (86,227,200
    parameters). That reads norm(mean over space and time), which is not the mean over time of these features:
    the two differ by 11 to 16 %. With `temporal_stride=1` tubelets overlap: each frame opens one, the last
    frame is repeated, and a token between two of VideoMAE's has the mean of their positions. The weights are
    the same; there are twice as many tokens, and attention costs four times as much.

    Args:
        input_shape: `(time, height, width, 3)` without the batch. Time, height and width may be
            `None` (any); height and width are at least `patch`, and what is left after the last whole
            patch is not seen.
        temporal_stride: input frames per output frame, at most `tubelet`.
        tubelet: frames of a token.
        patch: pixels of a token in height and in width.
        width: channels of a token, and of the features; even.
        depth: number of blocks.
        heads: attention heads; they divide `width`.
        remat, name: as in `R3D18`.

    Returns:
        A `keras.Model` from `(batch, time, height, width, 3)`, RGB in [0, 1] (standardized inside
        with the mean and the deviation of ImageNet), to frame features
        `(batch, floor(time / temporal_stride), width)` float32.

    Raises:
        ValueError: if an argument is not as described.

    Example:
        >>> from bod_keras.encoders import VideoViT
        >>> import numpy as np
        >>> encoder = VideoViT(input_shape=(None, 32, 32, 3), width=8, depth=2, heads=2)
        >>> encoder(np.zeros((2, 5, 32, 32, 3), "float32")).shape == (2, 5, 8)
        True

    Reference:
        Tong et al., "VideoMAE", NeurIPS 2022 (arXiv:2203.12602), ViT-B.
    """
    check_width(width)
    for argument, value in (("tubelet", tubelet), ("patch", patch), ("depth", depth)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"{argument} must be a positive integer. Received: {value!r}.")
    if isinstance(temporal_stride, bool) or temporal_stride not in range(1, tubelet + 1):
        raise UserError(
            f"temporal_stride must be 1 to {tubelet}, the frames of a tubelet. Received: "
            f"{temporal_stride!r}. Use 1 to keep every frame, {tubelet} for tubelets that do not overlap."
        )
    if width % 2:
        raise UserError(f"width must be even, a sine and a cosine each. Received: {width}.")
    input_shape = checked_shape(input_shape, smallest=patch, published=224)
    clips = keras.Input(input_shape, name="clips")
    x = standardize(clips, _RGB_MEAN, _RGB_STD)
    if temporal_stride < tubelet:
        x = keras.ops.concatenate([x] + [x[:, -1:]] * (tubelet - temporal_stride), axis=1)
    x = keras.layers.Conv3D(
        width,
        (tubelet, patch, patch),
        strides=(temporal_stride, patch, patch),
        data_format="channels_last",
        # PyTorch's own, which VideoMAE keeps: the variance of a uniform draw within 1 / sqrt(inputs).
        kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
        name="tubelets",
    )(x)
    x = SinusoidalPositions(temporal_stride / tubelet, name="positions")(x)
    for block in range(1, depth + 1):
        x = _block(x, width, heads, name=f"block{block}")
    # In float32 under every policy, as what it gives.
    x = keras.layers.LayerNormalization(epsilon=1e-6, dtype="float32", name="norm")(space_mean(x))
    return encoder_model(clips, x, name, remat)


def _block(x, width: int, heads: int, name: str):
    """Attention and a network with four times as many hidden units, each around a shortcut."""
    y = keras.layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm1")(x)
    y = SelfAttention(heads, name=f"{name}_attention")(y)
    y = keras.layers.Dense(width, name=f"{name}_projection")(y)
    x = keras.layers.Add(name=f"{name}_add1")([x, y])
    y = keras.layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm2")(x)
    y = keras.layers.Dense(4 * width, activation="gelu", name=f"{name}_hidden")(y)
    y = keras.layers.Dense(width, name=f"{name}_output")(y)
    return keras.layers.Add(name=f"{name}_add2")([x, y])
