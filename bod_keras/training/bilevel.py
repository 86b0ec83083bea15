"""The bi-level update, as functions of lists of tensors: no model, no optimizer, no backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from bod_keras.backend.autodiff import value_and_grad
from bod_keras.decoupling import BiLevel


class Update(NamedTuple):
    """What `bilevel_gradient` yields: U(w_n), its auxiliary output, w_n, h, dU/dinputs."""

    value: Any
    auxiliary: Any
    weights: list
    gradients: list
    cotangents: list


def bilevel_gradient(
    upper: Callable,
    lower: Callable,
    weights: list,
    inputs: list,
    settings: BiLevel | None,
    scale: Any = 1.0,
    reduce: Callable[[list], list] = lambda gradients: gradients,
) -> Update:
    """Take the lower-level steps and return the hypergradient.

        w_0 = w,   w_k = w_(k-1) - rate grad J(w_(k-1)),   k = 1..n
        g_n = grad U(w_n),   g_(k-1) = g_k - rate H(w_(k-1)) g_k,   h = g_0

    with H the Hessian of J. H v is a central difference of grad J along v, of size 0.01 / |rate v|.

    Args:
        upper: ``upper(weights, inputs) -> (U, auxiliary)``, U a scalar.
        lower: ``lower(weights, inputs) -> J``, a scalar.
        weights: list of float32 tensors that the lower level moves.
        inputs: list of tensors that both levels read and that need a cotangent (the backbone's features).
        settings: a `BiLevel`, or None for the upper level alone.
        scale: loss scale for half precision: both levels are multiplied by it before they are
            differentiated. U and w_n are free of it; h and the cotangents keep it, for the optimizer.
        reduce: sums a list of gradients over the replicas that share `weights`, each with its own share of U
            and J. What is returned is each replica's share, for the optimizer to sum.

    Returns:
        An `Update`. Its cotangents include what the inputs do to U through the lower level.

    Reference:
        Song et al., arXiv 2407.14069; Liu et al., "DARTS", arXiv 1806.09055, eq. 8.
    """
    n = len(weights)
    points = []  # the weights before each lower-level step, and its rate
    moved = weights
    for _ in range(settings.inner_steps if settings is not None else 0):
        _, _, slopes = value_and_grad(lambda w: (lower(w, inputs) * scale, ()), moved)
        slopes = reduce(slopes)
        # As a loss-scaling optimizer does: a step that overflowed in half precision is left out.
        finite = ops.all(ops.stack([ops.all(ops.isfinite(g)) for g in slopes]))
        rate = ops.where(finite, settings.inner_learning_rate, 0.0)
        points.append((moved, rate))
        moved = [w - rate * ops.where(finite, g / scale, 0.0) for w, g in zip(moved, slopes)]

    def scaled_upper(values):
        value, auxiliary = upper(values[:n], values[n:])
        return value * scale, (value, auxiliary)

    _, (value, auxiliary), gradients = value_and_grad(scaled_upper, moved + inputs)
    for point, rate in reversed(points):
        direction = [-rate * g for g in reduce(gradients[:n])]
        mixed = _hessian_product(lower, point, inputs, direction, scale)
        gradients = [g + ops.cast(m, g.dtype) for g, m in zip(gradients, mixed)]
    return Update(value, auxiliary, moved, gradients[:n], gradients[n:])


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
