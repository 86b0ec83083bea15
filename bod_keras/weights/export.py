"""An encoder in the form of another runtime: SavedModel, ONNX, PyTorch."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import keras

from bod_keras.errors import UserError
from bod_keras.storage.atomic_file import atomic_file
from bod_keras.weights.save_torch import save_torch
from bod_keras.weights.state_file import PICKLED

_INPUT, _OUTPUT = "clips", "frame_features"


def export(encoder: keras.Model, path: str | os.PathLike) -> None:
    """Write an encoder for the runtime that the path's ending names.

    | path | what | backend |
    |---|---|---|
    | `.keras` | the model, for Keras on any backend | any |
    | `.safetensors`, `.pth` | its weights, as `save_torch` | any |
    | a folder | SavedModel of TensorFlow, endpoint `serve` | TensorFlow, JAX |
    | `.onnx` | ONNX | TensorFlow, PyTorch |
    | `.pt2` | program of `torch.export` | PyTorch |

    The last three compute as in evaluation, from `clips` to `frame_features`, for any number of clips.
    Time, height and width may vary where the encoder's input shape says `None`; PyTorch needs them given.

    Args:
        encoder: a model of `bod_keras.encoders`, or as `load_encoder` gives it.
        path: the file, which is replaced, or a folder, which must be new or empty.

    Raises:
        ImportError: if a package that the form needs is not installed.
        OSError: if the file cannot be written.
        ValueError: if the ending is unknown, the folder is not empty, this backend cannot write the form, or
            PyTorch is not told the clips' shape.

    Example:

    >>> from bod_keras.weights import export
    >>> import pathlib, tempfile
    >>> import bod_keras
    >>> file = pathlib.Path(tempfile.mkdtemp(), "encoder.keras")
    >>> export(bod_keras.encoders.FrameCNN(input_shape=(8, 32, 32, 3)), file)
    >>> bod_keras.load_encoder(file).output_shape
    (None, 8, 128)
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".keras":
        with atomic_file(path) as part:
            encoder.save(part)
    elif suffix == ".safetensors" or suffix in PICKLED:
        save_torch(encoder, path)
    elif suffix == ".onnx":
        _write(encoder, path, {"tensorflow": _onnx_of_tensorflow, "torch": _onnx_of_torch})
    elif suffix == ".pt2":
        _write(encoder, path, {"torch": _program})
    elif not suffix:
        _saved_model(encoder, path)
    else:
        raise UserError(
            "An encoder is exported to .keras, .safetensors, .pth, .onnx, .pt2, or to a folder "
            f"(SavedModel). Received: {path}"
        )


def _write(encoder, path, writers):
    write = writers.get(keras.backend.backend())
    if write is None:
        _refuse(path, writers)
    with atomic_file(path) as part:
        write(encoder, str(part))


def _refuse(path, backends):
    raise UserError(
        f"Keras on {keras.backend.backend()} cannot write {path}. Save the encoder as .keras and export "
        f"that with KERAS_BACKEND={' or '.join(backends)}: python -m bod_keras.weights --help."
    )


def _saved_model(encoder, path):
    if keras.backend.backend() == "torch":
        _refuse(path, ("tensorflow", "jax"))
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} is there and not empty. Give a new folder for the SavedModel.")
    encoder.export(path, format="tf_saved_model", verbose=False)


def _onnx_of_tensorflow(encoder, file):
    import tensorflow as tf

    try:
        import tf2onnx
    except ImportError as error:
        raise ImportError(
            "TensorFlow writes ONNX with two more packages: pip install tf2onnx onnx"
        ) from error
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2 as frozen,
    )

    @tf.function(input_signature=[tf.TensorSpec(encoder.input_shape, "float32", name=_INPUT)])
    def serve(clips):
        return encoder(clips, training=False)

    # Frozen first: tf2onnx makes inputs of the tensors that a layer such as Normalization holds.
    graph = frozen(serve.get_concrete_function())
    (output,) = graph.outputs
    tf2onnx.convert.from_graph_def(
        graph.graph.as_graph_def(),
        input_names=[f"{_INPUT}:0"],
        output_names=[output.name],
        tensors_to_rename={f"{_INPUT}:0": _INPUT, output.name: _OUTPUT},
        output_path=file,
    )


def _onnx_of_torch(encoder, file):
    import torch

    if importlib.util.find_spec("onnxscript") is None:
        raise ImportError("PyTorch writes ONNX with two more packages: pip install onnxscript onnx")
    torch.onnx.export(
        _traced(encoder),
        dynamo=True,  # the older exporter knows no channels_last
        input_names=[_INPUT],
        output_names=[_OUTPUT],
        external_data=False,
        verbose=False,
    ).save(file)


def _program(encoder, file):
    import torch

    torch.export.save(_traced(encoder), file)


def _traced(encoder):
    """The program of `torch.export`: a fixed clip, any number of them."""
    import torch

    shape = encoder.input_shape[1:]
    if None in shape:
        raise UserError(
            f"PyTorch exports a program for clips of one shape, but {encoder.name} takes {shape}. Build "
            "the encoder with the input_shape that you will use, and give it these weights (set_weights)."
        )
    encoder.eval()
    device = next(encoder.parameters()).device
    clips = torch.zeros((2, *shape), device=device)  # one clip alone would fix the number
    batch = torch.export.Dim("batch", min=1)
    return torch.export.export(encoder, (clips,), dynamic_shapes=(({0: batch},),))
