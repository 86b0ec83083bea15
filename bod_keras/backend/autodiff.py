"""One small face over the automatic differentiation of three backends, on lists of tensors.

Functions are pure: they read variables only through `functional_call`, which replaces variables by tensors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import keras
from keras import ops

from bod_keras.backend import replicas

BACKEND = keras.backend.backend()
if BACKEND == "tensorflow":
    import tensorflow as tf
elif BACKEND == "jax":
    import jax
elif BACKEND == "torch":
    import torch
else:
    raise ImportError(
        "bod_keras trains on the tensorflow, jax and torch backends of Keras. "
        f"Received: KERAS_BACKEND={BACKEND}. Set it before Python starts."
    )


def to_complex(x: Any, dtype: str) -> Any:
    """A cast, of whose gradient TensorFlow does not warn."""
    if BACKEND != "tensorflow" or tf.as_dtype(x.dtype).is_complex:
        return ops.cast(x, dtype)
    x = ops.cast(x, {"complex64": "float32", "complex128": "float64"}[dtype])
    return tf.complex(x, tf.zeros_like(x))


def functional_call(fn: Callable, variables: list, values: list) -> tuple[Any, list]:
    """Run ``fn()`` with each variable's value replaced; nothing is assigned for real.

    Args:
        fn: a function without arguments that may read and assign the variables.
        variables: every variable that `fn` touches.
        values: a tensor for each.

    Returns:
        ``(result, new_values)``: what `fn` returned, and each variable's value after it.
    """
    with keras.StatelessScope(state_mapping=list(zip(variables, values))) as scope:
        result = fn()
    new_values = [scope.get_current_value(v) for v in variables]
    return result, new_values


def no_gradient() -> contextlib.AbstractContextManager:
    """A context in which PyTorch records nothing; the other backends record only where they are told to."""
    return torch.no_grad() if BACKEND == "torch" else contextlib.nullcontext()


def current_values(variables: list) -> list:
    """The variables' values as tensors, also inside a stateless scope and a traced function."""
    return [ops.convert_to_tensor(v.value) for v in variables]


def value_and_grad(fn: Callable, inputs: list) -> tuple[Any, Any, list]:
    """Value, auxiliary output and gradient of ``fn(inputs) -> (scalar, auxiliary)``.

    Args:
        fn: a pure function of a list of tensors.
        inputs: list of floating-point tensors.

    Returns:
        ``(value, auxiliary, gradients)``; the gradient of an unused input is zero.
    """
    if BACKEND == "jax":
        (value, auxiliary), gradients = jax.value_and_grad(fn, has_aux=True)(list(inputs))
        return value, auxiliary, gradients
    if BACKEND == "tensorflow":
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            value, auxiliary = fn(inputs)
        gradients = tape.gradient(value, inputs, unconnected_gradients="zero")
        return value, auxiliary, gradients
    with torch.enable_grad():
        inputs = _leaves(inputs)
        value, auxiliary = fn(inputs)
        gradients = torch.autograd.grad(value, inputs, allow_unused=True)
    gradients = [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, gradients)]
    return value.detach(), _detach(auxiliary), gradients


def vjp(fn: Callable, inputs: list) -> tuple[Any, Any, Callable]:
    """Output of ``fn(inputs) -> (tensor, auxiliary)`` and its pull-back.

    Returns:
        ``(output, auxiliary, pullback)``; ``pullback(cotangent)``, called once, gives the gradients of
        ``sum(output * cotangent)`` with respect to the inputs. `output` is cut from the graph.
    """
    if BACKEND == "jax":
        output, pull, auxiliary = jax.vjp(fn, list(inputs), has_aux=True)
        return output, auxiliary, lambda cotangent: pull(cotangent)[0]
    if BACKEND == "tensorflow":
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            output, auxiliary = fn(inputs)
        return (
            output,
            auxiliary,
            lambda cotangent: tape.gradient(
                output, inputs, output_gradients=cotangent, unconnected_gradients="zero"
            ),
        )
    with torch.enable_grad():
        inputs = _leaves(inputs)
        output, auxiliary = fn(inputs)

    def pullback(cotangent):
        gradients = torch.autograd.grad(output, inputs, grad_outputs=cotangent, allow_unused=True)
        return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, gradients)]

    return output.detach(), _detach(auxiliary), pullback


def loop(body: Callable, carry: Any, count: int, after: Iterable = ()) -> tuple[Any, Any]:
    """``carry, y = body(carry, index)`` for each index below `count`, strictly one after the other.

    So that the memory of one turn is free before the next one begins, compiled or not.

    Args:
        body: a pure function; `y` is a tensor or None. On JAX the index is a tensor.
        carry: a nested structure of tensors, whose shapes stay.
        count: number of turns.
        after: tensors that must have been computed before the first turn begins.

    Returns:
        ``(carry, ys)``, the y of all turns stacked.
    """
    if BACKEND == "jax":
        # A loop of XLA's: of the same code written twice it would compute only one, and keep the results.
        return jax.lax.scan(body, carry, jax.numpy.arange(count))
    ys, done = [], list(after)
    for index in range(count):
        # A graph of TensorFlow would run all turns at once.
        with after_all(done):
            carry, y = body(carry, index)
        ys.append(y)
        done = keras.tree.flatten((carry, y)) if y is not None else keras.tree.flatten(carry)
    return carry, None if ys[0] is None else ops.stack(ys)


def after_all(tensors: Iterable) -> contextlib.AbstractContextManager:
    """A context: what it holds is computed after these tensors, and not at all if they cannot be."""
    if BACKEND == "tensorflow":
        return tf.control_dependencies(list(tensors))
    return contextlib.nullcontext()


def check(condition: Any, message: str, value: Any, then: Any) -> Any:
    """Raise an error with the message and the value where a tensor of TensorFlow's is false.

    Return the tensor `then`, which in a graph is there only after the check.
    """
    asserted = tf.debugging.Assert(condition, [message, "Received:", value])
    if asserted is None:  # checked at once
        return then
    with tf.control_dependencies([asserted]):
        return tf.identity(then)


def compiled(fn: Callable) -> Callable:
    """A pure function of tensors, traced once for each shape of them; on PyTorch the function itself."""
    if BACKEND == "jax":
        return jax.jit(fn)
    return tf.function(fn, autograph=False) if BACKEND == "tensorflow" else fn


def apply_gradients(optimizer: Any, gradients: list, variables: list) -> None:
    """One step of a Keras optimizer, including `LossScaleOptimizer`; variables as it was built with."""
    if BACKEND == "jax":
        # The stateless form is the one that `LossScaleOptimizer` supports inside a compiled step.
        new_values, new_state = optimizer.stateless_apply(
            current_values(optimizer.variables), gradients, current_values(variables)
        )
        assign(variables, new_values)
        assign(optimizer.variables, new_state)
    elif BACKEND == "torch":
        with torch.no_grad():
            # As Keras' optimizers do by themselves on TensorFlow.
            optimizer.apply(replicas.sum_over_replicas(gradients), variables)
    else:
        optimizer.apply(gradients, variables)


def assign(variables: list, values: list) -> None:
    """Assign each variable its value."""
    for variable, value in zip(variables, values):
        variable.assign(value)


def _leaves(tensors):
    return [t.detach().requires_grad_() for t in tensors]


def _detach(structure):
    return keras.tree.map_structure(
        lambda t: t.detach() if isinstance(t, torch.Tensor) else t, structure
    )
