"""`KoopmanSplit`: the layer that splits a clip's frame embeddings into a static and a dynamic part."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import keras
from keras import ops

from bod_keras.decoupling import RIDGE, USUAL_THRESHOLD
from bod_keras.errors import UserError
from bod_keras.koopman import linalg
from bod_keras.koopman.closest_projector import closest_projector
from bod_keras.koopman.read_outs import READ_OUTS, DynamicOperator, ReadOut, mean_prediction


class Split(NamedTuple):
    """What one split yields.

    static: (B, D); dynamic: (B, K); matrix: the reduced operators M, (B, T-1, T-1); projector: P of the same
    shape; nearest: distance of the closest eigenvalue to 1, (B,).
    """

    static: Any
    dynamic: Any
    matrix: Any
    projector: Any
    nearest: Any


@keras.saving.register_keras_serializable("bod_keras")
class KoopmanSplit(keras.layers.Layer):
    """Split frame embeddings into a time-invariant and a time-variant part by Koopman eigenvalues.

    A clip's L2-normalized frames are modeled as a linear system, X A = Y, with X the frames 1..T-1 and Y the
    frames 2..T. Eigenvalues of A near 1 belong to what stays (appearance), all others to what changes (motion):

        A = A_S + A_D,   A_S = X^+ P Y,   A_D = X^+ (I - P) Y,
        static = mean_t x_t A_S,   dynamic = read_out(A_D),

    with P the spectral projector of the reduced operator M = Y X^+ onto the static eigenvalues.

    Everything is computed in float32 under every precision policy. The parts are small numbers: put a
    normalization between them and a classifier.

    Args:
        threshold: None: the eigenvalue (or conjugate pair) closest to 1 is static. A number: all eigenvalues
            within this distance of 1 are; a clip that has none uses its closest one, and those within 1.25
            times its distance.
        ridge: ridge of the pseudo-inverse X^+, relative to the mean squared norm of a frame. One below 1e-3 is
            added in float64; JAX has none, and warns.
        read_out: what the dynamic part is: ``"operator"``, the operator itself (B, 576); ``"mean"``, the time
            mean (B, D), as published; or a `ReadOut`.
        projector_gradient: differentiate P as well, and split hard. Otherwise P only says which modes are
            static, and gradients take it for a constant: its own derivative grows without bound as an
            eigenvalue inside the circle and one outside come close.

    Call arguments:
        embeddings: (B, T, D), T >= 2.

    Returns:
        ``(static, dynamic)``, float32, shapes (B, D) and that of the read-out.

    Raises:
        ValueError: an argument out of range, an input that is not (B, T, D) or has T < 2.

    Example:
        >>> import keras, bod_keras
        >>> frames = keras.Input((16, 128))
        >>> static, dynamic = bod_keras.KoopmanSplit()(frames)
        >>> static.shape, dynamic.shape
        ((None, 128), (None, 576))

    Reference:
        Song et al., "Self-Supervised Video Representation Learning in a Heuristic Decoupled Perspective",
        arXiv 2407.14069. The operator read-out is ours.
    """

    def __init__(
        self,
        threshold: float | None = None,
        ridge: float = RIDGE,
        read_out: str | ReadOut = "operator",
        projector_gradient: bool = False,
        **kwargs,
    ):
        kwargs["dtype"] = "float32"  # also under a mixed-precision policy
        super().__init__(**kwargs)
        if threshold is not None and not threshold > 0:
            raise UserError(f"threshold must be positive (0.1 is usual). Received: {threshold}")
        if not ridge >= 0:
            raise UserError(f"ridge must not be negative. Received: {ridge}")
        if ridge < linalg.LEAST_RIDGE:
            warnings.warn(
                f"Rounding in {linalg.EXACT} hides a ridge below {linalg.LEAST_RIDGE:g} where the frames of a "
                "clip are linearly dependent, and the parts of such clips are noise. "
                f"Received: ridge={ridge:g}. Use a larger one.",
                stacklevel=2,
            )
        self.threshold = threshold
        self.ridge = ridge
        self.read_out = READ_OUTS[read_out]() if isinstance(read_out, str) else read_out
        if not isinstance(self.read_out, ReadOut):
            raise UserError(
                f"read_out must be one of {', '.join(READ_OUTS)}, or a bod_keras.koopman.ReadOut. "
                f"Received: {read_out!r}"
            )
        self.projector_gradient = projector_gradient
        # XLA has no eigensolver for non-symmetric matrices on TensorFlow; JAX has one.
        if keras.backend.backend() == "tensorflow" and projector_gradient:
            self.supports_jit = False

    def build(self, input_shape):
        self._check_width(input_shape)
        if not self.read_out.built:
            self.read_out.build(input_shape)
        self.built = True

    def call(self, embeddings):
        split = self.split(embeddings)
        return split.static, split.dynamic

    def split(self, embeddings) -> Split:
        """Return the whole result, for statistics, losses and plots.

        Args:
            embeddings: (B, T, D).
        """
        self._check_shape(embeddings.shape)
        if not self.built:  # it has not been called yet
            self.build(embeddings.shape)
        past, future = linalg.transitions(embeddings)
        inverse = linalg.pseudo_inverse(past, self.ridge)
        matrix = ops.matmul(future, inverse)
        projector, nearest = self.static_projector(matrix)
        static_future = ops.matmul(projector, future)
        static = mean_prediction(past, inverse, static_future)
        dynamic = self.read_out(DynamicOperator(past, inverse, future - static_future))
        return Split(static, dynamic, matrix, projector, nearest)

    def static_projector(self, matrix):
        """Select the static modes: P of reduced operators M, and the distance of their closest eigenvalue to 1.

        Args:
            matrix: M, (B, n, n).

        Returns:
            P (B, n, n) and distances (B,).
        """
        if self.projector_gradient:
            spectrum = linalg.eigendecomposition(matrix)
            distances = linalg.distances_to_one(matrix, spectrum)
            nearest = distances[..., 0]
            if self.threshold is None:
                radius = linalg.closest_radius(distances)
            else:
                radius = linalg.threshold_radius(nearest, self.threshold)
            return linalg.eig_projector(matrix, radius, spectrum), nearest
        matrix = ops.stop_gradient(matrix)
        if self.threshold is None:
            return closest_projector(matrix)
        nearest = linalg.nearest_distance(matrix)
        radius = linalg.threshold_radius(nearest, self.threshold)
        return linalg.resolvent_projector(matrix, radius), nearest

    def statistics(self, split: Split) -> dict[str, Any]:
        """Return means over the batch that tell whether the split is alive, a dict of float32 scalars.

        ``static_eigenvalues``: how many eigenvalues are static (0 or T-1 throughout means a dead split);
        ``no_static``: share of clips without an eigenvalue within `threshold` (0.1 if that is None);
        ``spectral_radius``: largest |lambda|.
        """
        threshold = USUAL_THRESHOLD if self.threshold is None else self.threshold
        return {
            "static_eigenvalues": ops.mean(ops.trace(split.projector, axis1=-2, axis2=-1)),
            "no_static": ops.mean(ops.cast(split.nearest > threshold, "float32")),
            "spectral_radius": ops.mean(linalg.spectral_radius(split.matrix)),
        }

    def _check_width(self, shape):
        if len(shape) != 3 or shape[-1] is None:
            raise UserError(
                f"{type(self).__name__} expects frame embeddings of shape (batch, time, width) with a known "
                f"width. Received: {tuple(shape)}"
            )

    def _check_shape(self, shape):
        self._check_width(shape)
        if shape[1] is None or shape[1] < 2:
            raise UserError(
                f"{type(self).__name__} needs a fixed number of at least 2 frames: one frame has no motion. "
                f"Received: {tuple(shape)}. Sample longer clips, or keep time in the encoder "
                "(temporal_stride=1)."
            )

    def compute_output_spec(self, embeddings):
        self._check_shape(embeddings.shape)
        batch, _, width = embeddings.shape
        dynamic = self.read_out.compute_output_shape(tuple(embeddings.shape))
        return (
            keras.KerasTensor((batch, width), dtype="float32"),
            keras.KerasTensor(dynamic, dtype="float32"),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "threshold": self.threshold,
            "ridge": self.ridge,
            "read_out": keras.saving.serialize_keras_object(self.read_out),
            "projector_gradient": self.projector_gradient,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if "dynamic" in config:
            raise UserError(
                "This KoopmanSplit was saved by bod_keras 0.1, which had other options. Load it with "
                "bod_keras==0.1.0, or train the model again."
            )
        config["read_out"] = keras.saving.deserialize_keras_object(config["read_out"])
        return cls(**config)
