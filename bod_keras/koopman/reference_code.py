"""`ReferenceCodeSplit`: the split that the published code computes, for reproduction."""

from __future__ import annotations

import keras
from keras import ops

from bod_keras.koopman import linalg
from bod_keras.koopman.layer import KoopmanSplit, Split
from bod_keras.koopman.linalg import transposed

# Singular values below this share of the largest one count as zero.
_CUT = 1e-4
# Eigenvalues below this share of the largest one are those of the null space, and come last.
_NULL = 1e-5


@keras.saving.register_keras_serializable("bod_keras")
class ReferenceCodeSplit(KoopmanSplit):
    """Split frame embeddings as the published code does, where it differs from the paper's text.

    With Z the T frames of a clip and X, Y its normalized past and future frames, the code fits K = Y' (X')^+,
    orthonormalizes its eigenvectors, K = V diag(lambda) V^-1 and V = Q R, and applies what it rebuilds from Q
    to all frames, not normalized:

        static  = mean_t z_t Re(Q diag(lambda [|lambda - 1| <= threshold]) Q*)',
        dynamic = mean_t z_t Re(Q diag(lambda [|lambda - 1| >  threshold]) Q*)'.

    (X')^+ leaves out singular values below 1e-4 of the largest. Q is the basis of a Schur form of K, so the
    parts do not add up to K: what makes K non-normal is lost. They also depend on the order of the eigenvalues.
    In the published code, and here on PyTorch and JAX, that is the one in which LAPACK finds them, with the
    null space last. The eigensolver of TensorFlow finds them in another one, which rounding decides, so there
    the largest come first. A clip without a static eigenvalue has a static part of zeros.

    Gradients are those of the published code: through eigenvalues, Q and the pseudo-inverse. The statistics and
    the spectrum are those of the paper's text.

    Args:
        threshold: largest distance to 1 of a static eigenvalue.

    Call arguments:
        embeddings: (B, T, D), T >= 2.

    Returns:
        ``(static, dynamic)``, float32, (B, D) each.

    Example:
        >>> import keras
        >>> from bod_keras.koopman import ReferenceCodeSplit
        >>> static, dynamic = ReferenceCodeSplit()(keras.Input((16, 32)))
        >>> static.shape, dynamic.shape
        ((None, 32), (None, 32))

    Reference:
        The code that the first author of arXiv 2407.14069 published; docs/method.md, section 8.
    """

    def __init__(self, threshold: float = 0.1, **kwargs):
        ridge = max(1e-6, linalg.LEAST_RIDGE)  # of the statistics
        super().__init__(threshold, ridge, "mean", projector_gradient=True, **kwargs)

    def split(self, embeddings) -> Split:
        """Return `KoopmanSplit.split` with the published code's parts."""
        split = super().split(embeddings)
        static, dynamic = _operators(embeddings, self.threshold)
        mean = ops.mean(ops.cast(embeddings, "float32"), axis=1, keepdims=True)
        static, dynamic = (ops.matmul(mean, part)[:, 0] for part in (static, dynamic))
        return split._replace(static=static, dynamic=dynamic)

    def get_config(self):
        return {**keras.layers.Layer.get_config(self), "threshold": self.threshold}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _operators(embeddings, threshold):
    """The static and the dynamic operator, (B, D, D) float32, for rows: z A."""
    fitted = fitted_operator(embeddings)
    values, vectors = ordered_eigenpairs(*linalg.eigendecomposition(fitted))
    basis, _ = ops.qr(vectors)
    adjoint = ops.conj(transposed(basis))
    rotation, shift = _derivatives(fitted, values, vectors, basis, adjoint)
    static = ops.abs(values - 1.0) <= threshold
    parts = []
    for chosen in (static, ops.logical_not(static)):
        chosen = linalg.to_complex(chosen)
        weights = chosen * values
        change = rotation * (weights[..., None, :] - weights[..., :, None])
        middle = change + _diagonal(weights + chosen * shift)
        part = ops.real(basis @ middle @ adjoint)
        parts.append(transposed(ops.cast(part, "float32")))
    return parts


def fitted_operator(embeddings):
    """K, (B, D, D)."""
    past, future = (transposed(frames) for frames in linalg.transitions(embeddings))
    return ops.cast(future, linalg.EXACT) @ _truncated_inverse(past)


def _derivatives(matrix, values, vectors, basis, adjoint):
    """What a change of the matrix makes of Q and lambda: dQ = Q `rotation`, d lambda = `shift`. Zero in value.

    With dK the change, E = V^-1 dK V and F_ij = 1 / (lambda_j - lambda_i): d lambda = diag E, dV = V (F o E),
    and from V = Q R the part of Q* dQ below the diagonal is that of R (F o E) R^-1.
    """
    vectors, inverse, usable = linalg.eigenbasis(vectors)
    change = (
        inverse @ linalg.change_of(matrix) @ vectors * linalg.to_complex(usable)[..., None, None]
    )
    ones = ops.ones(matrix.shape[-2:], dtype=linalg.EXACT)
    moved = -linalg.divided_differences(ones, values) * change
    moved = adjoint @ vectors @ moved @ inverse @ basis
    below = moved * linalg.to_complex(ops.tril(ones, -1))
    return below - ops.conj(transposed(below)), ops.diagonal(change, axis1=-2, axis2=-1)


def _truncated_inverse(matrix):
    """Pseudo-inverse without the singular values below `_CUT` of the largest one, (B, m, n) -> (B, n, m)."""
    matrix = ops.cast(matrix, linalg.EXACT)
    fixed = ops.cast(linalg.finite_or_zero(ops.stop_gradient(matrix)), linalg.EXACT)
    left, values, right = ops.svd(fixed, full_matrices=False)
    kept = values > _CUT * values[..., :1]
    scale = ops.cast(kept, linalg.EXACT) / (values + ops.cast(values == 0, linalg.EXACT))
    inverse = transposed(right) * scale[..., None, :] @ transposed(left)
    # Zero in value; the derivative at a constant rank.
    change = matrix - fixed
    turned, adjoint = transposed(change), transposed(inverse)
    return (
        inverse
        - inverse @ change @ inverse
        + inverse @ adjoint @ (turned - turned @ fixed @ inverse)
        + (turned - inverse @ fixed @ turned) @ adjoint @ inverse
    )


def ordered_eigenpairs(values, vectors):
    """Eigenvalues and eigenvectors in the order that the class describes."""
    size = ops.abs(values)
    if keras.backend.backend() == "tensorflow":
        key = -size
    else:
        null = ops.cast(size <= _NULL * ops.max(size, axis=-1, keepdims=True), "int32")
        places = values.shape[-1]
        key = null * places + ops.arange(places, dtype="int32")
    order = ops.argsort(key, axis=-1)
    return (
        ops.take_along_axis(values, order, axis=-1),
        ops.take_along_axis(vectors, order[..., None, :], axis=-1),
    )


def _diagonal(values):
    return values[..., None] * linalg.to_complex(ops.eye(values.shape[-1]))
