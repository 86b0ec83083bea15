"""`Features`: the encoder of what is features already."""

from __future__ import annotations

import keras

from bod_keras.encoders._blocks import ENCODERS
from bod_keras.errors import UserError


@ENCODERS.register("features")
def Features(input_shape: tuple[int | None, int], name: str = "features") -> keras.Model:  # noqa: N802
    """Pass frame features on as they are, in float32: the encoder of data that another network has encoded.

        frame_features = inputs

    Args:
        input_shape: (T, C), time steps and channels; T may be None.
        name: of the model.

    Returns:
        A Functional `keras.Model`: (B, T, C) to (B, T, C) float32, without weights.

    Raises:
        UserError: another input shape.

    Example:
        >>> import bod_keras
        >>> encoder = bod_keras.encoders.Features((8, 768))
        >>> settings = bod_keras.Decoupling(motion_view=None, static_mix=0.0)
        >>> bod_keras.VSimCLR(encoder, settings).encoder.output_shape
        (None, 8, 768)
    """
    if len(input_shape) != 2 or input_shape[1] is None:
        raise UserError(
            f"input_shape must be (time, channels). Received: {input_shape}. In a config set "
            "config.data.channels to the number of channels."
        )
    features = keras.Input(input_shape, name="frame_features")
    passed = keras.layers.Activation("linear", dtype="float32", name="pass")(features)
    return keras.Model(features, passed, name=name)
