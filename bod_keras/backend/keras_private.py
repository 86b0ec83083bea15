"""Keras' private names that more than one room needs, and what Keras gets wrong with several devices."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops

from bod_keras.backend import autodiff, replicas
from bod_keras.errors import UserError

BACKEND = keras.backend.backend()
if BACKEND == "tensorflow":
    import tensorflow as tf
elif BACKEND == "torch":
    from bod_keras.backend import torch_replicas


def all_layers(layer: keras.Layer) -> list[keras.Layer]:
    """A layer and all layers inside of it, at any depth, each once."""
    return list(layer._flatten_layers())


@contextlib.contextmanager
def synchronized(model: keras.Model) -> Iterator[None]:
    """Within a replica: Keras' batch normalizations of a model take their statistics over all replicas.

    Not once for all by ``synchronized=True``: a model saved with it does not load on another backend. Replicas
    take turns in one process and leave at different times, hence the count instead of a flag.
    """
    norms = [v for v in all_layers(model) if isinstance(v, keras.layers.BatchNormalization)]
    norms = norms if replicas.is_replica() else []
    for norm in norms:
        norm.synchronized += 1
        if BACKEND == "torch":  # where Keras cannot do it
            object.__setattr__(norm, "_moments", functools.partial(_moments_of, norm))
    try:
        yield
    finally:
        for norm in norms:
            norm.synchronized -= 1
            if BACKEND == "torch":
                object.__delattr__(norm, "_moments")


def _moments_of(norm, inputs, mask):
    if mask is not None:
        raise UserError(
            f"{norm.name} has a mask: batch statistics of masked inputs over several processes are not "
            "supported on PyTorch. Train in one process, or without the mask."
        )
    mean, variance = replicas.moments(inputs, norm._reduction_axes)
    return ops.squeeze(mean, axis=norm._reduction_axes), variance


def multi_worker_function(step: Any, strategy: Any) -> Callable | None:
    """What ``fit`` calls with an iterator over batches, where Keras' own would fail; None elsewhere.

    Keras (3.15) averages the logs of several machines along an axis that scalars have not. Those of
    `BiLevelModel` are the joint ones on every replica.
    """
    if BACKEND != "tensorflow" or not isinstance(
        strategy, tf.distribute.MultiWorkerMirroredStrategy
    ):
        return None

    @tf.function(autograph=False)
    def take_step(iterator):
        logs = strategy.run(step, args=(next(iterator),))
        return {name: strategy.experimental_local_results(v)[0] for name, v in logs.items()}

    return take_step


def fetch_state(model: keras.Model) -> None:
    """While Keras trains on JAX: give the variables of a model the values that the compiled step holds."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def step_for_backend(learn: Callable) -> Callable:
    """Make Keras' ``train_step`` or ``test_step`` of ``learn(model, data) -> logs``.

    TensorFlow and PyTorch call it as ``step(data)``; JAX as ``step(state, data) -> (logs, state)``.
    """
    if BACKEND == "tensorflow":
        return learn
    if BACKEND == "torch":
        return torch_replicas.step()(learn)

    def step(model, state, data):
        groups = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )[: len(state)]
        if len(state) == 3:  # a test step has no optimizer state
            groups = (groups[0], groups[1], model.metrics_variables)
        variables = [v for group in groups for v in group]
        values = [x for group in state for x in group]
        logs, new_values = autodiff.functional_call(lambda: learn(model, data), variables, values)
        new_values = iter(new_values)
        return logs, tuple([next(new_values) for _ in group] for group in groups)

    return step
