"""A small 2-D network applied to every frame: the demo's encoder."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers, ops

from bod_keras.encoders._blocks import ENCODERS, encoder_model, region_means
from bod_keras.errors import UserError


@keras.saving.register_keras_serializable("bod_keras")
class FoldTime(layers.Layer):
    """Fold time into the batch, (B, T, H, W, C) -> (B T, H, W, C), so that 2-D layers see single frames."""

    def call(self, clips):
        # A size that is not known yet is None in `shape`, which a graph of TensorFlow cannot reshape to.
        sizes = zip(clips.shape[2:], ops.shape(clips)[2:])
        return ops.reshape(clips, (-1, *(now if size is None else size for size, now in sizes)))

    def compute_output_shape(self, input_shape):
        return (None, *input_shape[2:])


@keras.saving.register_keras_serializable("bod_keras")
class UnfoldTime(layers.Layer):
    """Undo `FoldTime`: (B T, ..., C) and the clips (B, T, ...) they came from -> (B, T, ..., C)."""

    def call(self, features, clips):
        time = clips.shape[1] if clips.shape[1] is not None else ops.shape(clips)[1]
        sizes = zip(features.shape[1:], ops.shape(features)[1:])
        return ops.reshape(features, (-1, time, *(now if n is None else n for n, now in sizes)))

    def compute_output_shape(self, features_shape, clips_shape):
        return (*clips_shape[:2], *features_shape[1:])


@ENCODERS.register("frame_cnn")
def FrameCNN(  # noqa: N802
    input_shape: tuple[int | None, ...] = (8, 32, 32, 3),
    widths: Sequence[int] = (16, 32, 64, 128),
    remat: bool = False,
    name: str = "frame_cnn",
    regions: int = 1,
) -> keras.Model:
    """A per-frame CNN: strided convolutions, batch normalization and ReLU, then means over space.

    It has no temporal receptive field: what changes in time changes in its features, which is what the
    Koopman split needs.

    Args:
        input_shape: (T, H, W, 3); T, H and W may be None.
        widths: channels of the stages; each halves height and width. The first has 5 x 5 kernels, the
            others 3 x 3.
        remat: whether training keeps few activations and computes the others again
            (`RematModel`): less memory, more time, the same results.
        name: of the model.
        regions: r: space is divided into r x r regions, and each has a mean of its own. One mean forgets where
            in a frame something is. More than 1 needs a known height and width, of maps that r divides.

    Returns:
        A Functional `keras.Model`: clips (B, T, H, W, 3), RGB in [0, 1], to frame features
        (B, T, regions^2 widths[-1]), float32.

    Raises:
        ValueError: an input shape that is not (T, H, W, 3), no stage, regions that do not fit the last maps, or
            a `remat` that is no bool.

    Example:
        >>> import bod_keras
        >>> bod_keras.encoders.FrameCNN(input_shape=(8, 32, 32, 3)).output_shape
        (None, 8, 128)
    """
    if len(input_shape) != 4 or input_shape[-1] != 3:
        raise UserError(f"input_shape must be (time, height, width, 3). Received: {input_shape}")
    if not widths:
        raise UserError("widths must name the channels of at least one stage. Received: ()")
    clips = keras.Input(input_shape, name="clips")
    x = FoldTime(name="fold_time")(clips)
    x = layers.Rescaling(4.0, offset=-1.0, name="standardize")(x)
    for i, width in enumerate(widths, start=1):
        x = layers.Conv2D(
            width, 5 if i == 1 else 3, 2, padding="same", use_bias=False, name=f"stage{i}_conv"
        )(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"stage{i}_norm")(x)
        x = layers.Activation("relu", name=f"stage{i}_relu")(x)
    x = region_means(x, regions)
    features = UnfoldTime(name="unfold_time", dtype="float32")(x, clips)
    return encoder_model(clips, features, name, remat)
