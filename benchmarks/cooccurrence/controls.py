"""Splits that are not the package's: what remains of the effect without Koopman, or with another read-out?"""

import keras
from keras import ops

import bod_keras
from bod_keras.koopman import linalg


@keras.saving.register_keras_serializable("benchmarks")
class MeanResidualSplit(bod_keras.KoopmanSplit):
    """No eigenvalues: static is the time mean, dynamic the rest, read out as `dynamic` says.

    With "operator" it is the operator that is fitted to the rest; with "mean" the mean step of the rest.
    """

    def _split(self, embeddings, training):
        frames = ops.cast(embeddings, "float32")
        mean = ops.mean(frames, axis=1, keepdims=True)
        rest = super()._split(frames - mean, training)
        return rest._replace(static=mean[:, 0])

    def _projector(self, matrix):
        nothing = ops.zeros_like(matrix)  # of the rest nothing is static
        return nothing, ops.ones_like(matrix[..., 0, 0])


@keras.saving.register_keras_serializable("benchmarks")
class RandomSplit(bod_keras.KoopmanSplit):
    """A fixed random projector of the frames of every clip in the place of the spectral one, rank `count`."""

    def build(self, input_shape):
        super().build(input_shape)
        shape = (input_shape[1] - 1, self.count)
        initializer = keras.initializers.Orthogonal(seed=0)
        self.directions = self.add_weight(
            name="directions", shape=shape, initializer=initializer, trainable=False
        )

    def _projector(self, matrix):
        projector = ops.matmul(self.directions, ops.transpose(self.directions))
        same = ops.broadcast_to(projector, ops.shape(matrix))
        return same, ops.ones_like(matrix[..., 0, 0])


@keras.saving.register_keras_serializable("benchmarks")
class WholeOperator(bod_keras.KoopmanSplit):
    """The operator read-out without taking the static block out."""

    _whole = False

    def _split(self, embeddings, training):
        parts = super()._split(embeddings, training)
        self._whole = True
        parts = parts._replace(dynamic=super()._split(embeddings, training).dynamic)
        self._whole = False
        return parts

    def _projector(self, matrix):
        projector, nearest = super()._projector(matrix)
        return projector * (not self._whole), nearest


@keras.saving.register_keras_serializable("benchmarks")
class OneBasis(bod_keras.KoopmanSplit):
    """The operator read-out with one learned basis on both sides, U = V."""

    def build(self, input_shape):
        super().build(input_shape)
        self.future_basis = self.past_basis


@keras.saving.register_keras_serializable("benchmarks")
class FixedBasis(bod_keras.KoopmanSplit):
    """The operator read-out in the coordinates of the embedding, U = V = the first columns of I."""

    def build(self, input_shape):
        super().build(input_shape)
        for basis in (self.past_basis, self.future_basis):
            basis.assign(ops.eye(*basis.shape))
            basis.trainable = False


@keras.saving.register_keras_serializable("benchmarks")
class RandomBasis(bod_keras.KoopmanSplit):
    """The operator read-out in two random orthogonal bases, drawn with the weights and never trained."""

    def build(self, input_shape):
        super().build(input_shape)
        for basis in (self.past_basis, self.future_basis):
            basis.trainable = False


@keras.saving.register_keras_serializable("benchmarks")
class TwoStepSplit(bod_keras.KoopmanSplit):
    """The read-out of the operator of one step and of that of two: vec(U' A_D V) and vec(U' A_D A V)."""

    def _split(self, embeddings, training):
        parts = super()._split(embeddings, training)
        past, future = linalg.transitions(embeddings, self.normalize)
        gram = linalg.regularised_gram(past, self.ridge)
        left = linalg.solve(gram, ops.matmul(past, self.past_basis))
        moving = ops.matmul(parts.matrix, ops.matmul(future, self.future_basis))
        moving = moving - ops.matmul(parts.projector, moving)
        second = ops.matmul(ops.swapaxes(left, -1, -2), moving)
        second = ops.reshape(second, ops.shape(parts.dynamic))
        return parts._replace(dynamic=ops.concatenate([parts.dynamic, second], axis=-1))

    def compute_output_spec(self, embeddings, training=False):
        static, dynamic = super().compute_output_spec(embeddings, training)
        return static, keras.KerasTensor((dynamic.shape[0], 2 * dynamic.shape[-1]), dtype="float32")


@keras.saving.register_keras_serializable("benchmarks")
class CayleySplit(bod_keras.KoopmanSplit):
    """The read-out of the operator's Cayley form: ``vec(U' X^+ (I - P) C X V)``, C = (M - I)(M + I)^-1.

    X^+ g(M) X is g of the operator compressed to the span of the past frames, and nothing off that span, for
    every g, also for one with g(0) != 0. C turns the inverse of an operator into -C, as its logarithm would:
    2 C is the [1/1] Pade approximant of log M around I. The logarithm itself is not well defined here: M has
    eigenvalues near 0, and of an untrained network's clips one in eleven is real and negative, where no
    real logarithm exists. C has its one pole at -1, close to some of these, so that its inverse has a ridge:
    with S = M + I, S^-1 = S' (S S' + ridge tr(S S')/n I)^-1.
    """

    def _split(self, embeddings, training):
        parts = super()._split(embeddings, training)
        past, _ = linalg.transitions(embeddings, self.normalize)
        identity = ops.eye(past.shape[-2], dtype="float32")
        one = parts.matrix + identity
        gram = linalg.regularised_gram(one, self.ridge)  # of the rows of S
        # M - I and S commute, but not with the ridge: C' = (S S' + ridge I)^-1 S (M - I)'.
        other = ops.swapaxes(parts.matrix - identity, -1, -2)
        cayley = ops.swapaxes(linalg.solve(gram, ops.matmul(one, other)), -1, -2)
        moving = ops.matmul(identity - parts.projector, cayley)
        left = linalg.solve(
            linalg.regularised_gram(past, self.ridge), ops.matmul(past, self.past_basis)
        )
        right = ops.matmul(moving, ops.matmul(past, self.future_basis))
        dynamic = ops.matmul(ops.swapaxes(left, -1, -2), right)
        return parts._replace(dynamic=ops.reshape(dynamic, ops.shape(parts.dynamic)))


@keras.saving.register_keras_serializable("benchmarks")
class ModeSplit(bod_keras.KoopmanSplit):
    """Dynamic is the eigenvalues of the dynamic block, and the amplitudes of its modes, as moments.

        e_k = tr((I - P) M^k) / n,   a_k = <D, M^k D> / |D|^2,   D = (I - P) Y,   k = 1..n = T-1.

    e_k is the power sum of the dynamic eigenvalues, of which n determine all n, in no order and without
    eigenvectors. a_k weighs lambda^k by the mode's share of the dynamic part's energy, if the modes are
    orthogonal. Shape (B, 2 n); free of phase and scale, and there is no U or V.
    """

    def __init__(self, dynamic="mean", **kwargs):  # which makes no bases
        super().__init__(dynamic=dynamic, **kwargs)

    def _split(self, embeddings, training):
        parts = super()._split(embeddings, training)
        _, future = linalg.transitions(embeddings, self.normalize)
        n = future.shape[-2]
        power = ops.eye(n, dtype="float32") - parts.projector
        moving = ops.matmul(power, future)
        energy = ops.sum(ops.square(moving), axis=(-2, -1)) + 1e-12
        sums, moments = [], []
        for _ in range(n):
            power = ops.matmul(parts.matrix, power)
            sums.append(ops.trace(power, axis1=-2, axis2=-1) / n)
            advanced = ops.matmul(power, future)
            moments.append(ops.sum(moving * advanced, axis=(-2, -1)) / energy)
        return parts._replace(dynamic=ops.stack(sums + moments, axis=-1))

    def compute_output_spec(self, embeddings, training=False):
        static, _ = super().compute_output_spec(embeddings, training)
        batch, time, _ = embeddings.shape
        return static, keras.KerasTensor((batch, 2 * (time - 1)), dtype="float32")
