"""Files of PyTorch weights: key to array, without unpickling what is no tensor."""

from __future__ import annotations

import argparse
import contextlib
import os
import pickle
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import ml_dtypes  # noqa: F401, with which NumPy knows bfloat16; Keras brings it
import numpy as np
import safetensors
import safetensors.numpy

from bod_keras.errors import UserError
from bod_keras.storage import remote
from bod_keras.storage.atomic_file import atomic_file

_MOST, _DEEPEST = 10**6, 100  # values of a file, and dicts within each other
_EXPANSION = 4
PICKLED = (".pth", ".pt", ".pyth", ".tar", ".ckpt", ".bin")


def read_state(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read every tensor of a file.

    Dicts in dicts become keys with dots, so that `{"state_dict": {"a": ...}}` gives `state_dict.a`.

    Args:
        path: a `.safetensors` file, or one that `torch.save` wrote, under any name. It may be on
            remote storage. The latter needs PyTorch, and is read with `weights_only=True`: no code in it runs.

    Returns:
        From key to array. Half precision comes as float32.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: if PyTorch is needed and not installed.
        ValueError: if it is no file of weights, or holds other objects than tensors and plain values.

    Example:
        >>> import numpy as np
        >>> from bod_keras.weights import read_state, write_state
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp(), "a.safetensors")
        >>> write_state(file, {"fc.bias": np.ones(2, "float32")})
        >>> read_state(file)
        {'fc.bias': array([1., 1.], dtype=float32)}
    """
    with _local_copy(path) as file:
        if not file.is_file():
            raise FileNotFoundError(
                f"There is no file of weights {os.fspath(path)!r}. Give a .safetensors file or a "
                ".pth file of PyTorch."
            )
        if file.suffix.lower() == ".safetensors":
            return _read_safetensors(file)
        return _read_pickled(file)


def write_state(path: str | os.PathLike, state: Mapping[str, np.ndarray]) -> None:
    """Write arrays as a state dict that PyTorch reads; the file appears whole or not at all.

    Args:
        path: ends in `.safetensors`, or in `.pth`, `.pt`, `.pyth`, `.tar`, `.ckpt` or `.bin`, which
            need PyTorch.
        state: from key to array.

    Raises:
        ImportError: if PyTorch is needed and not installed.
        OSError: if the file cannot be written.
        ValueError: if the path ends otherwise.

    Example:
        >>> from bod_keras.weights import write_state
        >>> write_state("encoder.onnx", {})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        bod_keras.errors.UserError: Weights of PyTorch are written to .safetensors or .pth files. ...
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".safetensors":
        with atomic_file(path) as part:
            arrays = {key: np.asarray(value) for key, value in state.items()}
            safetensors.numpy.save_file(arrays, part, metadata={"format": "pt"})
    elif suffix in PICKLED:
        torch = _torch(path)
        # A copy each: PyTorch would write what an array of Keras shares its memory with.
        tensors = {key: torch.from_numpy(np.array(array)) for key, array in state.items()}
        with atomic_file(path) as part:
            torch.save(tensors, part)
    else:
        raise UserError(
            f"Weights of PyTorch are written to .safetensors or .pth files. Received: {os.fspath(path)}"
        )


@contextlib.contextmanager
def _local_copy(path) -> Iterator[Path]:
    if not remote.is_remote(path):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="bod_keras-") as folder:
        file = Path(folder, Path(path).name)
        remote.download(os.fspath(path), file)
        yield file


def _read_safetensors(file: Path) -> dict[str, np.ndarray]:
    try:
        state = safetensors.numpy.load_file(file)
    except safetensors.SafetensorError as error:
        raise UserError(
            f"{file} is no complete .safetensors file ({error}). Copy it again."
        ) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # of types that NumPy lacks
        raise UserError(
            f"{file} must hold float16, bfloat16, float32, float64 or integer tensors. Received: {error}. Save "
            "it in one of these."
        ) from error
    odd = [key for key, array in state.items() if np.issubdtype(array.dtype, np.complexfloating)]
    if odd:
        raise UserError(
            f"{file} must hold real numbers. Received: {odd[0]} of {state[odd[0]].dtype}"
        )
    return {key: _full_precision(array) for key, array in state.items()}


def _read_pickled(file: Path) -> dict[str, np.ndarray]:
    torch = _torch(file)
    _check_size(file)
    try:
        with torch.serialization.safe_globals(_plain_values()):
            saved = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).partition("WeightsUnpickler error:")[2].strip() or str(error)
        raise UserError(
            f"{file} is no file of weights, or it holds objects whose loading could run code: it is not "
            f"opened ({reason.splitlines()[0]}). Where you trust it, let PyTorch save its state dict alone."
        ) from error
    except Exception as error:  # of a damaged file, PyTorch raises what it happens to meet
        raise UserError(
            f"{file} is no complete file of PyTorch weights ({type(error).__name__}: {error}). Copy it again, "
            "or give a .pth or .safetensors file."
        ) from error
    try:
        return _flat(saved, torch, most=_EXPANSION * file.stat().st_size)
    except (MemoryError, RuntimeError, TypeError) as error:
        raise UserError(
            f"{file} holds a tensor that an encoder cannot take ({error}). Let PyTorch save dense tensors of "
            "real numbers, each under a name of its own."
        ) from error
    except OverflowError as error:
        raise UserError(
            f"{file} must hold tensors in a few levels of dicts, no larger than the file. {error} Let PyTorch "
            "save the state dict alone."
        ) from None


def _check_size(file: Path) -> None:
    """PyTorch does not compress: what unpacks to much more than the file was made to fill the memory."""
    if not zipfile.is_zipfile(file):
        return
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except Exception:  # PyTorch says what is wrong with it
        return
    if unpacked > _EXPANSION * file.stat().st_size:
        raise UserError(
            f"{file} would unpack to {unpacked} bytes, {_EXPANSION} times its size and more, which no file of "
            "PyTorch does: it is not opened. Let PyTorch save the weights again."
        )


def _plain_values():
    """Classes without code of their own that training scripts leave beside the weights: settings and scores."""
    core = getattr(np, "_core", None) or np.core
    scalar = core.multiarray.scalar
    return [
        argparse.Namespace,
        np.dtype,
        type(np.dtype("float64")),
        type(np.dtype("float32")),
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
    ]


def _flat(saved, torch, most: int) -> dict[str, np.ndarray]:
    """The tensors of dicts in dicts, in their order; an OverflowError where there is no end of them."""
    found, waiting, visited, numbers = {}, [("", saved, 0)], 0, 0
    while waiting:
        name, value, depth = waiting.pop()
        visited += 1
        if depth > _DEEPEST or visited > _MOST:
            raise OverflowError("One of them holds itself, or there are too many.")
        if isinstance(value, torch.Tensor):
            numbers += value.numel()
            if numbers > most:
                raise OverflowError(f"{name} and those before it claim {numbers} numbers.")
            if value.is_complex() or name in found:
                raise TypeError(f"{name} is complex, or occurs twice")
            value = value.detach()
            # NumPy has no bfloat16.
            found[name] = (value.float() if value.is_floating_point() else value).numpy()
        elif isinstance(value, Mapping):
            inner = [(f"{name}.{key}" if name else f"{key}", v) for key, v in value.items()]
            waiting += [(*item, depth + 1) for item in reversed(inner)]
    return found


def _full_precision(array: np.ndarray) -> np.ndarray:
    # bfloat16 of ml_dtypes is no np.floating.
    return array.astype("float32") if array.dtype.itemsize == 2 else array


def _torch(path):
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"{os.fspath(path)} needs PyTorch (pip install torch). Files that end in .safetensors do "
            "not."
        ) from error
    return torch
