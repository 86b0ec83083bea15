"""Multiply-adds of a Keras model, counted from the layers that one inference runs."""

from unittest import mock

import keras
import numpy as np
from keras import layers

from bod_keras.encoders.self_attention import SelfAttention


def multiply_adds(model, clip):
    """Multiply-adds of one inference: of convolutions, dense layers and the products of attention.

    One multiply-add counts once, as in the tables of torchvision and SlowFast (others count it as two FLOPs).
    Biases, normalization, activations and pooling do not count. The model runs once, and every layer that it
    calls is counted with the shapes it was called with.

    Args:
        model: a built `keras.Model`, nested as it may be.
        clip: shape of its input, without the batch.

    Returns:
        The number for one clip, an int.
    """
    total = 0
    call = layers.Layer.__call__

    def counted(layer, *args, **kwargs):
        nonlocal total
        output = call(layer, *args, **kwargs)
        total += _of_layer(layer, args, output)
        return output

    with mock.patch.object(layers.Layer, "__call__", counted):
        model(np.zeros((1, *clip), "float32"), training=False)
    return int(total)


def _of_layer(layer, args, output):
    if isinstance(layer, layers.EinsumDense):
        return _of_einsum(layer.equation, args[0].shape, layer.kernel.shape)
    if isinstance(layer, layers.MultiHeadAttention):  # its projections are layers of their own
        query, value = args[0].shape, args[1].shape
        width = layer.num_heads * (layer.key_dim + layer.value_dim)
        return np.prod(query[:-1]) * np.prod(value[1:-1]) * width
    places = np.prod(output.shape[:-1])
    names = [name for name in vars(layer) if name.endswith("kernel")]
    kernels = [getattr(layer, name) for name in names]
    kernels = [kernel for kernel in kernels if isinstance(kernel, keras.Variable)]
    total = places * sum(np.prod(kernel.shape) for kernel in kernels)
    if isinstance(layer, SelfAttention):  # two products of all places with all others of the clip
        total += 2 * places * (places // output.shape[0]) * output.shape[-1]
    return total


def _of_einsum(equation, *shapes):
    """The product of the sizes of all indices."""
    operands = equation.split("->")[0].split(",")
    sizes = {}
    for indices, shape in zip(operands, shapes):
        indices = indices.replace("...", "".join(chr(0x391 + i) for i in range(len(shape))))
        sizes.update(zip(indices, shape))
    return np.prod(list(sizes.values()))
