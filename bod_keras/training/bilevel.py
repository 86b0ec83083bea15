"""The bi-level update, as functions of lists of tensors: no model, no optimizer, no backend."""

import dataclasses

import keras
from keras import ops

from bod_keras.training.autodiff import value_and_grad

_SCOPES = ("head", "all")
_HYPERGRADIENTS = ("first_order", "finite_difference", "exact")


@keras.saving.register_keras_serializable("bod_keras")
@dataclasses.dataclass(frozen=True)
class BiLevel:
    """Settings of the bi-level update.

    Lower level J: error of Koopman predictions (`KoopmanPrediction`). Upper level U: the contrastive losses.

        w_0 = w,  w_k = w_(k-1) - inner_learning_rate grad J(w_(k-1)),  k = 1..inner_steps
        h   = an estimate of dU(w_n) / dw
        w   = optimizer(w_n, h)

    Attributes:
        inner_steps: n >= 0; 0 leaves only the upper level.
        inner_learning_rate: step of the lower level, in units of weight per gradient of J.
        scope: ``"head"``: the lower level moves the projection head only, and the backbone is run once a
            step; ``"all"``: it moves every trainable weight, as published, at about four times the cost.
        hypergradient: ``"first_order"`` (h = grad U(w_n)), ``"finite_difference"`` (adds the second-order
            term -lr [grad J(w_n + e g) - grad J(w_n - e g)] / 2e, e = 0.01 / |g|), or ``"exact"``
            (differentiates through the unrolled lower level; small scopes).
        prediction: the kind of `KoopmanPrediction`.

    Raises:
        ValueError: a setting out of its range.

    Example:
        >>> import bod_keras
        >>> bod_keras.BiLevel(inner_steps=2).scope
        'head'

    Reference:
        arXiv 2407.14069; the finite difference is that of Liu et al., "DARTS", arXiv 1806.09055, eq. 8.
    """

    inner_steps: int = 1
    inner_learning_rate: float = 1.0
    scope: str = "head"
    hypergradient: str = "finite_difference"
    prediction: str = "cross_clip"

    def __post_init__(self):
        if self.inner_steps < 0:
            raise ValueError(f"inner_steps must not be negative. Received: {self.inner_steps}")
        if not self.inner_learning_rate > 0:
            raise ValueError(
                f"inner_learning_rate must be positive. Received: {self.inner_learning_rate}"
            )
        for name, choices in (("scope", _SCOPES), ("hypergradient", _HYPERGRADIENTS)):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(map(repr, choices))}. "
                    f"Received: {getattr(self, name)!r}"
                )

    def get_config(self):
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def bilevel_gradient(upper, lower, weights, inputs, settings):
    """Lower-level steps and the hypergradient.

    Args:
        upper: ``upper(weights, inputs) -> (U, auxiliary)``, U a scalar.
        lower: ``lower(weights, inputs) -> J``, a scalar.
        weights: list of tensors that the lower level moves.
        inputs: list of tensors that both levels read and that need a cotangent (the backbone's features).
        settings: a `BiLevel`, or None for the upper level alone.

    Returns:
        ``(value, auxiliary, moved, h, cotangents)``: U at the moved weights, its auxiliary output, w_n, the
        hypergradient for the weights, and the gradient for the inputs, which includes the mixed second-order
        term of the lower level.
    """
    n = len(weights)
    steps = settings.inner_steps if settings else 0
    if steps and settings.hypergradient == "exact":

        def unrolled(values):
            moved = _descend(lower, values[:n], values[n:], settings, create_graph=True)
            value, auxiliary = upper(moved, values[n:])
            return value, (auxiliary, moved)

        value, (auxiliary, moved), gradients = value_and_grad(unrolled, weights + inputs)
        return value, auxiliary, moved, gradients[:n], gradients[n:]

    moved = _descend(lower, weights, inputs, settings) if steps else weights
    value, auxiliary, gradients = value_and_grad(lambda v: upper(v[:n], v[n:]), moved + inputs)
    if steps and settings.hypergradient == "finite_difference":
        correction = _mixed_derivative(lower, moved, inputs, gradients[:n])
        gradients = [
            g - ops.cast(settings.inner_learning_rate * c, g.dtype)
            for g, c in zip(gradients, correction, strict=True)
        ]
    return value, auxiliary, moved, gradients[:n], gradients[n:]


def _descend(lower, weights, inputs, settings, create_graph=False):
    for _ in range(settings.inner_steps):
        _, _, gradients = value_and_grad(
            lambda w: (lower(w, inputs), ()), weights, create_graph=create_graph
        )
        # As a loss-scaling optimizer does: a step that overflowed in half precision is left out.
        finite = ops.all(ops.stack([ops.all(ops.isfinite(g)) for g in gradients]))
        weights = [
            w - settings.inner_learning_rate * ops.where(finite, g, ops.zeros_like(g))
            for w, g in zip(weights, gradients)
        ]
    return weights


def _mixed_derivative(lower, weights, inputs, direction):
    """d/d(weights, inputs) of <grad_w J, direction>, by a central difference along the direction."""
    n = len(weights)
    norm = ops.sqrt(sum(ops.sum(ops.square(g)) for g in direction))
    size = 0.01 / ops.maximum(norm, 1e-12)

    def gradient_at(sign):
        shifted = [w + sign * size * g for w, g in zip(weights, direction)]
        _, _, gradients = value_and_grad(lambda v: (lower(v[:n], v[n:]), ()), shifted + inputs)
        return gradients

    # In float32: under mixed precision the features, and with them their gradients, are half floats.
    return [
        (ops.cast(p, "float32") - ops.cast(m, "float32")) / (2.0 * size)
        for p, m in zip(gradient_at(1.0), gradient_at(-1.0))
    ]
