"""Batch normalisation that can be differentiated twice on every backend."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("bod_keras")
class BatchNorm(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, with statistics that ``hypergradient="exact"`` can go through.

    On TensorFlow Keras takes them from ``tf.nn.moments``, which stops the gradient of the mean inside of the
    variance: that leaves first derivatives alone, and makes second ones wrong.

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
        return ops.mean(inputs, axis=axes), ops.var(inputs, axis=axes)
