"""What the replicas of one step tell each other: rows, sums and means, on each backend, differentiable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
from keras import ops

BACKEND = keras.backend.backend()
if BACKEND == "tensorflow":
    import tensorflow as tf
elif BACKEND == "torch":
    from bod_keras.backend import torch_replicas


def count() -> int:
    """Over how many replicas the current step goes: those of a `tf.distribute` strategy, PyTorch's processes.

    On JAX it is always 1: there a step is written for the joint batch, and XLA divides the work.
    """
    if BACKEND == "tensorflow":
        return tf.distribute.get_strategy().num_replicas_in_sync
    return torch_replicas.replicas() if BACKEND == "torch" else 1


def is_replica() -> bool:
    """Whether this code is run by one of several replicas, and not for all of them together."""
    if BACKEND == "tensorflow":
        return count() > 1 and tf.distribute.get_replica_context() is not None
    return count() > 1


def _rank():
    """Which of the replicas runs this code; a tensor on TensorFlow."""
    if BACKEND == "tensorflow":
        return tf.distribute.get_replica_context().replica_id_in_sync_group
    return torch_replicas.rank()


def gather(x: Any) -> Any:
    """The rows of all replicas, in the same order on each; differentiable. `x` itself outside of a replica."""
    if not is_replica():
        return x
    if BACKEND == "torch":
        return torch_replicas.gather(x)
    x = tf.identity(x)  # on the replica's device, which what comes from the data does not name
    rows = tf.distribute.get_replica_context().all_gather(x, axis=0)
    rows.set_shape([None, *x.shape[1:]])  # unknown while tracing
    return rows


def own_rows(x: Any) -> Any:
    """The rows that `gather` would have put into `x` from this replica. `x` itself outside of a replica."""
    if not is_replica():
        return x
    rows = ops.shape(x)[0] // count()
    return x[_rank() * rows : (_rank() + 1) * rows]


def row_numbers(x: Any) -> Any:
    """0, 1, ...: a number for each row of the joint batch, of which `x` has this replica's."""
    return ops.arange(ops.shape(x)[0] * (count() if is_replica() else 1))


def next_rows(x: Any) -> Any:
    """For each row of the joint batch the next one, around its end."""
    if not is_replica():
        return ops.roll(x, -1, axis=0)
    firsts = gather(x[:1])
    other = (_rank() + 1) % count()
    return ops.concatenate([x[1:], firsts[other : other + 1]], axis=0)


def sum_over_replicas(tensors: Iterable) -> Any:
    """The sums of equally shaped tensors; differentiable. The tensors themselves outside of a replica."""
    if not tensors or not is_replica():
        return tensors
    if BACKEND == "torch":
        return torch_replicas.sum_over_replicas(tensors)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)


def share(loss: Any) -> Any:
    """A loss that a `keras.losses.Loss` reduced, as this replica's share of the joint one.

    On TensorFlow Keras has divided it by the number of replicas, on the other backends it does not.
    """
    return loss / count() if BACKEND == "torch" and count() > 1 else loss


def mean_over_replicas(x: Any) -> Any:
    """As `sum_over_replicas`, of one tensor, divided by their number."""
    if not is_replica():
        return x
    return sum_over_replicas([x])[0] / count()


def moments(x: Any, axes: Sequence[int]) -> tuple[Any, Any]:
    """Mean, with the axes kept, and variance over all replicas."""
    mean = mean_over_replicas(ops.mean(x, axis=axes, keepdims=True))
    return mean, mean_over_replicas(ops.mean(ops.square(x - mean), axis=axes))
