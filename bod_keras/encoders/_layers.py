"""Keras' 3-D convolution and batch normalization, computed as is fastest on each backend.

Weights, results and moving statistics are Keras'; benchmarks/encoders.py measures what is gained.
"""

from __future__ import annotations

import functools
from typing import Any

import keras
from keras import ops

BACKEND = keras.backend.backend()
if BACKEND == "tensorflow":
    import tensorflow as tf
elif BACKEND == "jax":
    import jax
elif BACKEND == "torch":
    import torch


@keras.saving.register_keras_serializable("bod_keras")
class PaddedConv3D(keras.layers.Conv3D):
    """`keras.layers.Conv3D` of clips that are padded by half a kernel of zeros on each side, channels last.

    Keras' "same" would pad a strided convolution on one side only, where the published weights were trained
    with both sides. With `repeat_edges` it is the first and the last frame that stand before and after a clip.
    """

    def __init__(self, *args, repeat_edges: bool = False, **kwargs):
        super().__init__(*args, **kwargs)
        self.repeat_edges = repeat_edges

    @property
    def _pads(self):
        """Of zeros, before and after, in time, height and width."""
        halves = [size // 2 for size in self.kernel_size]
        return [(0 if i == 0 and self.repeat_edges else n,) * 2 for i, n in enumerate(halves)]

    def compute_output_shape(self, input_shape):
        sizes = zip(input_shape[1:4], self.kernel_size)
        padded = [None if size is None else size + length // 2 * 2 for size, length in sizes]
        return super().compute_output_shape((input_shape[0], *padded, input_shape[4]))

    def get_config(self):
        return {**super().get_config(), "repeat_edges": self.repeat_edges}

    def convolution_op(self, inputs: list, kernel: Any) -> Any:
        kernel = ops.convert_to_tensor(kernel)
        if self.repeat_edges and self.kernel_size[0] > 1:
            half = self.kernel_size[0] // 2
            edges = [inputs[:, :1]] * half, [inputs[:, -1:]] * half
            inputs = ops.concatenate([*edges[0], inputs, *edges[1]], axis=1)
        if BACKEND == "tensorflow":
            return super().convolution_op(self._padded(inputs), kernel)
        if BACKEND == "torch":
            return self._torch_convolution(inputs, kernel)
        if self.kernel_size == (1, 1, 1):
            time, height, width = self.strides
            return ops.matmul(inputs[:, ::time, ::height, ::width], kernel[0, 0, 0])
        inputs = self._padded(inputs)
        # Larger kernels are those of stems, by whose inputs nobody differentiates.
        small = max(self.kernel_size) <= 3
        if small and max(self.strides) > 1 and jax.default_backend() == "cpu":
            return self._convolution_of_patches(inputs, kernel)
        return super().convolution_op(inputs, kernel)

    def _padded(self, inputs):
        return ops.pad(inputs, [(0, 0), *self._pads, (0, 0)])

    def _torch_convolution(self, inputs, kernel):
        """Keras' route copies inputs to pad them, and transposes the kernel element by element."""
        filters = kernel.shape[-1]
        # As a matrix it is transposed fast, into the layout that the convolution wants, channels last.
        rows = kernel.reshape(-1, filters).t().contiguous()
        kernel = rows.view(filters, *kernel.shape[:-1]).permute(0, 4, 1, 2, 3)
        padding = tuple(before for before, _ in self._pads)
        # PyTorch's choice among its 3-D kernels falls on slow ones where a kernel is flat: in 2-D it does not.
        time, height, width = self.strides
        if self.kernel_size[0] == 1:  # frame by frame
            frames = inputs[:, ::time]
            maps = _torch_convolution_2d(
                frames.flatten(0, 1), kernel[:, :, 0], (height, width), padding[1:]
            )
            return maps.unflatten(0, frames.shape[:2])
        if self.kernel_size[1:] == (1, 1):  # place by place, all of them as one axis
            places = inputs[:, :, ::height, ::width]
            maps = _torch_convolution_2d(
                places.flatten(2, 3), kernel[..., 0], (time, 1), (padding[0], 0)
            )
            return maps.unflatten(2, places.shape[2:4])
        outputs = torch.nn.functional.conv3d(
            inputs.permute(0, 4, 1, 2, 3), kernel, stride=self.strides, padding=padding
        )
        return outputs.permute(0, 2, 3, 4, 1)

    def _convolution_of_patches(self, inputs, kernel):
        """XLA has no fast gradient by the input of a strided convolution on CPUs; of a product it has."""
        starts_and_stops = [
            [(start, start + size - length + 1) for start in range(length)]
            for length, size in zip(self.kernel_size, inputs.shape[1:4])
        ]
        time, height, width = self.strides
        patches = [
            inputs[:, t0:t1:time, y0:y1:height, x0:x1:width]
            for t0, t1 in starts_and_stops[0]
            for y0, y1 in starts_and_stops[1]
            for x0, x1 in starts_and_stops[2]
        ]
        kernel = ops.reshape(kernel, (-1, kernel.shape[-1]))
        return ops.matmul(ops.concatenate(patches, axis=-1), kernel)


def _torch_convolution_2d(maps, kernel, strides, padding):
    """Of maps (N, H, W, C) with a kernel (filters, C, height, width)."""
    outputs = torch.nn.functional.conv2d(
        maps.permute(0, 3, 1, 2), kernel, stride=strides, padding=padding
    )
    return outputs.permute(0, 2, 3, 1)


@keras.saving.register_keras_serializable("bod_keras")
class MaxPooling3D(keras.layers.MaxPooling3D):
    """`keras.layers.MaxPooling3D` of the output of a ReLU, channels last, without padding.

    PyTorch's kernel for images is vectorized over channels, its 3-D one is not. Where values tie, which of them
    gets the gradient differs; of zeros, which alone tie often, the ReLU drops it.
    """

    def call(self, inputs):
        if BACKEND != "torch":
            return super().call(inputs)
        length, height, width = self.pool_size
        step = self.strides[0]
        frames = inputs[:, ::step] if length == 1 else inputs
        maps = torch.nn.functional.max_pool2d(
            frames.flatten(0, 1).permute(0, 3, 1, 2), (height, width), self.strides[1:]
        )
        maps = maps.permute(0, 2, 3, 1).unflatten(0, frames.shape[:2])
        if length == 1:
            return maps
        last = (inputs.shape[1] - length) // step * step
        shifted = (maps[:, start : start + last + 1 : step] for start in range(length))
        return functools.reduce(torch.maximum, shifted)


@keras.saving.register_keras_serializable("bod_keras")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` of the last axis by the backend's own fused kernel.

    Keras normalizes by several passes over the activations and keeps the results of each for the gradient. JAX
    fuses these by itself. On TensorFlow inference and statistics over several replicas stay Keras'.
    """

    def call(self, inputs, training=None, mask=None):
        training = bool(training and self.trainable)
        fused = (BACKEND == "tensorflow" and training) or BACKEND == "torch"
        if not fused or self.synchronized or mask is not None or self.compute_dtype == "float64":
            return super().call(inputs, training=training, mask=mask)
        x = ops.cast(inputs, "float32")
        normalize = _torch_normalized if BACKEND == "torch" else _tensorflow_normalized
        outputs, mean, variance = normalize(self, x, training)
        if training:
            for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + new * (1.0 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)


def _tensorflow_normalized(layer, x, training):
    """Outputs, mean and variance (of the population, not the sample) of the batch."""
    shape = tf.shape(x)
    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        # The kernel for maps (B, H, W, C) is the fastest; to the statistics the shape is the same.
        tf.reshape(x, (shape[0], -1, shape[3], x.shape[-1])),
        tf.convert_to_tensor(layer.gamma),
        tf.convert_to_tensor(layer.beta),
        epsilon=layer.epsilon,
        is_training=training,
    )
    outputs = tf.reshape(outputs, shape)
    outputs.set_shape(x.shape)
    count = tf.cast(tf.reduce_prod(shape[:-1]), "float32")
    return outputs, mean, variance * (count - 1.0) / count


def _torch_normalized(layer, x, training):
    """As `_tensorflow_normalized`; in inference by the moving statistics."""
    gamma, beta, mean, variance = (
        ops.convert_to_tensor(v)
        for v in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    )
    channels_first = x.movedim(-1, 1)
    if not training:
        outputs = torch.nn.functional.batch_norm(
            channels_first, mean, variance, gamma, beta, eps=layer.epsilon
        )
        return outputs.movedim(1, -1), mean, variance
    outputs, mean, scale = torch.native_batch_norm(
        channels_first, gamma, beta, None, None, True, 0.0, layer.epsilon
    )
    return outputs.movedim(1, -1), mean.detach(), scale.detach() ** -2 - layer.epsilon
