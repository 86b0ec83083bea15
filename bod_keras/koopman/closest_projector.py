"""`closest_projector`: the split by the eigenvalue closest to 1, by products and one inverse alone."""

from __future__ import annotations

from typing import Any

from keras import ops

from bod_keras.koopman import linalg

# The power of the resolvent is 2^13: of two distances that are 0.1 % apart, the farther one weighs 3e-4 in it.
_SQUARINGS = 13
# Least share of A^3 that is not along A^2 for which two eigenvalues are distinguished from one.
_RIDGE = {"float32": 1e-7, "float64": 1e-14}[linalg.EXACT]
# The largest Frobenius norm that is taken for one of a projector.
_LARGEST = 1e3


def closest_projector(matrix: Any) -> tuple[Any, Any]:
    """Spectral projector onto the eigenvalue, or conjugate pair, closest to 1, and its distance.

    The eigenvalues of R = (I - M)^-1 are 1 / (1 - lambda), so a high power A of R holds the closest one alone.
    A polynomial of A without constant term that leaves A alone is 1 on what A holds, and 0 elsewhere:

        P = c_1 A + c_2 A^2   with the least |A - P A|,   then P <- 3 P^2 - 2 P^3.

    The degree is two for a conjugate pair, whose powers turn. Two eigenvalues whose distances agree to about
    0.1 % are taken together. A matrix without a basis of eigenvectors near 1 (orthonormal frames, whose M is a
    shift) has no such P of moderate size: then all of it is static, P = I.

    Args:
        matrix: M, (B, n, n) real; has no gradient.

    Returns:
        P (B, n, n) and distances (B,), float32.
    """
    matrix = ops.cast(linalg.finite_or_zero(ops.stop_gradient(matrix)), linalg.EXACT)
    power, log_norm = linalg.normalized_power(linalg.resolvent(matrix), _SQUARINGS)
    square = power @ power
    projector = _square_to_unit(power, square)
    again = projector @ projector
    projector = 3.0 * again - 2.0 * again @ projector
    usable = linalg.frobenius(projector) < _LARGEST
    projector = ops.where(usable, projector, ops.eye(matrix.shape[-1], dtype=linalg.EXACT))
    nearest = ops.exp(-log_norm / 2.0**_SQUARINGS)
    return ops.cast(projector, "float32"), ops.cast(nearest, "float32")


def _square_to_unit(power, square):
    """c_1 A + c_2 A^2 with the least |A - c_1 A^2 - c_2 A^3|, by the part of A^3 that is not along A^2."""
    cube = power @ square
    size = linalg.inner_product(square, square)
    along = linalg.inner_product(square, cube) / size
    rest = cube - along * square
    ridge = _RIDGE * linalg.inner_product(cube, cube)
    second = linalg.inner_product(power, rest) / (linalg.inner_product(rest, rest) + ridge)
    first = linalg.inner_product(power, square) / size - second * along
    return first * power + second * square
