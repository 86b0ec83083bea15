"""Batch normalisation over all replicas, that can be differentiated twice on every backend."""

import keras
from keras import ops

from bod_keras.backend.autodiff import moments


@keras.saving.register_keras_serializable("bod_keras")
class BatchNorm(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, with statistics that ``hypergradient="exact"`` can go through.

    On TensorFlow Keras takes them from ``tf.nn.moments``, which stops the gradient of the mean inside of the
    variance: that leaves first derivatives alone, and makes second ones wrong. In a training step of several
    replicas the statistics are always those of all their batches.

    Arguments, shapes and errors are those of Keras' layer.

    Example:
        >>> from bod_keras.training import BatchNorm
        >>> BatchNorm(momentum=0.9).momentum
        0.9
    """

    def _moments(self, inputs, mask):
        if mask is not None:
            return super()._moments(inputs, mask)
        mean, variance = moments(inputs, self._reduction_axes)
        return ops.squeeze(mean, axis=self._reduction_axes), variance
