"""The weights of a run's encoder for a new one of the same architecture."""

from __future__ import annotations

import os

import keras

from bod_keras.errors import UserError
from bod_keras.weights.load_encoder import load_encoder


def take_encoder(encoder: keras.Model, path: str | os.PathLike) -> int:
    """Give an encoder the weights that a run has left, all of them.

    Args:
        encoder: a built model; its weights are replaced.
        path: what `load_encoder` takes: a finished run's folder, or a `.keras` file.

    Returns:
        The number of weights.

    Raises:
        UserError: the two encoders do not have the same weights; the first that differs is named.

    Example:
        >>> import pathlib, tempfile
        >>> import bod_keras
        >>> from bod_keras.weights.take_encoder import take_encoder
        >>> file = pathlib.Path(tempfile.mkdtemp(), "encoder.keras")
        >>> bod_keras.encoders.FrameCNN(input_shape=(8, 32, 32, 3), widths=(4, 8)).save(file)
        >>> take_encoder(bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8)), file)
        10
    """
    saved = load_encoder(path)
    shapes = [tuple(weight.shape) for weight in saved.weights]
    for weight, shape in zip(encoder.weights, shapes):
        if tuple(weight.shape) != shape:
            raise UserError(
                f"{path} holds another encoder: {weight.path} has shape {shape} there, "
                f"{tuple(weight.shape)} here. Choose the encoder, its arguments and clips as in that run."
            )
    if len(shapes) != len(encoder.weights):
        raise UserError(
            f"{path} holds another encoder: {len(shapes)} weights there, {len(encoder.weights)} here. "
            "Choose the encoder and its arguments as in that run."
        )
    encoder.set_weights(saved.get_weights())
    return len(shapes)
