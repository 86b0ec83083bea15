"""v-Barlow Twins: dimensions that agree between clips and not among themselves."""

import keras

from bod_keras.frameworks._pairs import all_pairs, mean_over
from bod_keras.frameworks.base import ContrastiveModel
from bod_keras.losses.barlow_twins import BarlowTwins


@keras.saving.register_keras_serializable("bod_keras")
class VBarlowTwins(ContrastiveModel):
    """v-Barlow Twins, plain or decoupled: every part's cross-correlation is brought to the identity.

    Of more than two views all pairs are compared; none is published. The loss is of batch statistics: those of
    all replicas' clips.

    Args:
        encoder: a built Keras model, clips (B, T, H, W, 3) to frame features (B, T', C).
        decoupling: None for plain v-Barlow Twins, or a `KoopmanSplit` for BOD-VCL.
        bilevel: None or a `BiLevel`.
        off_diagonal: weight of the redundancy, as in `BarlowTwins`.
        **kwargs: as in `ContrastiveModel`.

    Call arguments:
        clips: (B, T, H, W, 3), RGB in [0, 1].

    Returns:
        Frame embeddings (B, T', D).

    Raises:
        ValueError: as `ContrastiveModel` and `BarlowTwins`.

    Example:
        >>> import keras, numpy as np, bod_keras
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> model = bod_keras.VBarlowTwins(encoder, bod_keras.KoopmanSplit())
        >>> model.compile(keras.optimizers.Adam(1e-3))
        >>> views = np.random.default_rng(0).random((8, 2, 4, 16, 16, 3), "float32")
        >>> history = model.fit(views, batch_size=8, verbose=0)

    Reference:
        Zbontar et al., arXiv 2103.03230.
    """

    def __init__(self, encoder, decoupling=None, bilevel=None, off_diagonal=5e-3, **kwargs):
        super().__init__(encoder, decoupling, bilevel, **kwargs)
        self.off_diagonal = off_diagonal
        self.correlation = BarlowTwins(off_diagonal)

    def part_loss(self, part, views, targets, training):
        return mean_over(all_pairs(len(views)), lambda i, j: self.correlation(views[i], views[j]))

    def get_config(self):
        return {**super().get_config(), "off_diagonal": self.off_diagonal}
