"""What the stages of an encoder give, averaged over space and time."""

from __future__ import annotations

import re

import keras
import numpy as np
from keras import ops

_STAGE = re.compile(r"(stage|block)\d+")


class StageMeans:
    """Read the last layer of each stage of an encoder.

    Args:
        encoder: a Functional model whose layers are named "stage1...", "stage2..." or "block1..."; of another
            one nothing is read.

    Example:
        >>> import bod_keras, numpy as np
        >>> from bod_keras.evaluation.stage_means import StageMeans
        >>> encoder = bod_keras.encoders.FrameCNN((4, 8, 8, 3), widths=(4, 6))
        >>> means = StageMeans(encoder)(np.zeros((2, 4, 8, 8, 3), "float32"))
        >>> {name: values.shape for name, values in means.items()}
        {'stage1': (2, 4), 'stage2': (2, 6)}
    """

    def __init__(self, encoder: keras.Model):
        last = {}
        if isinstance(encoder, keras.Model) and hasattr(encoder, "layers"):
            for layer in encoder.layers:
                stage = _STAGE.match(layer.name)
                if stage and not isinstance(layer.output, (list, tuple)):
                    last[stage[0]] = layer.output
        # In a list: of a dict Keras sorts the names, and block10 would come before block2.
        self._names = list(last)
        self._model = keras.Model(encoder.input, list(last.values())) if last else None

    def __call__(self, clips: np.ndarray) -> dict[str, np.ndarray]:
        """Return name -> float32 (B, C) of clips (B, T, H, W, 3)."""
        if self._model is None:
            return {}
        outputs = self._model(clips, training=False)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        # Frames may be folded into the batch.
        return {
            name: ops.convert_to_numpy(
                ops.mean(ops.reshape(ops.cast(x, "float32"), (len(clips), -1, x.shape[-1])), axis=1)
            )
            for name, x in zip(self._names, outputs)
        }
