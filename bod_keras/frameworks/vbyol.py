"""v-BYOL: predict the momentum network's embedding of another clip; no negatives."""

import keras

from bod_keras.frameworks._pairs import mean_over, ordered_pairs
from bod_keras.frameworks._parts import part_networks
from bod_keras.frameworks.momentum import MomentumModel
from bod_keras.losses.cosine_regression import CosineRegression


@keras.saving.register_keras_serializable("bod_keras")
class VBYOL(MomentumModel):
    """v-BYOL, plain or decoupled: every part has a predictor and is fitted by `CosineRegression`.

    Each view predicts the momentum network's part of every other view, as in rho-BYOL: symmetric for two.

    Args:
        encoder: a built Keras model, clips (B, T, H, W, 3) to frame features (B, T', C).
        decoupling: None for plain v-BYOL, or a `KoopmanSplit` for BOD-VCL.
        bilevel: None or a `BiLevel`.
        predictor_hidden: hidden width of each part's predictor, a `ProjectionHead` from the part's width to
            the same; 4096 in rho-BYOL.
        momentum, momentum_steps: as in `MomentumModel`.
        **kwargs: as in `ContrastiveModel`.

    Call arguments:
        clips: (B, T, H, W, 3), RGB in [0, 1].

    Returns:
        Frame embeddings (B, T', D).

    Raises:
        ValueError: as `MomentumModel` and `ProjectionHead`.

    Example:
        >>> import keras, numpy as np, bod_keras
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> model = bod_keras.VBYOL(encoder, bod_keras.KoopmanSplit(), predictor_hidden=64)
        >>> model.compile(keras.optimizers.Adam(1e-3))
        >>> views = np.random.default_rng(0).random((8, 2, 4, 16, 16, 3), "float32")
        >>> history = model.fit(views, batch_size=8, verbose=0)

    Reference:
        Feichtenhofer et al., arXiv 2104.14558 (rho-BYOL); Grill et al., arXiv 2006.07733.
    """

    def __init__(self, encoder, decoupling=None, bilevel=None, predictor_hidden=256, **kwargs):
        super().__init__(encoder, decoupling, bilevel, **kwargs)
        self.predictor_hidden = predictor_hidden
        self.regression = CosineRegression()
        self.predictors = part_networks(self.parts, predictor_hidden, "predictor")
        self.add_state()

    def part_loss(self, part, views, targets, training):
        predicted = [self.predictors[part](view, training=training) for view in views]
        return mean_over(
            ordered_pairs(len(views)),
            lambda query, key: self.regression(targets[key], predicted[query]),
        )

    def get_config(self):
        return {**super().get_config(), "predictor_hidden": self.predictor_hidden}
