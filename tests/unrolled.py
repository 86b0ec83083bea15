"""The exact hypergradient, through the lower level: what the finite difference must agree with."""

import keras
from keras import ops

from bod_keras.backend.autodiff import value_and_grad

BACKEND = keras.backend.backend()
if BACKEND == "tensorflow":
    import tensorflow as tf
elif BACKEND == "jax":
    import jax
else:
    import torch


def slopes(fn, values):
    """Gradients of ``fn(values)``, a scalar, that can be differentiated again."""
    if BACKEND == "jax":
        return jax.grad(fn)(list(values))
    if BACKEND == "tensorflow":
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            value = fn(values)
        return tape.gradient(value, values, unconnected_gradients="zero")
    values = [v if v.requires_grad else v.detach().requires_grad_() for v in values]
    found = torch.autograd.grad(fn(values), values, create_graph=True, allow_unused=True)
    return [ops.zeros_like(v) if g is None else g for v, g in zip(values, found)]


def hypergradient(upper, lower, weights, inputs, steps, rate):
    """w_n, and of U(w_n) the gradients at w_n and through the lower level, for the weights and for the inputs.

    Args:
        upper, lower: ``fn(weights, inputs)``, scalars.
        weights, inputs: lists of tensors.
        steps, rate: of the lower level.

    Returns:
        ``(moved, first_order, exact)``: three lists; the last two for ``weights + inputs``.
    """
    n = len(weights)

    def descend(values):
        now = values[:n]
        for _ in range(steps):
            found = slopes(lambda w: lower(w, values[n:]), now)
            now = [w - rate * g for w, g in zip(now, found)]
        return now

    def total(values):
        moved = descend(values)
        return upper(moved, values[n:]), moved

    _, moved, exact = value_and_grad(total, weights + inputs)
    _, _, first = value_and_grad(lambda v: (upper(v[:n], v[n:]), ()), moved + inputs)
    return moved, first, exact
