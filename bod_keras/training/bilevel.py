"""The bi-level update, as functions of lists of tensors: no model, no optimizer, no backend."""

import dataclasses
from collections import namedtuple

import keras
from keras import ops

from bod_keras.backend.autodiff import value_and_grad
from bod_keras.errors import UserError

_SCOPES = ("head", "all")
_HYPERGRADIENTS = ("first_order", "finite_difference", "exact")


@keras.saving.register_keras_serializable("bod_keras")
@dataclasses.dataclass(frozen=True)
class BiLevel:
    """Settings of the bi-level update.

    Lower level J: error of Koopman predictions (`KoopmanPrediction`). Upper level U: the contrastive losses.

        w_0 = w,  v_0 = what the last step left
        v_k = inner_momentum v_(k-1) - inner_learning_rate grad J(w_(k-1)),  w_k = w_(k-1) + v_k,
              k = 1..inner_steps
        h   = an estimate of dU(w_n) / dw
        w   = optimizer(w_n, h)

    Attributes:
        inner_steps: n >= 0; 0 leaves only the upper level.
        inner_learning_rate: step of the lower level, in units of weight per gradient of J: a number, or a
            `keras.optimizers.schedules.LearningRateSchedule` of the count of lower-level steps.
        scope: ``"head"``: the lower level moves the projection head only, and the backbone is run once a
            step; ``"all"``: it moves every trainable weight, as published, at about four times the cost.
        hypergradient: ``"first_order"`` (h = grad U(w_n)); ``"finite_difference"`` (goes back through the
            lower-level steps, with (grad J(w + e d) - grad J(w - e d)) / 2e for the product of J's Hessian
            and d, e = 0.01 / |d|); or ``"exact"`` (differentiates through the unrolled steps; small scopes).
        prediction: the kind of `KoopmanPrediction`.
        inner_momentum: in [0, 1); the velocities v are weights of the model, saved with it.

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
    inner_momentum: float = 0.0

    def __post_init__(self):
        if self.inner_steps < 0:
            raise UserError(f"inner_steps must not be negative. Received: {self.inner_steps}")
        if not self._scheduled and not self.inner_learning_rate > 0:
            raise UserError(
                "inner_learning_rate must be positive, or a LearningRateSchedule. "
                f"Received: {self.inner_learning_rate}"
            )
        if not 0 <= self.inner_momentum < 1:
            raise UserError(f"inner_momentum must lie in [0, 1). Received: {self.inner_momentum}")
        for name, choices in (("scope", _SCOPES), ("hypergradient", _HYPERGRADIENTS)):
            if getattr(self, name) not in choices:
                raise UserError(
                    f"{name} must be one of {', '.join(map(repr, choices))}. "
                    f"Received: {getattr(self, name)!r}"
                )

    def rates(self, count=0):
        """Learning rates of one update's lower-level steps, `count` of which have been taken before."""
        if self._scheduled:
            return [self.inner_learning_rate(count + k) for k in range(self.inner_steps)]
        return [self.inner_learning_rate] * self.inner_steps

    @property
    def _scheduled(self):
        return callable(self.inner_learning_rate)

    def get_config(self):
        config = dataclasses.asdict(self)
        if self._scheduled:
            config["inner_learning_rate"] = keras.saving.serialize_keras_object(
                self.inner_learning_rate
            )
        return config

    @classmethod
    def from_config(cls, config):
        rate = keras.saving.deserialize_keras_object(config["inner_learning_rate"])
        return cls(**{**config, "inner_learning_rate": rate})


Update = namedtuple("Update", "value auxiliary weights velocities gradients cotangents")
Update.__doc__ = (
    """What `bilevel_gradient` yields: U(w_n), its auxiliary output, w_n, v_n, h, dU/dinputs."""
)


def bilevel_gradient(
    upper,
    lower,
    weights,
    inputs,
    settings,
    velocities=None,
    rates=None,
    scale=1.0,
    reduce=lambda gradients: gradients,
):
    """Lower-level steps and the hypergradient.

    Args:
        upper: ``upper(weights, inputs) -> (U, auxiliary)``, U a scalar.
        lower: ``lower(weights, inputs) -> J``, a scalar.
        weights: list of float32 tensors that the lower level moves.
        inputs: list of tensors that both levels read and that need a cotangent (the backbone's features).
        settings: a `BiLevel`, or None for the upper level alone.
        velocities: v_0, a list like `weights`; zeros if None.
        rates: a learning rate for each lower-level step; ``settings.rates()`` if None.
        scale: loss scale for half precision: both levels are multiplied by it before they are
            differentiated. U, w_n and v_n are free of it; h and the cotangents keep it, for the optimizer.
        reduce: sums a list of gradients over the replicas that share `weights`, each with its own share of U
            and J. What is returned is each replica's share, for the optimizer to sum.

    Returns:
        An `Update`. Its cotangents include what the inputs do to U through the lower level.
    """
    n = len(weights)
    if velocities is None:
        velocities = [ops.zeros_like(w) for w in weights]
    if settings is None or not settings.inner_steps:
        settings = BiLevel(0, hypergradient="first_order")
    rates = settings.rates() if rates is None else rates
    momentum, exact = settings.inner_momentum, settings.hypergradient == "exact"

    def descend(values, features):
        """The points of the lower level: lists of weights, velocities, and the rate of the step taken."""
        points, now = [], velocities
        for rate in rates:
            _, _, slopes = value_and_grad(
                lambda w: (lower(w, features) * scale, ()), values, create_graph=exact
            )
            slopes = reduce(slopes)
            # As a loss-scaling optimizer does: a step that overflowed in half precision is left out.
            finite = ops.all(ops.stack([ops.all(ops.isfinite(g)) for g in slopes]))
            points.append((values, ops.where(finite, rate, 0.0)))
            slopes = [ops.where(finite, g / scale, 0.0) for g in slopes]
            now = [momentum * v - rate * g for v, g in zip(now, slopes)]
            values = [w + v for w, v in zip(values, now)]
        return values, now, points

    def scaled_upper(values):
        value, auxiliary = upper(values[:n], values[n:])
        return value * scale, (value, auxiliary)

    if exact:

        def unrolled(values):
            moved, now, _ = descend(values[:n], values[n:])
            scaled, rest = scaled_upper(moved + values[n:])
            return scaled, (*rest, moved, now)

        _, (value, auxiliary, moved, now), gradients = value_and_grad(unrolled, weights + inputs)
        return Update(value, auxiliary, moved, now, gradients[:n], gradients[n:])

    moved, now, points = descend(weights, inputs)
    _, (value, auxiliary), gradients = value_and_grad(scaled_upper, moved + inputs)
    if settings.hypergradient == "finite_difference":
        # w_k = w_(k-1) + v_k and v_k = momentum v_(k-1) - rate grad J(w_(k-1)), backwards.
        of_velocity = [ops.zeros_like(w) for w in weights]
        for point, rate in reversed(points):
            of_velocity = [v + g for v, g in zip(of_velocity, reduce(gradients[:n]))]
            direction = [-rate * v for v in of_velocity]
            mixed = _hessian_product(lower, point, inputs, direction, scale)
            gradients = [g + ops.cast(m, g.dtype) for g, m in zip(gradients, mixed)]
            of_velocity = [momentum * v for v in of_velocity]
    return Update(value, auxiliary, moved, now, gradients[:n], gradients[n:])


def _hessian_product(lower, weights, inputs, direction, scale):
    """d/d(weights, inputs) of <grad_w J, direction>, by a central difference along the direction."""
    n = len(weights)
    norm = ops.sqrt(sum(ops.sum(ops.square(d)) for d in direction))
    size = 0.01 / ops.maximum(norm, 1e-12)

    def gradient_at(sign):
        shifted = [w + sign * size * d for w, d in zip(weights, direction)]
        _, _, gradients = value_and_grad(
            lambda v: (lower(v[:n], v[n:]) * scale, ()), shifted + inputs
        )
        return gradients

    # In float32: under mixed precision the features, and with them their gradients, are half floats.
    return [
        (ops.cast(p, "float32") - ops.cast(m, "float32")) / (2.0 * size * scale)
        for p, m in zip(gradient_at(1.0), gradient_at(-1.0))
    ]
