"""Weights of an encoder into a PyTorch file."""

from __future__ import annotations

import os

import keras
import numpy as np

from bod_keras.errors import UserError
from bod_keras.weights.layouts import LAYOUTS
from bod_keras.weights.state_file import read_state, write_state


def save_torch(encoder: keras.Model, path: str | os.PathLike, layout: str | None = None) -> None:
    """Write the weights of an encoder as a state dict of PyTorch, with the keys of a published network.

    The dict lacks the classifier, which an encoder does not have: in PyTorch replace it before a
    strict `load_state_dict`, as by `network.fc = torch.nn.Identity()`.

    Args:
        encoder: a model of `bod_keras.encoders`.
        path: ends in `.safetensors`, or in `.pth` or `.pt`, which need PyTorch.
        layout: name of the scheme (docs/weights.md); None for the first that names all of its layers.

    Raises:
        ImportError: if PyTorch is needed and not installed.
        OSError: if the file cannot be written.
        ValueError: if no scheme names the encoder's layers, or this one does not, or the path ends otherwise.

    Example:
        >>> import pathlib, tempfile
        >>> from bod_keras.encoders import R3D18
        >>> from bod_keras.weights import read_state, save_torch
        >>> file = pathlib.Path(tempfile.mkdtemp(), "r3d.safetensors")
        >>> save_torch(R3D18(input_shape=(None, 16, 16, 3), width=2), file)
        >>> read_state(file)["layer4.1.conv2.0.weight"].shape
        (16, 16, 3, 3, 3)
    """
    fitting = {scheme.name: scheme.of(encoder) for scheme in LAYOUTS}
    fitting = {name: tensors for name, tensors in fitting.items() if tensors}
    if not fitting or layout not in (None, *fitting):
        if not fitting:
            raise UserError(
                f"No scheme of PyTorch names names the layers of {encoder.name}; docs/weights.md lists the "
                "encoders that have one. Write .keras, .onnx, .pt2 or a SavedModel instead."
            )
        raise UserError(
            f"layout must be a scheme of PyTorch names that names the layers of {encoder.name}: "
            f"{', '.join(fitting)}. Received: {layout!r}"
        )
    state = {}
    for tensor in fitting[layout or next(iter(fitting))]:
        state |= zip(tensor.keys, tensor.arrays())
    for key in [key for key in state if key.endswith(".running_mean")]:
        # A strict load in PyTorch needs its counter of batches, too.
        state[f"{key.removesuffix('running_mean')}num_batches_tracked"] = np.array(0, "int64")
    write_state(path, state)
    again = read_state(path)
    if not all(np.array_equal(again[key], value, equal_nan=True) for key, value in state.items()):
        raise UserError(
            f"{os.fspath(path)} holds other numbers than were written. Is the disk sound?"
        )
