"""The decoupled contrastive loss: one loss for the static parts, one for the dynamic parts."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bod_keras.errors import UserError


@keras.saving.register_keras_serializable("bod_keras")
class DecoupledLoss(keras.losses.Loss):
    """Contrast static with static parts and dynamic with dynamic parts:

        l_i = static(s_a, s_b)_i + dynamic_weight dynamic(d_a, d_b)_i.

    Args:
        static, dynamic: losses of two views, such as `InfoNCE`, that give one value per sample.
        dynamic_weight: as above.

    Call arguments:
        parts_a, parts_b: ``(s, d)`` of either view, as `KoopmanSplit` returns them: (B, D) and (B, K), row i
            of both views from video i.

    Returns:
        Reduced as `reduction` says from one value per sample, (B,), float32. `terms` returns both losses.

    Raises:
        ValueError: parts that are not a pair.

    Example:
        >>> import numpy as np, bod_keras
        >>> loss = bod_keras.DecoupledLoss(
        ...     static=bod_keras.InfoNCE(0.2), dynamic=bod_keras.InfoNCE(0.1))
        >>> frames = np.random.default_rng(0).normal(size=(2, 4, 8, 32)).astype("float32")
        >>> split = bod_keras.KoopmanSplit()
        >>> value = loss(split(frames[0]), split(frames[1]))
        >>> sorted(loss.terms(split(frames[0]), split(frames[1])))
        ['dynamic', 'static']

    Reference:
        Song et al., arXiv 2407.14069, L_A + L_M.
    """

    def __init__(
        self,
        static: keras.losses.Loss,
        dynamic: keras.losses.Loss,
        dynamic_weight: float = 1.0,
        reduction: str = "sum_over_batch_size",
        name: str = "decoupled_loss",
    ):
        super().__init__(reduction=reduction, name=name, dtype="float32")
        if not dynamic_weight >= 0:
            raise UserError(f"dynamic_weight must not be negative. Received: {dynamic_weight}")
        self.static = static
        self.dynamic = dynamic
        self.dynamic_weight = dynamic_weight

    def terms(self, parts_a: Any, parts_b: Any) -> dict[str, Any]:
        """Return both losses by name, each with one value per sample, (B,), without weight."""
        for parts in (parts_a, parts_b):
            pair = isinstance(parts, (tuple, list))
            if not pair or len(parts) != 2:
                count = f" of {len(parts)}" if pair else ""
                raise UserError(
                    "DecoupledLoss expects the parts of two views, ((s_a, d_a), (s_b, d_b)). "
                    f"Received: {type(parts).__name__}{count}"
                )
        return {
            "static": self.static.call(parts_a[0], parts_b[0]),
            "dynamic": self.dynamic.call(parts_a[1], parts_b[1]),
        }

    def call(self, parts_a, parts_b):
        terms = self.terms(parts_a, parts_b)
        return self.total(terms)

    def total(self, terms: dict[str, Any]) -> Any:
        """Return the weighted sum of losses by name, per sample or reduced."""
        # Not a sum of products: TensorFlow's optimizer may or may not take a common factor out of that, by
        # chance, and then the last bit of two equal runs differs.
        weights = ops.convert_to_tensor([1.0, self.dynamic_weight], "float32")
        values = ops.stack([terms["static"], terms["dynamic"]], axis=-1)
        return ops.sum(values * weights, axis=-1)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "static": serialize(self.static),
            "dynamic": serialize(self.dynamic),
            "dynamic_weight": self.dynamic_weight,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("static", "dynamic"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)
