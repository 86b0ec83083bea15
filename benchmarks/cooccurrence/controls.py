"""Splits that are not the package's: what remains of the effect without Koopman?"""

import keras
from keras import ops

import bod_keras
from bod_keras.koopman import DynamicOperator, linalg


@keras.saving.register_keras_serializable("benchmarks")
class MeanResidualSplit(bod_keras.KoopmanSplit):
    """No eigenvalues: static is the time mean, dynamic the operator that is fitted to the rest."""

    def split(self, embeddings):
        frames = ops.cast(embeddings, "float32")
        mean = ops.mean(frames, axis=1, keepdims=True)
        return super().split(frames - mean)._replace(static=mean[:, 0])

    def static_projector(self, matrix):
        nothing = ops.zeros_like(matrix)  # of the rest nothing is static
        return nothing, ops.ones_like(matrix[..., 0, 0])


@keras.saving.register_keras_serializable("benchmarks")
class RandomSplit(bod_keras.KoopmanSplit):
    """A fixed random projector of rank 1, the same for every clip, instead of the spectral one."""

    def build(self, input_shape):
        super().build(input_shape)
        self.direction = self.add_weight(
            name="direction",
            shape=(input_shape[1] - 1, 1),
            initializer=keras.initializers.Orthogonal(seed=0),
            trainable=False,
        )

    def static_projector(self, matrix):
        projector = ops.matmul(self.direction, ops.transpose(self.direction))
        same = ops.broadcast_to(projector, ops.shape(matrix))
        return same, ops.ones_like(matrix[..., 0, 0])


@keras.saving.register_keras_serializable("benchmarks")
class WholeOperator(bod_keras.KoopmanSplit):
    """The dynamic part is read from the whole operator: the static modes stay in it."""

    def split(self, embeddings):
        past, future = linalg.transitions(embeddings)
        whole = DynamicOperator(past, linalg.pseudo_inverse(past, self.ridge), future)
        return super().split(embeddings)._replace(dynamic=self.read_out(whole))
