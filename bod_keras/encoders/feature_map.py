"""The last feature map of an encoder, before it averages over space."""

import keras

from bod_keras.encoders.clip_model import ClipModel
from bod_keras.encoders.frame_cnn import UnfoldTime
from bod_keras.encoders.remat_model import RematModel
from bod_keras.errors import UserError


def feature_map(encoder: keras.Model) -> keras.Model:
    """Make the model that ends at an encoder's last feature map.

    With the frame features y[b, t] = n(mean over height and width of m[b, t]), where n is the identity or a
    layer normalization, the new model gives n(m[b, t, h, w]). It shares all weights with the encoder.

    Args:
        encoder: a Functional model from clips (B, T, H, W, 3) to frame features (B, T', C), as all of
            `bod_keras.encoders`, in which one operation takes a map to vectors.

    Returns:
        A `keras.Model` from the same clips to (B, T', H', W', C).

    Raises:
        ValueError: if the encoder is no Functional model of one input and one output, or has no such map.

    Example:
        >>> from bod_keras.encoders import feature_map
        >>> from bod_keras.encoders import FrameCNN
        >>> feature_map(FrameCNN((8, 32, 32, 3), widths=(16, 32))).output_shape
        (None, 8, 8, 8, 32)
    """
    inputs, outputs = (getattr(encoder, name, None) or [] for name in ("inputs", "outputs"))
    if not isinstance(encoder, keras.Model) or len(inputs) != 1 or len(outputs) != 1:
        raise UserError(
            "encoder must be a Functional model of one input and one output. Received: "
            f"{encoder!r}. Build it with keras.Model(inputs, outputs), as bod_keras.encoders does."
        )
    clips, x = inputs[0], outputs[0]
    unfold, after = False, []
    while True:
        operation = x._keras_history.operation
        sources = keras.tree.flatten(operation.input) if x is not clips else []
        if isinstance(operation, UnfoldTime):
            unfold, sources = True, sources[:1]
        rank = 4 if unfold else 5  # frames are folded into the batch before they are unfolded
        if len(sources) != 1 or sources[0] is clips:
            raise _no_map(encoder)
        if len(sources[0].shape) == rank and len(x.shape) < rank:
            break
        if isinstance(operation, keras.layers.LayerNormalization):
            after.append(operation)
        x = sources[0]
    maps = sources[0]
    if unfold:
        maps = UnfoldTime(name="unfold_maps")(maps, clips)
    for norm in reversed(after):
        maps = norm(maps)
    kind = type(encoder) if isinstance(encoder, (ClipModel, RematModel)) else keras.Model
    model = kind(clips, maps, name=f"{encoder.name}_map")
    if not model.weights:  # the clips themselves, before a network that gives vectors
        raise _no_map(encoder)
    return model


def _no_map(encoder) -> UserError:
    return UserError(
        f"{encoder.name} has no feature map (B, T, H, W, C): nothing between its clips and its output, "
        f"{encoder.outputs[0].shape}, averages one over space. Detection needs an encoder that does, such as "
        "those of bod_keras.encoders."
    )
