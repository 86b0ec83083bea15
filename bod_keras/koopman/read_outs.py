"""Read-outs: what the dynamic part of a clip is, from the time-variant part of its operator."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from bod_keras.errors import UserError
from bod_keras.registry import Registry

READ_OUTS = Registry("read_out", "bod_keras.koopman")
COLUMNS = 24


class DynamicOperator(NamedTuple):
    """The time-variant part of an operator, A_D = X^+ (I - P) Y = `inverse` `future`, which is never formed.

    past: X, (B, T-1, D); inverse: X^+, (B, D, T-1); future: (I - P) Y, (B, T-1, D).
    """

    past: Any
    inverse: Any
    future: Any


class ReadOut(keras.layers.Layer):
    """Base class of the read-outs: a layer from a `DynamicOperator` to the dynamic part (B, K), in float32.

    A subclass implements ``call(operator)`` and ``compute_output_shape(input_shape)``, with the shape
    (B, T, D) of the frame embeddings, for which `build` is called. Register it with
    ``@READ_OUTS.register("name")`` to choose it by its name.

    Example:
        >>> import keras, bod_keras
        >>> from bod_keras.koopman import ReadOut
        >>> class Energy(ReadOut):
        ...     def call(self, operator):
        ...         return keras.ops.mean(keras.ops.square(operator.future), axis=1)
        ...     def compute_output_shape(self, input_shape):
        ...         return (input_shape[0], input_shape[-1])
        >>> static, dynamic = bod_keras.KoopmanSplit(read_out=Energy())(keras.Input((8, 32)))
        >>> dynamic.shape
        (None, 32)
    """

    def __init__(self, **kwargs):
        kwargs["dtype"] = "float32"  # also under a mixed-precision policy
        super().__init__(**kwargs)

    def call(self, operator: DynamicOperator):
        raise NotImplementedError(f"{type(self).__name__} must implement call")

    def get_build_config(self):
        """None: the split builds its read-out, whose config must not change by that."""


@READ_OUTS.register("operator")
@keras.saving.register_keras_serializable("bod_keras")
class OperatorReadOut(ReadOut):
    """Read the operator itself: vec(U' A_D V), with fixed orthonormal U and V of shape (D, columns).

    The dynamics themselves: free of the phase and the scale of the motion. U and V are drawn from a fixed seed,
    saved with the weights, and not trained.

    Args:
        columns: of U and V; D if that is less.

    Call arguments:
        operator: a `DynamicOperator`.

    Returns:
        (B, columns^2).

    Raises:
        ValueError: fewer than one column.

    Example:
        >>> import keras, bod_keras
        >>> from bod_keras.koopman import OperatorReadOut
        >>> _, dynamic = bod_keras.KoopmanSplit(read_out=OperatorReadOut(8))(keras.Input((8, 32)))
        >>> dynamic.shape
        (None, 64)

    Reference:
        Ours; docs/method.md, section 5.
    """

    def __init__(self, columns: int = COLUMNS, **kwargs):
        super().__init__(**kwargs)
        if columns < 1:
            raise UserError(f"columns must be at least 1. Received: {columns}")
        self.columns = columns

    def build(self, input_shape):
        shape = (input_shape[-1], min(self.columns, input_shape[-1]))
        for seed, name in enumerate(("past_basis", "future_basis")):
            initializer = keras.initializers.Orthogonal(seed=seed)
            basis = self.add_weight(
                name=name, shape=shape, initializer=initializer, trainable=False
            )
            setattr(self, name, basis)
        self.built = True

    def call(self, operator):
        left = ops.matmul(ops.transpose(self.past_basis), operator.inverse)
        right = ops.matmul(operator.future, self.future_basis)
        block = ops.matmul(left, right)
        return ops.reshape(block, (-1, block.shape[-2] * block.shape[-1]))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], min(self.columns, input_shape[-1]) ** 2)

    def get_config(self):
        return {**super().get_config(), "columns": self.columns}


@READ_OUTS.register("mean")
@keras.saving.register_keras_serializable("bod_keras")
class TimeMean(ReadOut):
    """Read the time mean of the predicted frames, mean_t x_t A_D: the published form.

    Nearly zero by construction, since the mean over time of a clip belongs to what does not change.

    Call arguments:
        operator: a `DynamicOperator`.

    Returns:
        (B, D).

    Example:
        >>> import keras, bod_keras
        >>> _, dynamic = bod_keras.KoopmanSplit(read_out="mean")(keras.Input((8, 32)))
        >>> dynamic.shape
        (None, 32)

    Reference:
        Song et al., arXiv 2407.14069.
    """

    def call(self, operator):
        return mean_prediction(operator.past, operator.inverse, operator.future)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


def mean_prediction(past, inverse, future):
    """mean_t x_t X^+ F of future frames F, (B, D): the time mean of what the operator X^+ F predicts."""
    weights = ops.mean(ops.matmul(past, inverse), axis=-2, keepdims=True)
    return ops.matmul(weights, future)[:, 0]
