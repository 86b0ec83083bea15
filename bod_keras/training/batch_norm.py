"""Batch normalisation over all replicas, that can be differentiated twice on every backend."""

import keras
from keras import ops

from bod_keras.training.autodiff import mean_over_replicas


@keras.saving.register_keras_serializable("bod_keras")
class BatchNorm(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, with statistics that ``hypergradient="exact"`` can go through.

    On TensorFlow Keras takes them from ``tf.nn.moments``, which stops the gradient of the mean inside of the
    variance: that leaves first derivatives alone, and makes second ones wrong. Under a `tf.distribute` strategy
    the statistics are always those of all replicas' batches.

    Arguments, shapes and errors are those of Keras' layer.

    Example:
        >>> from bod_keras.training import BatchNorm
        >>> BatchNorm(momentum=0.9).momentum
        0.9
    """

    def _moments(self, inputs, mask):
        if mask is not None:
            return super()._moments(inputs, mask)
        axes = self._reduction_axes
        mean = mean_over_replicas(ops.mean(inputs, axis=axes, keepdims=True))
        variance = mean_over_replicas(ops.mean(ops.square(inputs - mean), axis=axes))
        return ops.squeeze(mean, axis=axes), variance
