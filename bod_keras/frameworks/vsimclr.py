"""v-SimCLR: InfoNCE between two clips of a video, negatives from the batch."""

import keras

from bod_keras.frameworks._pairs import adjacent_pairs, mean_over
from bod_keras.frameworks._parts import part_temperatures
from bod_keras.frameworks.base import ContrastiveModel
from bod_keras.losses.info_nce import InfoNCE


@keras.saving.register_keras_serializable("bod_keras")
class VSimCLR(ContrastiveModel):
    """v-SimCLR, plain or decoupled: every part is contrasted by `InfoNCE` in both directions.

    Of rho > 2 views, each is contrasted with the next one, as rho-SimCLR does.

    Args:
        encoder: a built Keras model, clips (B, T, H, W, 3) to frame features (B, T', C).
        decoupling: None for plain v-SimCLR, or a `KoopmanSplit` for BOD-VCL.
        bilevel: None or a `BiLevel`.
        temperature: of the base and the static loss.
        dynamic_temperature: of the dynamic loss; as `temperature` if None.
        **kwargs: `projection_head`, `static_weight`, `dynamic_weight`, `base_weight` as in
            `ContrastiveModel`, and `keras.Model` arguments.

    Call arguments:
        clips: (B, T, H, W, 3), RGB in [0, 1].

    Returns:
        Frame embeddings (B, T', D).

    Raises:
        ValueError: an encoder that is not built or does not keep time, or `bilevel` without `decoupling`.

    Example:
        >>> import keras, numpy as np, bod_keras
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> model = bod_keras.VSimCLR(
        ...     encoder, bod_keras.KoopmanSplit(), bod_keras.BiLevel(), temperature=0.2)
        >>> model.compile(keras.optimizers.Adam(1e-3))
        >>> views = np.random.default_rng(0).random((8, 2, 4, 16, 16, 3), "float32")
        >>> history = model.fit(views, batch_size=8, verbose=0)

    Reference:
        Feichtenhofer et al., "A Large-Scale Study on Unsupervised Spatiotemporal Representation Learning",
        arXiv 2104.14558; decoupled: arXiv 2407.14069.
    """

    def __init__(
        self,
        encoder,
        decoupling=None,
        bilevel=None,
        temperature=0.1,
        dynamic_temperature=None,
        **kwargs,
    ):
        super().__init__(encoder, decoupling, bilevel, **kwargs)
        self.temperature = temperature
        self.dynamic_temperature = dynamic_temperature
        temperatures = part_temperatures(self.parts, temperature, dynamic_temperature)
        self.contrast = {part: InfoNCE(t) for part, t in temperatures.items()}

    def part_loss(self, part, views, targets, training):
        contrast = self.contrast[part]
        return mean_over(adjacent_pairs(len(views)), lambda i, j: contrast(views[i], views[j]))

    def get_config(self):
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "dynamic_temperature": self.dynamic_temperature,
        }
