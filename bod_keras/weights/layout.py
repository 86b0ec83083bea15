"""How a published network names and stores the weights that an encoder has: one key scheme of PyTorch."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator

import keras
import numpy as np

from bod_keras.errors import UserError


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One weight of an encoder, and what PyTorch stores for it.

    Args:
        weight: the Keras variable.
        keys: keys of the tensors in a state dict that make it up; usually one.
        to_keras: from those arrays to the weight's value.
        to_torch: from the weight's value to the list of those arrays.

    Example:
        >>> import keras, numpy as np
        >>> from bod_keras.weights.layout import Tensor
        >>> weight = keras.Variable(np.zeros((3, 5)), name="kernel")
        >>> tensor = Tensor(weight, ("fc.weight",), np.transpose, lambda value: [value.T])
        >>> [array.shape for array in tensor.arrays()]
        [(5, 3)]
    """

    weight: keras.Variable
    keys: tuple[str, ...]
    to_keras: Callable[..., np.ndarray] = lambda array: array
    to_torch: Callable[[np.ndarray], list[np.ndarray]] = lambda value: [value]

    def arrays(self) -> list[np.ndarray]:
        """What PyTorch would store for the present value, in the order of `keys`."""
        value = keras.ops.convert_to_numpy(self.weight)
        return [np.ascontiguousarray(array) for array in self.to_torch(value)]


@dataclasses.dataclass(frozen=True)
class Layout:
    """A key scheme: from the names of Keras layers to the names of PyTorch modules.

    A rule is a regular expression of a layer's whole name, and the module: its name, or a function that makes
    it from the expression's groups (digits as integers). How a module stores its weights follows from the
    layer's class (`layer_tensors`), unless `tensors` says otherwise.

    Args:
        name: of the scheme, as users write it.
        rules: pairs of a regular expression and a module's name, or a function that gives it.
        unused: regular expression of the keys, without prefix, that an encoder has no use for; heads by their
            usual names need not be named.
        tensors: `(layer, module) -> list of Tensor`, or None for what `layer_tensors` gives.

    Example:
        >>> from bod_keras.weights.layout import Layout
        >>> rules = ((r"stage(\\d)_conv", lambda stage: f"layer{stage}.{stage - 1}"), ("stem", "conv1"))
        >>> layout = Layout("example", rules)
        >>> layout.module("stage2_conv"), layout.module("stem"), layout.module("other")
        ('layer2.1', 'conv1', None)
    """

    name: str
    rules: tuple[tuple[str, str | Callable[..., str]], ...]
    unused: str | None = None
    tensors: Callable[[keras.Layer, str], list[Tensor] | None] = lambda layer, module: None

    def module(self, layer_name: str) -> str | None:
        """Name of the PyTorch module of a layer; None if the scheme has none."""
        for pattern, module in self.rules:
            match = re.fullmatch(pattern, layer_name)
            if match:
                groups = [int(g) if g and g.isdigit() else g for g in match.groups()]
                return module(*groups) if callable(module) else module
        return None

    def of(self, encoder: keras.Model) -> list[Tensor] | None:
        """Every weight of an encoder; None if the scheme does not know one of its layers."""
        found = []
        for layer in weighted_layers(encoder):
            module = self.module(layer.name)
            if module is None:
                return None
            found += self.tensors(layer, module) or layer_tensors(layer, module)
        return found


def weighted_layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield the layers of a model, and of models in it, that have weights."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from weighted_layers(layer)
        elif layer.weights:
            yield layer


def layer_tensors(layer: keras.Layer, module: str) -> list[Tensor]:
    """Return how PyTorch stores the weights of an ordinary layer: a `Tensor` for each.

    A convolution's kernel (space and time, in, out) is (out, in, time, height, width) there, a dense one
    (in, out) is (out, in).

    Args:
        layer: a convolution, dense layer, batch or layer normalization; others are a `UserError`.
        module: name of the PyTorch module.
    """
    layers = keras.layers
    if isinstance(layer, (layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.Dense)):
        kernel = Tensor(layer.kernel, (f"{module}.weight",), _kernel, lambda v: [_torch_kernel(v)])
        bias = [] if layer.bias is None else [Tensor(layer.bias, (f"{module}.bias",))]
        return [kernel, *bias]
    if isinstance(layer, (layers.BatchNormalization, layers.LayerNormalization)):
        names = {"gamma": "weight", "beta": "bias"}
        names |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
        weights = ((getattr(layer, own, None), key) for own, key in names.items())
        return [Tensor(w, (f"{module}.{key}",)) for w, key in weights if w is not None]
    raise UserError(
        f"Layer {layer.name!r} is a {type(layer).__name__}, whose weights have no usual form in PyTorch. Give "
        "its layout a function `tensors`."
    )


def _kernel(array: np.ndarray) -> np.ndarray:
    return np.transpose(array, (*range(2, array.ndim), 1, 0))


def _torch_kernel(value: np.ndarray) -> np.ndarray:
    return np.transpose(value, (value.ndim - 1, value.ndim - 2, *range(value.ndim - 2)))
