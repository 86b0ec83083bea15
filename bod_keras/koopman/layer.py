"""`KoopmanSplit`: the layer that splits a clip's frame embeddings into a static and a dynamic part."""

from collections import namedtuple

import keras
from keras import ops

from bod_keras.backend.autodiff import mean_over_replicas
from bod_keras.errors import UserError
from bod_keras.koopman import linalg

USUAL_THRESHOLD = 0.1
_USUAL_BASIS = 24

Split = namedtuple("Split", "static dynamic matrix projector nearest")
Split.__doc__ = """What one split yields.

static (B, D), dynamic (B, K), matrix: the reduced operators (B, T-1, T-1) (with `operator="batch"` the one
operator (1, D, D)), projector: P of the same shape, nearest: distance of the closest eigenvalue to 1, (B,).
With `halves` the last three are those of the second half, and static is (B, D/2).
"""


@keras.saving.register_keras_serializable("bod_keras")
class KoopmanSplit(keras.layers.Layer):
    """Split frame embeddings into a time-invariant and a time-variant part by Koopman eigenvalues.

    A clip's frames are modelled as a linear system, X A = Y, with X the frames 1..T-1 and Y the frames
    2..T. Eigenvalues of A near 1 belong to what stays (appearance), all others to what changes (motion):

        A = A_S + A_D,   A_S = X^+ P Y,   A_D = X^+ (I - P) Y,
        static = mean_t x_t A_S,

    with P the spectral projector of the reduced operator M = Y X^+ onto |lambda - 1| <= radius. The dynamic
    part has three read-outs:

    * ``"operator"``: vec(U' A_D V), with learned U and V of shape (D, basis): the dynamics themselves, free
      of the phase and of the scale of the motion. Shape (B, basis^2).
    * ``"mean"``: mean_t x_t A_D, the published form. Shape (B, D). Nearly zero by construction.
    * ``"flat"``: (x_t A_D)_t, flattened. Shape (B, (T-1) D). Depends on the phase.

    Everything is computed in float32 under every precision policy. With normalised frames the parts are small
    numbers: put a normalisation between them and a classifier.

    Args:
        threshold: if given, eigenvalues within this distance of 1 are static. A clip that has none falls back
            to its closest eigenvalue (or conjugate pair), and whatever lies within 25 % of its distance.
        count: if given, or if neither is (then 1), the `count` eigenvalues closest to 1 are static (conjugate
            pairs kept together); a `threshold` then only serves the statistics, where 0.1 is the default. More
            than 1 tends to take the slowest motion for appearance.
        method: ``"resolvent"`` (a Butterworth filter of the given `order`; needs no eigendecomposition
            unless `count` is set), ``"eig"`` (a hard split), or ``"auto"`` (resolvent, on every backend: XLA
            compiles it, and it costs within 3 ms of eig for 32 clips of 16 frames on one CPU thread).
        order: even order of the resolvent's filter; 64 is hard to 1e-4 at 20 % from the circle, 16 is soft.
        ridge: relative ridge of the pseudo-inverse.
        operator: ``"clip"`` fits one operator a clip; ``"batch"`` one to all transitions of the batch, whose
            moving averages the layer keeps, so that a saved layer splits a single new clip in the same way. Its
            static parts span as many dimensions as it has static eigenvalues: give it a `threshold`.
        dynamic: the read-out, ``"operator"``, ``"mean"`` or ``"flat"``.
        basis: columns of U and V for ``dynamic="operator"``; None: 24, or D if that is less.
        normalize: L2-normalise every frame first.
        projector_gradient: differentiate P, too. Otherwise P only says which modes are static, and gradients
            take it for a constant: its own derivative grows without bound as an eigenvalue inside of the
            circle and one outside of it come close.
        momentum: of the moving averages of ``operator="batch"``.
        halves: split each half of the embedding's width by itself, and take the static part of the first one
            and the dynamic part of the second. The parts ask for opposite things: a static part that tells
            videos apart must not depend on where things are, and the dynamic part knows nothing else. D/2
            is then the D of all that stands above.

    Call arguments:
        embeddings: (B, T, D), T >= 2; D even with `halves`.
        training: with ``operator="batch"``, whether to fit the operator on this batch.

    Returns:
        ``(static, dynamic)``, float32, shapes (B, D) and as above.

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
        threshold=None,
        count=None,
        method="auto",
        order=64,
        ridge=1e-2,
        operator="clip",
        dynamic="operator",
        basis=None,
        normalize=True,
        projector_gradient=False,
        momentum=0.99,
        halves=False,
        **kwargs,
    ):
        kwargs["dtype"] = "float32"  # also under a mixed-precision policy
        super().__init__(**kwargs)
        _check_choice("method", method, ("auto", "eig", "resolvent"))
        _check_choice("operator", operator, ("clip", "batch"))
        _check_choice("dynamic", dynamic, ("operator", "mean", "flat"))
        if operator == "batch" and dynamic == "operator":
            raise UserError(
                'dynamic="operator" needs one operator a clip, but operator="batch" fits one for all. '
                'Use operator="clip", or dynamic="mean" or "flat".'
            )
        if halves and operator == "batch":
            raise UserError(
                'halves=True needs one operator a clip, but operator="batch" fits one for all. '
                'Use operator="clip", or halves=False.'
            )
        if threshold is not None and not threshold > 0:
            raise UserError(f"threshold must be positive (0.1 is usual). Received: {threshold}")
        if count is not None and (not isinstance(count, int) or count < 1):
            raise UserError(f"count must be a positive integer or None. Received: {count}")
        if order < 2 or order % 2:
            raise UserError(f"order must be an even integer >= 2. Received: {order}")
        if ridge < 0:
            raise UserError(f"ridge must not be negative. Received: {ridge}")
        if basis is not None and basis < 1:
            raise UserError(f"basis must be at least 1. Received: {basis}")
        if not 0 <= momentum < 1:
            raise UserError(f"momentum must lie in [0, 1). Received: {momentum}")
        self.threshold = threshold
        self.count = count
        self.method = method
        self.order = order
        self.ridge = ridge
        self.operator = operator
        self.dynamic = dynamic
        self.basis = basis
        self.normalize = normalize
        self.projector_gradient = projector_gradient
        self.momentum = momentum
        self.halves = halves
        # XLA has no eigensolver for non-symmetric matrices on TensorFlow; JAX has one.
        if keras.backend.backend() == "tensorflow" and (method == "eig" or self._count is not None):
            self.supports_jit = False

    def build(self, input_shape):
        self._check_width(input_shape)
        width = self._width(input_shape)
        if self.dynamic == "operator":
            columns = self._columns(width)
            if columns > width:
                raise UserError(
                    f"basis must not exceed the embedding width {width}. Received: {self.basis}"
                )
            for name in ("past_basis", "future_basis"):
                weight = self.add_weight(
                    name=name, shape=(width, columns), initializer="orthogonal"
                )
                setattr(self, name, weight)
        if self.operator == "batch":
            for name in ("past_moment", "cross_moment"):
                weight = self.add_weight(
                    name=name, shape=(width, width), initializer="zeros", trainable=False
                )
                setattr(self, name, weight)

    def call(self, embeddings, training=False):
        split = self.split(embeddings, training=training)
        return split.static, split.dynamic

    def split(self, embeddings, training=False):
        """The whole result of the split, a `Split`, for statistics, losses and plots."""
        splits = self.block_splits(embeddings, training)
        return splits[-1][1]._replace(static=splits[0][1].static)

    def block_splits(self, embeddings, training=False):
        """What is split by itself, a list of (embeddings, `Split`): with `halves` each half, else the whole.

        The static part is that of the first entry, the dynamic part that of the last.
        """
        self._check_shape(embeddings.shape)
        half = self._width(embeddings.shape)
        blocks = [embeddings[..., :half], embeddings[..., half:]] if self.halves else [embeddings]
        return [(block, self._split(block, training)) for block in blocks]

    def _split(self, embeddings, training):
        past, future = linalg.transitions(embeddings, self.normalize)
        if self.operator == "batch":
            return self._batch_split(past, future, training)
        gram = linalg.regularised_gram(past, self.ridge)
        transposed = ops.swapaxes(past, -1, -2)
        # Three systems of one matrix, solved at once: M' = G^-1 X Y', the row weights a = 1/n 1' X X' G^-1 of
        # mean_t x_t X^+, so that the mean of X A_S is a P Y, and the read-out's left side G^-1 X U.
        sides = [
            ops.matmul(past, ops.swapaxes(future, -1, -2)),
            ops.mean(ops.matmul(past, transposed), axis=-2)[..., None],
        ]
        if self.dynamic == "operator":
            sides.append(ops.matmul(past, self.past_basis))
        solution = linalg.solve(gram, ops.concatenate(sides, axis=-1))
        n = past.shape[-2]
        matrix = ops.swapaxes(solution[..., :n], -1, -2)
        weights, left = solution[..., n : n + 1], solution[..., n + 1 :]
        projector, nearest = self._projector(matrix)
        static_future = ops.matmul(projector, future)
        dynamic_future = future - static_future
        static = ops.sum(weights * static_future, axis=-2)
        if self.dynamic == "mean":
            dynamic = ops.sum(weights * dynamic_future, axis=-2)
        elif self.dynamic == "flat":
            coefficients = linalg.solve(gram, dynamic_future)
            dynamic = _flatten(ops.matmul(past, ops.matmul(transposed, coefficients)))
        else:
            right = ops.matmul(dynamic_future, self.future_basis)
            dynamic = _flatten(ops.matmul(ops.swapaxes(left, -1, -2), right))
        return Split(static, dynamic, matrix, projector, nearest)

    def statistics(self, split):
        """Means over the batch that tell whether the split is alive, a dict of float32 scalars.

        ``static_eigenvalues``: how many eigenvalues are taken as static (0 or T-1 throughout means a dead
        split); ``no_static``: share of clips without an eigenvalue within `threshold`, which use the
        fallback; ``spectral_radius``: largest |lambda|.
        """
        threshold = USUAL_THRESHOLD if self.threshold is None else self.threshold
        return {
            "static_eigenvalues": ops.mean(ops.trace(split.projector, axis1=-2, axis2=-1)),
            "no_static": ops.mean(ops.cast(split.nearest > threshold, "float32")),
            "spectral_radius": ops.mean(linalg.spectral_radius(split.matrix)),
        }

    @property
    def _count(self):
        return 1 if self.count is None and self.threshold is None else self.count

    def _width(self, shape):
        """Of what one operator is fitted to."""
        return shape[-1] // 2 if self.halves else shape[-1]

    def _columns(self, width):
        return min(_USUAL_BASIS, width) if self.basis is None else self.basis

    def _projector(self, matrix):
        if not self.projector_gradient:
            matrix = ops.stop_gradient(matrix)
        spectrum = None
        if self.method == "eig" or self._count is not None:
            spectrum = linalg.eigendecomposition(matrix)
            distances = linalg.distances_to_one(matrix, spectrum)
            nearest = distances[..., 0]
        else:
            nearest = linalg.nearest_distance(matrix)
        if self._count is None:
            radius = linalg.threshold_radius(nearest, self.threshold)
        else:
            radius = linalg.count_radius(distances, self._count)
        if self.method == "eig":
            return linalg.eig_projector(matrix, radius, spectrum), nearest
        return linalg.resolvent_projector(matrix, radius, self.order), nearest

    def _batch_split(self, past, future, training):
        width = past.shape[-1]
        if training:
            rows = ops.reshape(past, (-1, width))
            total = ops.cast(ops.shape(rows)[0], "float32")
            past_moment = ops.matmul(ops.transpose(rows), rows) / total
            cross_moment = ops.matmul(ops.transpose(rows), ops.reshape(future, (-1, width))) / total
            past_moment = mean_over_replicas(past_moment)
            cross_moment = mean_over_replicas(cross_moment)
            self._update(self.past_moment, past_moment)
            self._update(self.cross_moment, cross_moment)
        else:
            past_moment = ops.convert_to_tensor(self.past_moment)
            cross_moment = ops.convert_to_tensor(self.cross_moment)
        matrix = linalg.solve(linalg.add_ridge(past_moment[None], self.ridge), cross_moment[None])
        projector, nearest = self._projector(matrix)
        predicted = ops.matmul(past, matrix)
        static_frames = ops.matmul(predicted, projector)
        dynamic_frames = predicted - static_frames
        if self.dynamic == "mean":
            dynamic = ops.mean(dynamic_frames, axis=-2)
        else:
            dynamic = _flatten(dynamic_frames)
        return Split(ops.mean(static_frames, axis=-2), dynamic, matrix, projector, nearest)

    def _update(self, average, value):
        value = ops.stop_gradient(value)
        average.assign(self.momentum * average + (1.0 - self.momentum) * value)

    def _check_width(self, shape):
        if len(shape) != 3 or shape[-1] is None:
            raise UserError(
                f"{type(self).__name__} expects frame embeddings of shape (batch, time, width) with a known "
                f"width. Received: {tuple(shape)}"
            )
        if self.halves and shape[-1] % 2:
            raise UserError(f"halves=True needs an even width. Received: {tuple(shape)}")

    def _check_shape(self, shape):
        self._check_width(shape)
        if shape[1] is None or shape[1] < 2:
            raise UserError(
                f"{type(self).__name__} needs a fixed number of at least 2 frames: one frame has no motion. "
                f"Received: {tuple(shape)}. Sample longer clips, or keep time in the encoder "
                "(temporal_stride=1)."
            )

    def compute_output_spec(self, embeddings, training=False):
        self._check_shape(embeddings.shape)
        batch, time, _ = embeddings.shape
        width = self._width(embeddings.shape)
        size = {"mean": width, "flat": (time - 1) * width, "operator": self._columns(width) ** 2}
        return (
            keras.KerasTensor((batch, width), dtype="float32"),
            keras.KerasTensor((batch, size[self.dynamic]), dtype="float32"),
        )

    def get_config(self):
        names = (
            "threshold count method order ridge operator dynamic basis normalize projector_gradient "
            "momentum halves"
        ).split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _flatten(x):
    return ops.reshape(x, (-1, x.shape[-2] * x.shape[-1]))


def _check_choice(name, value, choices):
    if value not in choices:
        raise UserError(
            f"{name} must be one of {', '.join(map(repr, choices))}. Received: {value!r}"
        )
