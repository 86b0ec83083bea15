"""Weight decay that leaves out biases and the parameters of normalizations."""

from __future__ import annotations

import keras

_VECTORS = ["bias", "gamma", "beta"]


def exclude_vectors_from_weight_decay(optimizer: keras.optimizers.Optimizer) -> None:
    """Take biases and the parameters of normalizations out of an optimizer's weight decay.

    Keras does not save that exclusion with an optimizer: call this after loading one, too.

    Args:
        optimizer: any Keras optimizer, also inside a `LossScaleOptimizer`, built or not.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if inner.weight_decay:
        inner.exclude_from_weight_decay(var_names=_VECTORS)
