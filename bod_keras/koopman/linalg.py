"""Koopman mathematics of one clip, in float32, on (T-1) x (T-1) matrices: the D x D operator is never formed.

Rows are frames. With X the past and Y the future frames of a clip, the operator is the ridge
least-squares solution A = X^+ Y of X A = Y, and for every function g with g(0) = 0

    g(A) = X^+ [g(M) M^-1] Y,      M = Y X^+   (the reduced operator, same non-zero eigenvalues),

so that the part of A on a group of eigenvalues is X^+ P Y, with P the spectral projector of M.
"""

import math

import numpy as np
from keras import ops

# Below this a Gram matrix is that of an all-zero clip; it only keeps the solver from refusing it.
_TINY = 1e-12
# Distances to 1 are floored here: the contour's radius must not vanish when an eigenvalue is 1 exactly.
_DISTANCE_FLOOR = 1e-3
# Members of a conjugate pair have equal distances up to rounding.
_PAIR_TOLERANCE = 1e-3
FALLBACK_MARGIN = 1.1


def solve(a, b):
    """Solve ``a x = b`` for a batch; a system with a non-finite matrix is replaced by the identity.

    TensorFlow and PyTorch raise from deep inside a kernel when a matrix is not finite. The values that
    made it so are also in ``b`` or in what follows, so they still reach the loss, where they are reported.

    Args:
        a: (..., n, n).
        b: (..., n, k).

    Returns:
        (..., n, k), same dtype.
    """
    finite = ops.all(ops.isfinite(ops.abs(a)), axis=(-2, -1), keepdims=True)
    identity = ops.eye(a.shape[-1], dtype=a.dtype)
    return ops.solve(ops.where(finite, a, identity), b)


def normalise_frames(frames):
    """L2-normalise over the last axis, with a finite gradient at zero. (..., D) -> (..., D)."""
    return frames * ops.rsqrt(ops.sum(ops.square(frames), axis=-1, keepdims=True) + _TINY)


def transitions(embeddings, normalise=True):
    """Split embeddings (B, T, D) into past and future frames, each (B, T-1, D), in float32."""
    frames = ops.cast(embeddings, "float32")
    if normalise:
        frames = normalise_frames(frames)
    return frames[:, :-1], frames[:, 1:]


def add_ridge(gram, ridge):
    """``K + ridge tr(K)/n I`` for Gram matrices K (..., n, n)."""
    n = gram.shape[-1]
    level = ridge * ops.trace(gram, axis1=-2, axis2=-1) / n + _TINY
    return gram + level[..., None, None] * ops.eye(n, dtype=gram.dtype)


def regularised_gram(past, ridge):
    """``G = X X' + ridge tr(X X')/n I``, which the pseudo-inverse X^+ = X' G^-1 inverts. (B, n, n)."""
    return add_ridge(ops.matmul(past, ops.swapaxes(past, -1, -2)), ridge)


def reduced_operator(past, future, gram):
    """The reduced operator ``M = Y X^+ = Y X' G^-1``.

    Args:
        past: X, (B, n, D).
        future: Y, (B, n, D).
        gram: `regularised_gram` of X, (B, n, n), symmetric.

    Returns:
        (B, n, n); its non-zero eigenvalues are those of the D x D operator.
    """
    cross = ops.matmul(past, ops.swapaxes(future, -1, -2))
    return ops.swapaxes(solve(gram, cross), -1, -2)


def eigenvalues(matrix):
    """Eigenvalues of real (..., n, n) matrices as a pair of real arrays (real, imaginary), without gradient."""
    values, _ = ops.eig(_finite_or_zero(ops.stop_gradient(matrix)))
    return ops.real(values), ops.imag(values)


def distances_to_one(matrix):
    """|lambda - 1| of every eigenvalue in ascending order, (..., n), without gradient."""
    real, imaginary = eigenvalues(matrix)
    return ops.sort(ops.sqrt(ops.square(real - 1.0) + ops.square(imaginary)), axis=-1)


def count_radius(distances, count):
    """Radius around 1 that holds the `count` closest eigenvalues, conjugate pairs kept together.

    The radius is the geometric mean of the distances on either side of the gap.

    Args:
        distances: (..., n) ascending, from `distances_to_one`.
        count: how many eigenvalues are static, 1..n-1 (n takes all).

    Returns:
        (...,) float32.
    """
    n = distances.shape[-1]
    kth = distances[..., min(count, n) - 1 : min(count, n)]
    inside = distances <= kth * (1.0 + _PAIR_TOLERANCE) + _DISTANCE_FLOOR * _PAIR_TOLERANCE
    last = ops.max(ops.where(inside, distances, 0.0), axis=-1)
    outermost = distances[..., -1:]
    first = ops.min(ops.where(inside, 4.0 * outermost + 1.0, distances), axis=-1)
    return ops.sqrt(ops.maximum(last, _DISTANCE_FLOOR) * ops.maximum(first, _DISTANCE_FLOOR))


def spectral_radius(matrix, squarings=7):
    """max |lambda| by Gelfand's formula ``|M^(2^k)|^(1/2^k)``; at most n^(1/2^k) too large, no eigensolver.

    Args:
        matrix: (..., n, n).
        squarings: k; 7 gives 2 % for n = 15.

    Returns:
        (...,), without gradient.
    """
    power = _finite_or_zero(ops.stop_gradient(matrix))
    log_norm = 0.0
    for k in range(squarings + 1):
        if k:
            power = ops.matmul(power, power)
        norm = ops.sqrt(ops.sum(ops.square(power), axis=(-2, -1))) + 1e-30
        power = power / norm[..., None, None]
        log_norm = 2.0 * log_norm + ops.log(norm) if k else ops.log(norm)
    return ops.exp(log_norm / 2.0**squarings)


def nearest_distance(matrix):
    """Smallest |lambda - 1|, as 1 / spectral radius of (I - M)^-1, without eigensolver or gradient. (...,)."""
    matrix = _finite_or_zero(ops.stop_gradient(matrix))
    identity = ops.eye(matrix.shape[-1], dtype=matrix.dtype)
    # The shift keeps the system regular where an eigenvalue is 1 to the last bit.
    inverse = solve((1.0 + 1e-5) * identity - matrix, identity + 0.0 * matrix)
    return 1.0 / spectral_radius(inverse)


def threshold_radius(nearest, threshold):
    """The threshold, or where no eigenvalue lies within it, 1.1 x the distance of the closest one. (...,)."""
    return ops.where(nearest <= threshold, threshold, FALLBACK_MARGIN * nearest)


def eig_projector(matrix, radius):
    """Spectral projector onto the eigenvalues with |lambda - 1| <= radius, from an eigendecomposition.

    With M = V diag(lambda) V^-1 and h = 1 inside the circle, 0 outside, P = V diag(h) V^-1. The gradient is
    that of the projector, not of eigenvectors (Daleckii-Krein):
    dP = V (F o (V^-1 dM V)) V^-1, F_ij = (h_i - h_j) / (lambda_i - lambda_j) between the two groups, 0 within
    one. It is free of the eigenvectors' phase and sees only the gap between the groups.

    Args:
        matrix: (B, n, n) real, diagonalisable.
        radius: (B,) float32; has no gradient.

    Returns:
        (B, n, n) real projector.
    """

    @ops.custom_gradient
    def projector(m, r):
        values, vectors = ops.eig(_finite_or_zero(m))
        n = m.shape[-1]
        real, imaginary = ops.real(values), ops.imag(values)
        distance = ops.sqrt(ops.square(real - 1.0) + ops.square(imaginary))
        inside = ops.cast(distance <= r[..., None], "float32")
        identity = ops.cast(ops.eye(n), "complex64")
        inverse = solve(vectors, identity + ops.zeros_like(vectors))
        result = ops.real(ops.matmul(ops.multiply(vectors, _complex(inside)[..., None, :]), inverse))

        def grad(*args, upstream=None):
            if upstream is None:
                (upstream,) = args
            step = inside[..., :, None] - inside[..., None, :]
            gap_r = real[..., :, None] - real[..., None, :]
            gap_i = imaginary[..., :, None] - imaginary[..., None, :]
            size = ops.maximum(ops.square(gap_r) + ops.square(gap_i), 1e-12)
            divided = _complex(step * gap_r / size, -step * gap_i / size)
            inner = ops.matmul(
                ops.matmul(inverse, _complex(ops.swapaxes(upstream, -1, -2))), vectors
            )
            inner = ops.multiply(inner, ops.swapaxes(divided, -1, -2))
            outer = ops.real(ops.matmul(ops.matmul(vectors, inner), inverse))
            return ops.swapaxes(outer, -1, -2), ops.zeros_like(r)

        return result, grad

    return projector(matrix, ops.stop_gradient(radius))


def resolvent_projector(matrix, radius, order=64):
    """Spectral filter around 1 from the resolvent (z I - M)^-1 on a circle: no eigendecomposition.

    The q-point trapezoid rule for the contour integral of (z I - M)^-1 on |z - 1| = radius is exactly the
    Butterworth filter h(lambda) = 1 / (1 + ((lambda - 1) / radius)^q). It tends to the projector of
    `eig_projector` as q grows, and is smooth in M for every q. Half of the nodes suffice (conjugates).

    Args:
        matrix: (B, n, n) real.
        radius: (B,) float32; has no gradient.
        order: q, even. 64 agrees with the hard split to 1e-4 if no eigenvalue is within 20 % of the circle.

    Returns:
        (B, n, n) real.
    """
    angles = math.pi * (2 * np.arange(order // 2) + 1) / order
    cos = np.cos(angles).astype("float32")[:, None, None]
    sin = np.sin(angles).astype("float32")[:, None, None]
    r = ops.stop_gradient(radius)[..., None, None, None]
    identity = np.eye(matrix.shape[-1], dtype="float32")
    shifted = _complex(
        (1.0 + r * cos) * identity - matrix[..., None, :, :],
        ops.broadcast_to(r * sin * identity, (*ops.shape(matrix)[:-2], order // 2, *identity.shape)),
    )
    weights = _complex(r * cos * identity, r * sin * identity)
    terms = ops.real(solve(shifted, weights))
    return (2.0 / order) * ops.sum(terms, axis=-3)


def _complex(real, imaginary=None):
    result = ops.cast(real, "complex64")
    if imaginary is None:
        return result
    return ops.add(result, ops.multiply(ops.cast(imaginary, "complex64"), 1j))


def _finite_or_zero(matrix):
    finite = ops.all(ops.isfinite(matrix), axis=(-2, -1), keepdims=True)
    return ops.where(finite, matrix, ops.zeros_like(matrix))
