"""Koopman mathematics of one clip, in float32, on (T-1) x (T-1) matrices: the D x D operator is never formed.

Rows are frames. With X the past and Y the future frames of a clip, the operator is the ridge
least-squares solution A = X^+ Y of X A = Y, and for every function g with g(0) = 0

    g(A) = X^+ [g(M) M^-1] Y,      M = Y X^+   (the reduced operator, same non-zero eigenvalues),

so that the part of A on a group of eigenvalues is X^+ P Y, with P the spectral projector of M.
"""

import math

import keras
import numpy as np
from keras import ops

from bod_keras.backend import autodiff, small_matrices

# What only keeps a solver from refusing a clip of zeros.
_TINY = 1e-12
# Frames whose largest number is below this have no direction that float32 holds.
_SMALLEST_FRAME = 1e-30
# Distances to 1 are floored here: the contour's radius must not vanish when an eigenvalue is 1 exactly.
_DISTANCE_FLOOR = 1e-3
# Members of a conjugate pair have equal distances up to rounding.
_PAIR_TOLERANCE = 1e-3
# The fallback's circle passes well outside of the closest eigenvalue, or its gradient would be the slope there.
FALLBACK_MARGIN = 1.25
# Eigenvectors lose digits by their condition number, and a small ridge drowns in the rounding of a Gram matrix:
# both are computed in float64, which takes no longer, except on JAX, which has none.
EXACT = "float32" if keras.backend.backend() == "jax" else "float64"
_EXACT_COMPLEX = {"float32": "complex64", "float64": "complex128"}[EXACT]
# A ridge below the first is added in `EXACT`; one below the second drowns there too.
_SMALL_RIDGE = 1e-3
LEAST_RIDGE = {"float32": 1e-5, "float64": 1e-11}[EXACT]
# Added to eigenvectors before they are inverted, and the largest inverse that is still taken for one.
_EIG_SHIFT = {"float32": 1e-7, "float64": 1e-12}[EXACT]
_LARGEST_INVERSE = 1e4
# This many squarings of a matrix of norm 1 stay above this norm, unless it is nilpotent.
_SQUARINGS_IN_RANGE = {"float32": (2, 1e-30), "float64": (5, 1e-300)}
# The resolvent's filter starts from a trapezoid rule of this order, and doubles it from there.
_FIRST_ORDER = 4


def inverse(a):
    """Inverse of (..., n, n) matrices; a non-finite one is replaced by the identity.

    TensorFlow and PyTorch raise from deep inside a kernel when a matrix is not finite. The values that made it
    so are also in what it is multiplied by, so they still reach the loss, where they are reported.
    """
    finite = ops.all(ops.isfinite(a), axis=(-2, -1), keepdims=True)
    return small_matrices.inverse(ops.where(finite, a, ops.eye(a.shape[-1], dtype=a.dtype)))


def normalize_frames(frames):
    """L2-normalize over the last axis, whatever the scale. (..., D) -> (..., D).

    A frame of zeros stays zero and gets no gradient.
    """
    largest = ops.stop_gradient(ops.max(ops.abs(frames), axis=-1, keepdims=True))
    alive = largest > _SMALLEST_FRAME
    # Two `where`: the inner one keeps the branch that is not taken finite, and its gradient too.
    one = ops.ones_like(
        largest
    )  # of the device: PyTorch copies a number of Python's to it, and waits
    frames = frames / ops.where(alive, largest, one)
    square = ops.sum(ops.square(frames), axis=-1, keepdims=True)
    length = ops.rsqrt(ops.where(alive, square, one))
    return frames * ops.where(alive, length, ops.zeros_like(length))


def transitions(embeddings):
    """Split embeddings (B, T, D) into normalized past and future frames, each (B, T-1, D), in float32."""
    frames = normalize_frames(ops.cast(embeddings, "float32"))
    return frames[:, :-1], frames[:, 1:]


def pseudo_inverse(past, ridge):
    """The ridge pseudo-inverse ``X^+ = X' (X X' + e I)^-1 = (X' X + e I)^-1 X'``, e = ridge tr(X X') / n.

    Of the two equal forms the one with the smaller system is taken: the other one is singular but for the
    ridge. Frames of a clip can be linearly dependent too, so a small ridge is added in float64.

    Args:
        past: X, (B, n, D).
        ridge: relative to the mean squared norm of a frame.

    Returns:
        (B, D, n) float32, so that A = X^+ Y and M = Y X^+.
    """
    frames, width = past.shape[-2:]
    dtype = EXACT if ridge < _SMALL_RIDGE else "float32"
    # A clip that is not finite would stop the solver; its own frames, on the right side, still report it.
    clean, side = ops.cast(finite_or_zero(past), dtype), ops.cast(past, dtype)
    if frames > width:
        clean, side = transposed(clean), transposed(side)
    # Operators: products by `keras.ops` are rounded to float32 on PyTorch.
    gram = clean @ transposed(clean)
    level = ridge * ops.trace(gram, axis1=-2, axis2=-1) / frames + _TINY
    gram = gram + level[..., None, None] * ops.eye(gram.shape[-1], dtype=dtype)
    solution = ops.cast(small_matrices.solve(gram, side), "float32")
    return transposed(solution) if frames <= width else solution


def transposed(matrix):
    """(..., m, n) -> (..., n, m)."""
    return ops.swapaxes(matrix, -1, -2)


def eigendecomposition(matrix):
    """Complex eigenvalues (..., n) and eigenvectors (..., n, n) of real matrices, without gradient.

    In double precision where the backend has it. Pass the pair to `distances_to_one` and `eig_projector`
    to decompose once.
    """
    return ops.eig(ops.cast(finite_or_zero(ops.stop_gradient(matrix)), EXACT))


def eigenvalues(matrix):
    """Eigenvalues of real (..., n, n) matrices as a pair of float32 arrays (real, imaginary), no gradient."""
    values, _ = eigendecomposition(matrix)
    return ops.cast(ops.real(values), "float32"), ops.cast(ops.imag(values), "float32")


def distances_to_one(matrix, spectrum=None):
    """|lambda - 1| of every eigenvalue in ascending order, (..., n) float32, without gradient.

    Args:
        matrix: (..., n, n) real.
        spectrum: its `eigendecomposition`, if at hand.
    """
    values, _ = eigendecomposition(matrix) if spectrum is None else spectrum
    return ops.cast(ops.sort(_distance(values), axis=-1), "float32")


def closest_radius(distances):
    """Radius around 1 that holds the closest eigenvalue, or conjugate pair, and no other.

    The geometric mean of the distances on either side of the gap.

    Args:
        distances: (..., n) ascending, from `distances_to_one`.

    Returns:
        (...,) float32.
    """
    nearest = distances[..., :1]
    inside = distances <= nearest * (1.0 + _PAIR_TOLERANCE) + _DISTANCE_FLOOR * _PAIR_TOLERANCE
    last = ops.max(ops.where(inside, distances, 0.0), axis=-1)
    outermost = distances[..., -1:]
    first = ops.min(ops.where(inside, 4.0 * outermost + 1.0, distances), axis=-1)
    return ops.sqrt(ops.maximum(last, _DISTANCE_FLOOR) * ops.maximum(first, _DISTANCE_FLOOR))


def normalized_power(matrix, squarings):
    """``M^(2^squarings)``, scaled to a Frobenius norm of 1, and the logarithm of its norm, (...,)."""
    power, log_norm = finite_or_zero(matrix), 0.0
    in_range, least = _SQUARINGS_IN_RANGE[keras.backend.standardize_dtype(matrix.dtype)]
    for k in range(squarings + 1):
        if k:
            power = power @ power
            log_norm = 2.0 * log_norm
        if k % in_range == 0 or k == squarings:
            norm = frobenius(power) + least
            power = power / norm
            log_norm = log_norm + ops.log(norm)
    return power, log_norm[..., 0, 0]


def frobenius(matrix):
    """Frobenius norm, (..., 1, 1)."""
    return ops.sqrt(inner_product(matrix, matrix))


def inner_product(one, other):
    """``tr(A' B)``, (..., 1, 1)."""
    return ops.sum(one * other, axis=(-2, -1), keepdims=True)


def spectral_radius(matrix, squarings=7):
    """max |lambda| by Gelfand's formula ``|M^(2^k)|^(1/2^k)``; for normal M at most n^(1/2^k) too large.

    Args:
        matrix: (..., n, n).
        squarings: k; 7 gives 2 % for n = 15 if M is normal, else another factor cond(V)^(1/2^k), with V its
            eigenvectors.

    Returns:
        (...,), without gradient.
    """
    _, log_norm = normalized_power(ops.stop_gradient(matrix), squarings)
    return ops.exp(log_norm / 2.0**squarings)


def nearest_distance(matrix):
    """Smallest |lambda - 1|, as 1 / spectral radius of (I - M)^-1, without eigensolver or gradient. (...,)."""
    return 1.0 / spectral_radius(resolvent(ops.stop_gradient(matrix)))


def resolvent(matrix):
    """``(I - M)^-1``, whose largest eigenvalues are those of M closest to 1."""
    matrix = finite_or_zero(matrix)
    # The shift keeps the system regular where an eigenvalue is 1 to the last bit.
    identity = ops.eye(matrix.shape[-1], dtype=matrix.dtype)
    return small_matrices.inverse((1.0 + 1e-5) * identity - matrix)


def threshold_radius(nearest, threshold):
    """The threshold, or where no eigenvalue lies within it, 1.25 x the distance of the closest one. (...,)."""
    return ops.where(nearest <= threshold, threshold, FALLBACK_MARGIN * nearest)


def eig_projector(matrix, radius, spectrum=None):
    """Spectral projector onto the eigenvalues with |lambda - 1| <= radius, from an eigendecomposition.

    With M = V diag(lambda) V^-1 and h = 1 inside the circle, 0 outside, P = V diag(h) V^-1. The gradient is
    that of the projector, not of eigenvectors (Daleckii-Krein):
    dP = V (F o (V^-1 dM V)) V^-1, F_ij = (h_i - h_j) / (lambda_i - lambda_j) between the two groups, 0 within
    one. It is free of the eigenvectors' phase and sees only the gap between the groups.

    A matrix without a basis of eigenvectors (a clip of equal or of orthonormal frames can have one) gets the
    `resolvent_projector` instead, and no gradient.

    Args:
        matrix: (B, n, n) real.
        radius: (B,) float32; has no gradient.
        spectrum: the `eigendecomposition` of `matrix`, if at hand.

    Returns:
        (B, n, n) real projector.
    """
    values, vectors = eigendecomposition(matrix) if spectrum is None else spectrum
    inside = ops.cast(
        _distance(values) <= ops.cast(ops.stop_gradient(radius), EXACT)[..., None], EXACT
    )
    vectors, inverse, usable = eigenbasis(vectors)
    weights = to_complex(inside)[..., None, :]
    # Its value, and what the projector's derivative makes of a change of M: nothing, in value.
    step = inside[..., :, None] - inside[..., None, :]
    change = divided_differences(step, values) * (inverse @ change_of(matrix) @ vectors)
    hard = (vectors * weights) @ inverse + vectors @ change @ inverse
    soft = ops.stop_gradient(resolvent_projector(ops.stop_gradient(matrix), radius))
    return ops.where(usable[..., None, None], ops.cast(ops.real(hard), "float32"), soft)


def change_of(matrix):
    """``M - stop_gradient(M)``, complex: zero in value, and where a derivative enters."""
    matrix = finite_or_zero(matrix)
    return to_complex(ops.cast(matrix, EXACT) - ops.cast(ops.stop_gradient(matrix), EXACT))


def to_complex(real):
    """Real numbers as complex ones of `EXACT` digits."""
    return autodiff.to_complex(real, _EXACT_COMPLEX)


def divided_differences(step, values):
    """``step_ij / (lambda_i - lambda_j)``, (B, n, n) complex; 0 for equal eigenvalues."""
    gap = values[..., :, None] - values[..., None, :]
    size = ops.maximum(ops.square(ops.real(gap)) + ops.square(ops.imag(gap)), 1e-12)
    return to_complex(step / size) * ops.conj(gap)


def eigenbasis(vectors):
    """Eigenvectors, their inverse, and whether they are a basis; the identity stands in for those that are not.

    Kernels raise an error at a matrix that is singular to the last bit. What is added here keeps them from it,
    and where it counts the matrix is no basis to work with: its inverse is as large as this is small.
    """
    identity = ops.eye(vectors.shape[-1], dtype=EXACT)
    inverse = ops.inv(vectors + to_complex(_EIG_SHIFT * identity))
    size = ops.max(ops.abs(inverse), axis=(-2, -1))
    usable = ops.logical_and(ops.isfinite(size), size < _LARGEST_INVERSE)
    keep = usable[..., None, None]
    kept = (ops.where(keep, x, to_complex(identity)) for x in (vectors, inverse))
    return *map(to_complex, kept), usable


def resolvent_projector(matrix, radius, order=64):
    """Spectral filter around 1 from the resolvent (z I - M)^-1 on a circle: no eigendecomposition.

    The q-point trapezoid rule for the contour integral of (z I - M)^-1 on |z - 1| = radius is exactly the
    Butterworth filter h(lambda) = 1 / (1 + ((lambda - 1) / radius)^q). It tends to the projector of
    `eig_projector` as q grows, and is smooth in M for every q. The sum is taken for a low q only (`order`
    halved as long as it is above 4 and divisible by 4); from there h -> h^2 / (h^2 + (1 - h)^2) doubles q.

    Args:
        matrix: (B, n, n) real.
        radius: (B,) float32; has no gradient.
        order: q, even. 64 agrees with the hard split to 1e-5 if no eigenvalue is within 20 % of the circle
            (30 % for the gradient, to 1e-4).

    Returns:
        (B, n, n) real.
    """
    first = order
    while first > _FIRST_ORDER and first % 4 == 0:
        first //= 2
    identity = ops.eye(matrix.shape[-1], dtype="float32")
    scaled = (identity - matrix) / ops.stop_gradient(radius)[..., None, None]
    result = _trapezoid(scaled, first)
    for _ in range(round(math.log2(order // first))):
        square = ops.matmul(result, result)
        result = ops.matmul(square, small_matrices.inverse(identity + 2.0 * (square - result)))
    return result


def _trapezoid(matrix, order):
    """``(I + N^q)^-1 = 2/q Re sum_k z_k (z_k I + N)^-1``, z_k the q/2 roots of -1 in the upper half-plane.

    z_k I + N is inverted as the real (2n, 2n) matrix [[Re, -Im], [Im, Re]]: TensorFlow's XLA has no complex
    solver.
    """
    n = matrix.shape[-1]
    angles = math.pi * (2 * np.arange(order // 2) + 1) / order
    cos = ops.convert_to_tensor(np.cos(angles)[:, None, None], dtype="float32")
    sin = ops.convert_to_tensor(np.sin(angles)[:, None, None], dtype="float32")
    identity = ops.eye(n, dtype="float32")
    real = matrix[..., None, :, :] + cos * identity
    imaginary = ops.broadcast_to(sin * identity, ops.shape(real))
    block = ops.concatenate(
        [
            ops.concatenate([real, -imaginary], axis=-1),
            ops.concatenate([imaginary, real], axis=-1),
        ],
        axis=-2,
    )
    resolvents = inverse(block)
    terms = cos * resolvents[..., :n, :n] - sin * resolvents[..., n:, :n]
    return (2.0 / order) * ops.sum(terms, axis=-3)


def _distance(values):
    return ops.sqrt(ops.square(ops.real(values) - 1.0) + ops.square(ops.imag(values)))


def finite_or_zero(matrix):
    finite = ops.all(ops.isfinite(matrix), axis=(-2, -1), keepdims=True)
    return ops.where(finite, matrix, ops.zeros_like(matrix))
