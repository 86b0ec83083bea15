"""The weights of a saved model for a new one, as far as they fit."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras

from bod_keras.errors import UserError
from bod_keras.storage.regular_file import regular_file

# No weights of layers: counters of a run, what an optimizer and metrics keep, random states, old negatives.
_LEFT_OUT = ("optimizer", "seed_generator", "_means", "metrics", "key_queue")


def take_weights(model: keras.Model, path: str | os.PathLike) -> dict[str, object]:
    """Give a new model the weights of a saved one, layer by layer, where name and shape agree.

    The counters of the saved model's run, such as the steps taken, its optimizer and its queue are not taken.
    Momentum networks begin as copies of the networks that they follow, as in every new model.

    Args:
        model: a model that is not compiled.
        path: a `.keras` file.

    Returns:
        `{"taken": number of weights, "of": number of the model's weights, "not_taken": {layer: reason}}`.

    Raises:
        UserError: if no weight fits, or the file is no complete `.keras` file.

    Example:
        >>> import pathlib, tempfile
        >>> import keras
        >>> from bod_keras.training.take_weights import take_weights
        >>> def network(outputs):
        ...     layers = keras.layers
        ...     return keras.Sequential([keras.Input((2,)), layers.Dense(3), layers.Dense(outputs)])
        >>> file = pathlib.Path(tempfile.mkdtemp(), "model.keras")
        >>> network(4).save(file)
        >>> report = take_weights(network(5), file)
        >>> report["taken"], report["of"]
        (2, 4)
        >>> report["not_taken"]["layers/dense_1/vars/0"]
        'shape (3, 4) there, (3, 5) here'
    """
    with tempfile.TemporaryDirectory() as folder:
        saved, own = Path(folder, "saved.weights.h5"), Path(folder, "own.weights.h5")
        try:
            with zipfile.ZipFile(regular_file(path)) as archive:
                saved.write_bytes(archive.read("model.weights.h5"))
        except Exception as error:  # of a damaged file, zipfile raises what it happens to meet
            raise UserError(f"{path} is no complete .keras file: {error}") from None
        model.save_weights(own)
        with h5py.File(saved, "r") as there, h5py.File(own, "r+") as here:
            report = _copy(there, here)
        if not report["taken"]:
            names = "\n".join(f"  {name}: {why}" for name, why in report["not_taken"].items())
            raise UserError(f"No weight of {path} fits the new model:\n{names}")
        model.load_weights(own)
    networks = [getattr(model, name, None) for name in ("encoder", "projection_head", "split")]
    for network, copy in zip(networks, getattr(model, "target_networks", [])):
        for weight, average in zip(network.weights, copy.weights):
            average.assign(keras.ops.copy(weight.value))
    return report


def _copy(there: h5py.File, here: h5py.File) -> dict[str, object]:
    old, new = _weights(there), _weights(here)
    missing = {}
    for name, value in new.items():
        if name not in old:
            missing[name] = "not there"
        elif old[name].shape != value.shape:
            missing[name] = f"shape {old[name].shape} there, {value.shape} here"
        else:
            value[...] = old[name][...]
    return {"taken": len(new) - len(missing), "of": len(new), "not_taken": missing}


def _weights(file: h5py.File) -> dict[str, h5py.Dataset]:
    found = {}

    def visit(name: str, thing: object) -> None:
        parts = name.split("/")
        left_out = parts[0] == "vars" or any(part.startswith(_LEFT_OUT) for part in parts)
        if isinstance(thing, h5py.Dataset) and not left_out:
            found[name] = thing

    file.visititems(visit)
    return found
