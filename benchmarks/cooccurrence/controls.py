"""Splits that are not the package's: what remains of the effect without Koopman, or with another read-out?"""

import keras
from keras import ops

import bod_keras


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
