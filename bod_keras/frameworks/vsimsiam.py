"""v-SimSiam: predict another clip's own embedding, without its gradient; no negatives, no momentum."""

import keras

from bod_keras.frameworks._pairs import mean_over, ordered_pairs
from bod_keras.frameworks._parts import part_networks
from bod_keras.frameworks.base import ContrastiveModel
from bod_keras.losses.cosine_regression import CosineRegression


@keras.saving.register_keras_serializable("bod_keras")
class VSimSiam(ContrastiveModel):
    """v-SimSiam, plain or decoupled: every part has a predictor and is fitted by `CosineRegression`.

    Each view predicts every other one, whose gradient is stopped. There is no published pairing of more than
    two views; this is that of rho-BYOL.

    Args:
        encoder: a built Keras model, clips (B, T, H, W, 3) to frame features (B, T', C).
        decoupling: None for plain v-SimSiam, or a `KoopmanSplit` for BOD-VCL.
        bilevel: None or a `BiLevel`.
        predictor_hidden: hidden width of each part's predictor, a `ProjectionHead` from the part's width to
            the same; a bottleneck of a quarter of the width in SimSiam.
        **kwargs: as in `ContrastiveModel`.

    Call arguments:
        clips: (B, T, H, W, 3), RGB in [0, 1].

    Returns:
        Frame embeddings (B, T', D).

    Raises:
        ValueError: as `ContrastiveModel` and `ProjectionHead`.

    Example:
        >>> import keras, numpy as np, bod_keras
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> model = bod_keras.VSimSiam(encoder, bod_keras.KoopmanSplit(), predictor_hidden=32)
        >>> model.compile(keras.optimizers.SGD(0.05, momentum=0.9))
        >>> views = np.random.default_rng(0).random((8, 2, 4, 16, 16, 3), "float32")
        >>> history = model.fit(views, batch_size=8, verbose=0)

    Reference:
        Chen and He, "Exploring Simple Siamese Representation Learning", arXiv 2011.10566.
    """

    def __init__(self, encoder, decoupling=None, bilevel=None, predictor_hidden=64, **kwargs):
        super().__init__(encoder, decoupling, bilevel, **kwargs)
        self.predictor_hidden = predictor_hidden
        self.regression = CosineRegression()
        self.predictors = part_networks(self.parts, predictor_hidden, "predictor")
        self.add_state()

    def part_loss(self, part, views, targets, training):
        predicted = [self.predictors[part](view, training=training) for view in views]
        return mean_over(
            ordered_pairs(len(views)),
            lambda query, key: self.regression(views[key], predicted[query]),  # stops its gradient
        )

    def get_config(self):
        return {**super().get_config(), "predictor_hidden": self.predictor_hidden}
