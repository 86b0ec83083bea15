"""Clips whose frames come in another order."""

from __future__ import annotations

import keras
from keras import ops

from bod_keras.backend import replicas
from bod_keras.backend.replicas import own_rows
from bod_keras.errors import UserError


@keras.saving.register_keras_serializable("bod_keras")
class FrameShuffle(keras.layers.Layer):
    """Put the frames of every clip into an order of its own, drawn evenly from all orders.

        y_t = x_p(t), p a permutation of 1..T.

    All that is shown remains, and nothing of how it moves. An encoder with temporal kernels brings motion into
    every feature, also into those of the static part; contrasted with a shuffled clip, that part has no use
    for it: `static_view` of `Decoupling`.

    Args:
        seed: an integer; None for a random one. The state of the draws is saved with a model.

    Call arguments:
        clips: (B, T, ...), T known.
        training: whether to shuffle; otherwise the clips stay as they are.

    Returns:
        Clips of the same shape, in the compute dtype.

    Raises:
        ValueError: an input without time, or of unknown time.

    Example:
        >>> import numpy as np, bod_keras
        >>> clips = np.arange(4.0)[None, :, None] + np.zeros((2, 4, 3))
        >>> shuffled = bod_keras.FrameShuffle(seed=0)(clips, training=True)
        >>> sorted(float(frame[0]) for frame in shuffled[0])
        [0.0, 1.0, 2.0, 3.0]

    Reference:
        Shuffled frames as what motion cannot be read from: Misra et al., "Shuffle and Learn", ECCV 2016, arXiv
        1603.08561. That it is the static part's positive is ours.
    """

    def __init__(self, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self._generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, clips, training=False):
        if len(clips.shape) < 3 or clips.shape[1] is None:
            raise UserError(
                "FrameShuffle expects clips (batch, time, ...) of a known time. "
                f"Received: {tuple(clips.shape)}"
            )
        if not training:
            return clips
        time = clips.shape[1]
        joint = (
            ops.shape(clips)[0] * replicas.count(),
            time,
        )  # replicas draw alike: each takes its own
        order = ops.argsort(own_rows(keras.random.uniform(joint, seed=self._generator)), axis=1)
        frames = ops.reshape(clips, (ops.shape(clips)[0], time, -1))
        shuffled = ops.take_along_axis(frames, order[..., None], axis=1)
        return ops.reshape(shuffled, ops.shape(clips))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
