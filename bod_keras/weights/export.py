"""A model in the form of another runtime: SavedModel, ONNX, PyTorch."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bod_keras.backend.keras_private import all_layers
from bod_keras.errors import UserError
from bod_keras.frameworks import ContrastiveModel
from bod_keras.koopman import KoopmanSplit
from bod_keras.storage.atomic_file import PART, atomic_file, check_local
from bod_keras.training import load_model
from bod_keras.weights.save_torch import save_torch
from bod_keras.weights.state_file import PICKLED

_INPUT, _OUTPUT = "clips", "frame_features"
# Clips that a written program is tried with: their numbers, and the sizes that the model leaves open.
_COUNTS = (1, 3)
_OPEN = (8, 64, 64)
_Outputs = dict[str, np.ndarray]


def export(model: keras.Model, path: str | os.PathLike) -> None:
    """Write a model for the runtime that the path's ending names.

    | path | what | backend |
    |---|---|---|
    | `.keras` | the model, for Keras on any backend | any |
    | `.safetensors`, `.pth` | the weights of an encoder, as `save_torch` | any |
    | a folder | SavedModel of TensorFlow, endpoint `serve` | TensorFlow, JAX |
    | `.onnx` | ONNX | TensorFlow, PyTorch |
    | `.pt2` | program of `torch.export` | PyTorch |

    The last three compute as in evaluation, for any number of clips: an encoder from `clips` to
    `frame_features`, a framework from `clips` to `pooled`, `static` and `dynamic`. Time, height and width may
    vary where the input shape says `None`; PyTorch needs them given, and a framework needs the time.

    What was written is loaded by its own runtime and compared with the model before it takes its place.

    Args:
        model: an encoder, a framework, or any Functional model of clips.
        path: the file, which is replaced, or a folder, which must be new or empty.

    Raises:
        ImportError: a package that the form or its check needs is not installed.
        OSError: the file cannot be written.
        ValueError: the ending is unknown, the folder is not empty, this backend or this form cannot hold the
            model, PyTorch is not told the clips' shape, or the runtime does not compute what the model does.

    Example:
        >>> import pathlib, tempfile
        >>> import bod_keras
        >>> from bod_keras.weights import export
        >>> file = pathlib.Path(tempfile.mkdtemp(), "encoder.keras")
        >>> export(bod_keras.encoders.FrameCNN(input_shape=(8, 32, 32, 3)), file)
        >>> bod_keras.load_encoder(file).output_shape
        (None, 8, 128)
    """
    check_local(path)
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".keras":
        _keras_file(model, path)
    elif suffix == ".safetensors" or suffix in PICKLED:
        if isinstance(model, ContrastiveModel):
            raise UserError(
                f"{path} would hold an encoder's weights, but {model.name} is a framework. Export its "
                "`encoder`, or the whole of it to .keras, .onnx, .pt2 or a folder."
            )
        save_torch(model, path)
    elif suffix == ".onnx":
        _program(model, path, {"tensorflow": _onnx_of_tensorflow, "torch": _onnx_of_torch})
    elif suffix == ".pt2":
        _program(model, path, {"torch": _torch_program})
    elif not suffix and not path.name.startswith("."):
        _program(model, path, {"tensorflow": _saved_model, "jax": _saved_model})
    else:
        raise UserError(
            "A model is exported to .keras, .safetensors, .pth, .onnx, .pt2, or to a folder "
            f"(SavedModel). Received: {path}"
        )


def _keras_file(model, path):
    with atomic_file(path) as part:
        model.save(part)
        again = load_model(part, compile=False)
        pairs = zip(model.get_weights(), again.get_weights(), strict=True)
        if not all(np.array_equal(one, other, equal_nan=True) for one, other in pairs):
            raise UserError(f"{path} was not written: loaded back, its weights are others.")


def _program(model, path, writers):
    write = writers.get(keras.backend.backend())
    if write is None:
        raise UserError(
            f"Keras on {keras.backend.backend()} cannot write {path}. Save the model as .keras and export "
            f"that with KERAS_BACKEND={' or '.join(writers)}: python -m bod_keras.weights --help."
        )
    network = _network(model)
    if path.suffix:
        with atomic_file(path) as part:
            _compare(network, write(network, str(part)), path)
        return
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} is there and not empty. Give a new folder for the SavedModel.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f"{PART}{os.getpid()}-", dir=path.parent), path.name)
    try:
        _compare(network, write(network, str(part)), path)
        if path.exists():
            path.rmdir()
        part.rename(path)
    finally:
        shutil.rmtree(part.parent, ignore_errors=True)


def _network(model) -> keras.Model:
    """A Functional model from one tensor of clips to one tensor, or to a dict of them."""
    if isinstance(model, ContrastiveModel):
        if model.encoder.input_shape[1] is None:
            raise UserError(
                f"{model.name} is exported for clips of one length, and its encoder takes any. Export "
                "model.embedder(frames), with the number of frames of a clip."
            )
        model = model.embedder()
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "output", None)
    if not inputs or len(inputs) != 1 or outputs is None:
        raise UserError(
            "export needs a framework of bod_keras, or a Functional model with one input, the clips. "
            f"Received: a {type(model).__name__}"
        )
    if isinstance(outputs, (list, tuple)):
        outputs = dict(zip(model.output_names, outputs)) if len(outputs) > 1 else outputs[0]
    return keras.Model(inputs[0], outputs, name=model.name)


def _compare(network, run: Callable[[np.ndarray], _Outputs], path):
    """Raise unless a written program computes what the network does."""
    sizes = [size or usual for size, usual in zip(network.input_shape[1:4], _OPEN)]
    half = keras.config.dtype_policy().compute_dtype in ("float16", "bfloat16")
    rng = np.random.default_rng(0)
    for count in _COUNTS:
        clips = rng.random((count, *sizes, network.input_shape[-1]), "float32")
        wanted = _named(network, network(clips, training=False))
        try:
            found = run(clips)
        except Exception as error:  # whatever the runtime raises
            raise UserError(
                f"{path} was not written: its own runtime does not run it on {count} clips. {error}"
            ) from error
        for name, value in wanted.items():
            got = found.get(name)
            scale = np.abs(value).max() + 1e-30
            if got is None or got.shape != value.shape:
                shape = None if got is None else got.shape
                raise UserError(
                    f"{path} was not written: in its own runtime {name} has the shape {shape} instead of "
                    f"{value.shape}."
                )
            error = np.abs(got.astype("float64") - value).max() / scale
            if not error <= (2e-2 if half else 1e-3):
                raise UserError(
                    f"{path} was not written: in its own runtime {name} is off by {error:.1e} of its largest "
                    "value."
                )


def _named(network, outputs) -> _Outputs:
    """Outputs by name, as arrays."""
    if not isinstance(outputs, dict):
        outputs = {_OUTPUT: outputs}
    return {name: np.asarray(keras.ops.convert_to_numpy(x)) for name, x in outputs.items()}


def _needs(package: str, others: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ImportError(
            f"Keras on {keras.backend.backend()} writes ONNX, and checks it, with more packages: "
            f"pip install {others}"
        )


def _saved_model(network, folder):
    _needs_tensorflow(folder)
    import tensorflow as tf

    network.export(folder, format="tf_saved_model", verbose=False)

    def run(clips):
        model = tf.saved_model.load(folder)  # its variables live as long as it
        return _named(network, model.serve(tf.constant(clips)))

    return run


def _needs_tensorflow(folder):
    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError(
            f"The SavedModel {folder} is written by TensorFlow: pip install tensorflow"
        )


def _refuse_split(network, file):
    """ONNX has no linear solver and no eigenvalues."""
    for layer in all_layers(network):
        if isinstance(layer, KoopmanSplit):
            raise UserError(
                f"ONNX has no operator for what {layer.name!r}, a {type(layer).__name__}, computes. Export the "
                "encoder alone, or write a SavedModel (on TensorFlow) or .pt2 (on PyTorch)."
            )


def _onnx_of_tensorflow(network, file):
    _refuse_split(network, file)
    for package in ("tf2onnx", "onnxruntime"):
        _needs(package, "tf2onnx onnx onnxruntime")
    import tensorflow as tf
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2 as frozen,
    )

    names = sorted(network.output) if isinstance(network.output, dict) else [_OUTPUT]

    @tf.function(input_signature=[tf.TensorSpec(network.input_shape, "float32", name=_INPUT)])
    def serve(clips):
        return network(clips, training=False)

    # Frozen first: tf2onnx makes inputs of the tensors that a layer such as Normalization holds.
    graph = frozen(serve.get_concrete_function())
    outputs = [tensor.name for tensor in graph.outputs]  # a dict's in the order of its names
    tf2onnx.convert.from_graph_def(
        graph.graph.as_graph_def(),
        input_names=[f"{_INPUT}:0"],
        output_names=outputs,
        tensors_to_rename={f"{_INPUT}:0": _INPUT, **dict(zip(outputs, names))},
        custom_op_handlers={"Erfc": (_erfc, [])},
        output_path=file,
    )
    return _onnx_runtime(file, names)


def _erfc(context, node, name, args):
    """1 - erf(x), of which GELU is made in TensorFlow: ONNX has Erf alone."""
    source, outputs = node.input[0], list(node.output)
    shapes, dtypes = node.output_shapes, node.output_dtypes
    dtype = {1: "float32", 10: "float16", 11: "float64"}[context.get_dtype(source)]
    context.remove_node(node.name)
    one = context.make_const(f"{name}_one", np.array(1, dtype))
    erf = context.make_node("Erf", [source], name=f"{name}_erf")
    return context.make_node(
        "Sub",
        [one.output[0], erf.output[0]],
        outputs=outputs,
        name=name,
        shapes=shapes,
        dtypes=dtypes,
    )


def _onnx_of_torch(network, file):
    _refuse_split(network, file)
    for package in ("onnxscript", "onnxruntime"):
        _needs(package, "onnxscript onnx onnxruntime")
    import torch

    # PyTorch sorts what a dict holds.
    names = sorted(network.output) if isinstance(network.output, dict) else [_OUTPUT]
    torch.onnx.export(
        _traced(network),
        dynamo=True,  # the older exporter does not support channels_last
        input_names=[_INPUT],
        output_names=names,
        external_data=False,
        verbose=False,
    ).save(file)
    return _onnx_runtime(file, names)


def _onnx_runtime(file, names):
    import onnxruntime

    def run(clips):
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        return dict(zip(names, session.run(names, {_INPUT: clips})))

    return run


def _torch_program(network, file):
    import torch

    torch.export.save(_traced(network), file)

    def run(clips):
        with torch.no_grad():
            return _named(network, torch.export.load(file).module()(torch.from_numpy(clips)))

    return run


def _traced(network) -> Any:
    """The program of `torch.export`: a fixed clip, any number of them."""
    import torch

    shape = network.input_shape[1:]
    if None in shape:
        raise UserError(
            f"PyTorch exports a program for clips of one shape, but {network.name} takes {shape}. Build "
            "the encoder with the input_shape that you will use, and give it these weights (set_weights)."
        )
    network.eval()
    device = next(network.parameters()).device
    clips = torch.zeros((2, *shape), device=device)  # one clip alone would fix the number
    batch = torch.export.Dim("batch", min=1)
    return torch.export.export(network, (clips,), dynamic_shapes=(({0: batch},),))
