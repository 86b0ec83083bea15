"""S3D and S3D-G, the Inception network of convolutions across space, then across time."""

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
    space_time_conv_norm,
    standardize,
)
from bod_keras.errors import UserError

# Of Kinetics-400 frames in [0, 1], red, green, blue: what torchvision's weights expect.
_RGB_MEAN = (0.43216, 0.394666, 0.37645)
_RGB_STD = (0.22803, 0.22145, 0.216989)

# Channels of each block's branches: 1 x 1 x 1; twice 1 x 1 x 1 and what follows; after the maximum.
_STAGES = {
    3: {"b": (64, 96, 128, 16, 32, 32), "c": (128, 128, 192, 32, 96, 64)},
    4: {
        "b": (192, 96, 208, 16, 48, 64),
        "c": (160, 112, 224, 24, 64, 64),
        "d": (128, 128, 256, 24, 64, 64),
        "e": (112, 144, 288, 32, 64, 64),
        "f": (256, 160, 320, 32, 128, 128),
    },
    5: {"b": (256, 160, 320, 32, 128, 128), "c": (384, 192, 384, 48, 128, 128)},
}

_SMALLEST_FRAME = 32  # five halvings
# Frames that leave one after the strides; the last maximum drops a frame without a partner.
_FEWEST_FRAMES = {1: 1, 2: 2, 4: 3, 8: 5}


@ENCODERS.register("s3d")
def S3D(  # noqa: N802
    input_shape: tuple[int | None, ...] = (None, 224, 224, 3),
    temporal_stride: int = 1,
    gating: bool = False,
    width: int = 64,
    rgb_mean: tuple[float, float, float] = _RGB_MEAN,
    rgb_std: tuple[float, float, float] = _RGB_STD,
    momentum: float = 0.999,
    epsilon: float = 1e-3,
    remat: bool = False,
    name: str = "s3d",
) -> keras.Model:
    """Build S3D, or S3D-G, as a Functional model from clips to frame features.

    Inception-v1 with each k x k convolution replaced by a 1 x k x k and a k x 1 x 1 convolution, each
    with batch normalization and ReLU: a stem with k = 7, a 1 x 1 x 1 convolution and one pair with k = 3,
    then nine blocks of four branches. Maxima over 3 x 3 pixels in between, one of them over 3 frames, and one
    over 2 x 2 pixels halve space; space is then averaged:

        frame_features[b, t] = mean over height and width of mixed5c(clips)[b, t]

    With `gating` (S3D-G) every pair's output y is scaled channel by channel,

        y[b, t, h, w] * sigmoid(W mean over time, height and width of y[b] + c),

    so a frame's feature depends on the whole clip.

    With `temporal_stride=8` and the default width this is torchvision's network without its
    classifier: 7,910,048 trainable parameters; with `gating` it is RSPNet's S3D-G: 8,675,744.
    `bod_keras.weights.load_torch` reads the weights of both, and CoCLR's S3D. Peers differ in more
    than names: CoCLR trains with `momentum=0.9, epsilon=1e-5`, and CoCLR and RSPNet with ImageNet's
    `rgb_mean=(0.485, 0.456, 0.406), rgb_std=(0.229, 0.224, 0.225)`.

    Args:
        input_shape: `(time, height, width, 3)` without the batch. Time, height and width may be `None` (any);
            height and width are at least 32, time at least 1, 2, 3 or 5 for the four strides.
        temporal_stride: input frames per output frame: 1 (every frame is kept), 2, 4 or 8. With 2 only
            the last maximum is over pairs of frames, with 4 the 3-frame maximum strides, too, with 8
            also the stem (S3D by its convolution across time, S3D-G by the one across space, as published).
        gating: whether the network is S3D-G.
        width: channels of the stem; the features have `16 * width`.
        rgb_mean: mean of red, green and blue that is taken out of clips in [0, 1].
        rgb_std: deviation by which they are divided.
        momentum: of the moving statistics of batch normalization.
        epsilon: what batch normalization adds to a variance.
        remat, name: as in `R3D18`.

    Returns:
        A `keras.Model` from `(batch, time, height, width, 3)`, RGB in [0, 1] (standardized inside), to
        frame features `(batch, T, 16 * width)` float32, where T is time for a stride of 1, else
        `floor(ceil(time / (temporal_stride / 2)) / 2)`.

    Example:
        >>> from bod_keras.encoders import S3D
        >>> import numpy as np
        >>> encoder = S3D(input_shape=(None, 32, 32, 3), width=4, gating=True)
        >>> encoder(np.zeros((2, 5, 32, 32, 3), "float32")).shape == (2, 5, 64)
        True

    Reference:
        Xie et al., "Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video
        Classification", ECCV 2018 (arXiv:1712.04851), in the forms of torchvision's `s3d` and of Chen et
        al., "RSPNet", AAAI 2021 (arXiv:2011.07949).
    """
    first, second, third = checked_strides(temporal_stride, published=8)
    input_shape = checked_shape(
        input_shape,
        smallest=_SMALLEST_FRAME,
        published=224,
        frames=_FEWEST_FRAMES[temporal_stride],
    )
    if not isinstance(gating, bool):
        raise UserError(
            f"gating must be True (S3D-G) or False (S3D). Received: {gating!r}. A gate follows every pair of "
            "convolutions, or none."
        )
    check_width(width)
    parts = _Parts(gating, {"momentum": momentum, "epsilon": epsilon})

    def scaled(channels):
        return max(1, channels * width // 64)

    clips = keras.Input(input_shape, name="clips")
    x = standardize(clips, rgb_mean, rgb_std)
    x = parts.pair(x, width, (7, 7), (first, 2, 2), "conv1")
    x = max_pool(x, (1, 3, 3), (1, 2, 2), "pool2")
    x = parts.pointwise(x, width, "conv2b")
    x = parts.pair(x, scaled(192), (3, 3), (1, 1, 1), "conv2c")
    x = max_pool(x, (1, 3, 3), (1, 2, 2), "pool3")
    for stage, blocks in _STAGES.items():
        if stage == 4:
            x = max_pool(x, (3, 3, 3), (second, 2, 2), "pool4")
        elif stage == 5:
            x = max_pool(x, (third, 2, 2), (third, 2, 2), "pool5", padded=False)
        for letter, channels in blocks.items():
            x = parts.inception(x, [scaled(c) for c in channels], f"mixed{stage}{letter}")
    return encoder_model(clips, space_mean(x), name, remat)


class _Parts:
    """The parts of the network, which share their kind of normalization and gates."""

    def __init__(self, gating, norm):
        self.gating = gating
        self.norm = norm

    def pointwise(self, x, filters, name):
        x = conv_norm(x, filters, (1, 1, 1), (1, 1, 1), name, **self.norm)
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    def pair(self, x, filters, sizes, strides, name):
        # RSPNet's S3D-G strides in time where it does in space, torchvision's S3D where it looks across time.
        x = space_time_conv_norm(
            x, filters, filters, sizes, strides, name, skip_early=self.gating, **self.norm
        )
        x = keras.layers.ReLU(name=f"{name}_relu")(x)
        if not self.gating:
            return x
        # In float32 under every policy: a sum over a clip is large.
        mean = keras.layers.GlobalAveragePooling3D(
            data_format="channels_last", keepdims=True, dtype="float32", name=f"{name}_mean"
        )(x)
        gate = keras.layers.Dense(filters, activation="sigmoid", name=f"{name}_gate")(mean)
        return keras.layers.Multiply(name=f"{name}_gated")([x, gate])

    def inception(self, x, channels, name):
        c0, reduce1, c1, reduce2, c2, c3 = channels
        branches = [self.pointwise(x, c0, f"{name}_branch0")]
        for branch, reduced, filters in ((1, reduce1, c1), (2, reduce2, c2)):
            label = f"{name}_branch{branch}"
            y = self.pointwise(x, reduced, f"{label}_reduce")
            branches.append(self.pair(y, filters, (3, 3), (1, 1, 1), label))
        y = max_pool(x, (3, 3, 3), (1, 1, 1), f"{name}_branch3_pool")
        branches.append(self.pointwise(y, c3, f"{name}_branch3"))
        return keras.layers.Concatenate(axis=-1, name=name)(branches)


@ENCODERS.register("s3dg")
def _s3dg(**arguments) -> keras.Model:
    return S3D(gating=True, name="s3dg", **arguments)
