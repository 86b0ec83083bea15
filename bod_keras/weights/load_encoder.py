"""The model of a finished run or of a file, whole or its encoder alone."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import keras

from bod_keras.errors import UserError
from bod_keras.frameworks import ContrastiveModel
from bod_keras.storage import remote
from bod_keras.storage.hub import hub_path, is_hub
from bod_keras.training import RunFolder, load_model

_FILE = "encoder.keras"


def load_encoder(path: str | os.PathLike) -> keras.Model:
    """Return the encoder of a run of `train.py`, or of a `.keras` file, without head, split and optimizer.

    Args:
        path: a finished run's folder, or a `.keras` file that holds an encoder or a framework (a run's
            `model.keras` or one of its checkpoints). Either may be on remote storage or the hub (`load`).

    Returns:
        A `keras.Model` from clips (B, T, H, W, 3), RGB in [0, 1], to frame features (B, T', C).

    Raises:
        FileNotFoundError: if there is no such folder or file.
        RemoteError: if remote storage does not answer.
        ValueError: if it is no finished run, or a file without an encoder.

    Example:
        >>> import pathlib, tempfile
        >>> import bod_keras
        >>> file = pathlib.Path(tempfile.mkdtemp(), "encoder.keras")
        >>> bod_keras.encoders.FrameCNN(input_shape=(8, 32, 32, 3)).save(file)
        >>> bod_keras.load_encoder(file).output_shape
        (None, 8, 128)
    """
    model, name = _loaded(path, _FILE)
    encoder = model.encoder if isinstance(model, ContrastiveModel) else model
    shape = getattr(encoder, "output_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 3:
        raise UserError(
            f"{name} holds no encoder: it must give frame features (batch, time, channels), or be a "
            f"framework of bod_keras. Received: a {type(model).__name__} with output shape {shape}"
        )
    return encoder


def load(path: str | os.PathLike) -> keras.Model:
    """Return the whole model of a run of `train.py`, or of a `.keras` file.

    Args:
        path: a finished run's folder, or a `.keras` file, such as one of a run's checkpoints. Either may be on
            remote storage, and ``hf://owner/name``, with ``@revision`` if need be, is a model on the hub.

    Returns:
        The model as it was saved; of a run a `ContrastiveModel`, whose method `embed` gives the parts of clips.

    Raises:
        FileNotFoundError: if there is no such folder or file.
        RemoteError: if remote storage does not answer.
        ValueError: if it is no finished run, or no complete `.keras` file.

    Example:
        >>> import pathlib, tempfile
        >>> import bod_keras
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> file = pathlib.Path(tempfile.mkdtemp(), "model.keras")
        >>> bod_keras.VSimCLR(encoder, decoupling=True).save(file)
        >>> sorted(bod_keras.load(file).parts)
        ['dynamic', 'static']
    """
    return _loaded(path, "model.keras")[0]


def _loaded(path, file_of_run):
    """The model of a path, and the name of the file that it was in."""
    name = os.fspath(path)
    if is_hub(name):
        found = hub_path(name, file_of_run)
        return _of_file(found, name) if found.is_file() else _of_run(found, name, file_of_run)
    if remote.is_remote(name):
        if remote.is_folder(name):
            run = RunFolder(name)
            try:
                run.pull(file_of_run)
                return _of_run(run.path, name, file_of_run)
            finally:
                run.close()
        with tempfile.TemporaryDirectory(prefix="bod_keras-") as folder:
            file = Path(folder, Path(name).name)
            remote.download(name, file)
            return _of_file(file, name)
    if os.path.isdir(name):
        return _of_run(Path(name), name, file_of_run)
    if not os.path.isfile(name):
        raise FileNotFoundError(
            f"There is no run or file {name!r}. Give the folder of a finished run, or a .keras file."
        )
    return _of_file(Path(name), name)


def _of_run(folder, name, file):
    if not (folder / file).is_file():
        raise UserError(
            f"{name} is not the folder of a finished run: it holds no {file}. Let train.py finish it "
            "first, or give one of the files in its folder checkpoints."
        )
    return _of_file(folder / file, f"{name}/{file}")


def _of_file(file, name):
    if file.suffix != ".keras":
        raise UserError(
            f"A model is read from a run's folder or a .keras file. Received: {name}. Weights of PyTorch go "
            "into an encoder with bod_keras.weights.load_torch."
        )
    return load_model(file, compile=False), name
