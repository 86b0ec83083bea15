"""LARS: momentum whose step in each layer is a fixed share of that layer's weights."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bod_keras.errors import UserError


@keras.saving.register_keras_serializable("bod_keras")
class LARS(keras.optimizers.Optimizer):
    """Stochastic gradient descent with momentum and layer-wise adaptive rate scaling (LARS).

    For a weight w with gradient g, learning rate lr, momentum m, weight decay d and trust coefficient c,

        g'    = g + d w
        local = c |w| / (|g'| + epsilon)    if |w| > 0 and |g'| > 0, otherwise 1
        v     = m v + lr local g'
        w     = w - v

    so that a first step has the length lr c |w|, whatever the scale of the loss.

    Weights of rank 0 or 1 (biases, gamma and beta of batch norm) and what `exclude_from_weight_decay` names
    take plain steps of SGD with momentum: no decay, local = 1. `BiLevelModel.compile` names biases, gammas and
    betas if `weight_decay` is set. A matrix of zeros also takes its first step with local = 1.

    There are two published denominators. This is |g + d w|, that of the SimCLR, Barlow Twins and MoCo v3 code;
    the paper, and SlowFast after apex, have |g| + d |w|. At the recipes' d = 1e-6 they differ little. The rate
    is inside the velocity, as in the paper, SimCLR and `keras.optimizers.SGD`; code on top of torch's SGD
    has it outside, which differs while a schedule moves.

    Ours because Keras (3.15) has Lamb but no LARS, and those of optax, timm and TensorFlow Models are for JAX,
    PyTorch and Keras 2.

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments.
        momentum: m, in [0, 1).
        weight_decay: d >= 0, or None. A part of the gradient; in Keras' other optimizers it is decoupled.
        trust_coefficient: c > 0.
        epsilon: >= 0, added to the norm of the gradient.
        **kwargs: those of `keras.optimizers.Optimizer`: clipping, accumulation, averages, name.

    Raises:
        ValueError: a number out of its range, or an integer as `learning_rate`.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from bod_keras.training import LARS
        >>> weight = keras.Variable(np.ones((2, 2), "float32"))
        >>> optimizer = LARS(1.0, momentum=0.0, trust_coefficient=0.1)  # a tenth of the weight a step
        >>> for scale in (1e-3, 1e6):
        ...     optimizer.apply([scale * keras.ops.ones((2, 2))], [weight])
        >>> f"{keras.ops.convert_to_numpy(weight).mean():.3f}"
        '0.810'

    Reference:
        You, Gitman, Ginsburg, "Large Batch Training of Convolutional Networks", arXiv 1708.03888, algorithm 1.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.3,
        momentum: float = 0.9,
        weight_decay: float | None = None,
        trust_coefficient: float = 0.001,
        epsilon: float = 1e-8,
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, weight_decay=weight_decay, **kwargs)
        if not 0 <= momentum < 1:
            raise UserError(f"momentum must lie in [0, 1) (0.9 is usual). Received: {momentum}")
        if weight_decay is not None and not weight_decay >= 0:
            raise UserError(f"weight_decay must not be negative. Received: {weight_decay}")
        if not trust_coefficient > 0:
            raise UserError(
                f"trust_coefficient must be positive (0.001 is usual). Received: {trust_coefficient}"
            )
        if not epsilon >= 0:
            raise UserError(f"epsilon must not be negative. Received: {epsilon}")
        self.momentum = momentum
        self.trust_coefficient = trust_coefficient
        self.epsilon = epsilon

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        dtype = keras.backend.result_type(self._trainable_variables[index].dtype, "float32")
        gradient = ops.cast(gradient, dtype)
        rate = ops.cast(learning_rate, dtype)
        # On TensorFlow `variable` is the native one, whose name has the layer's in front; Keras' does not.
        if self._use_weight_decay(self._trainable_variables[index]):
            weight = ops.cast(variable, dtype)
            gradient = gradient + (self.weight_decay or 0.0) * weight
            rate = rate * self._local_rate(weight, gradient)
        velocity = self.momentum * ops.cast(self._velocities[index], dtype) + rate * gradient
        self.assign(self._velocities[index], velocity)
        self.assign_sub(variable, velocity)

    def _local_rate(self, weight, gradient):
        size, slope = (ops.sqrt(ops.sum(ops.square(x))) for x in (weight, gradient))
        usable = ops.logical_and(size > 0, slope > 0)
        return ops.where(usable, self.trust_coefficient * size / (slope + self.epsilon), 1.0)

    def _use_weight_decay(self, variable):
        return len(variable.shape) > 1 and super()._use_weight_decay(variable)

    def _apply_weight_decay(self, variables):
        """Nothing: Keras would shrink the weights here, but the decay is in the gradient already."""

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "trust_coefficient": self.trust_coefficient,
            "epsilon": self.epsilon,
        }
