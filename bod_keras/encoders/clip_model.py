"""`ClipModel`: a Functional model of clips that takes bytes, too."""

from __future__ import annotations

from typing import Any

import keras

from bod_keras.backend.unit_range import unit_floats
from bod_keras.encoders.remat_model import RematModel


class _TakesBytes:
    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        inputs = keras.tree.map_structure(unit_floats, inputs)
        return super().call(inputs, training=training, mask=mask)


@keras.saving.register_keras_serializable("bod_keras")
class ClipModel(_TakesBytes, keras.Model):
    """A Functional model of clips in [0, 1]; clips of bytes are divided by 255 first.

    Keras would make floats of bytes as they are, 255 times too bright. Integers of other types are refused.

    Args:
        inputs: one `keras.Input` of floats.
        outputs: as of `keras.Model`.
        name: of the model.

    Example:
        >>> import keras, numpy as np
        >>> from bod_keras.encoders.clip_model import ClipModel
        >>> clips = keras.Input((2, 1, 1, 3))
        >>> model = ClipModel(clips, keras.layers.Reshape((2, 3))(clips))
        >>> float(keras.ops.max(model(np.full((1, 2, 1, 1, 3), 255, "uint8"))))
        1.0
    """


@keras.saving.register_keras_serializable("bod_keras")
class RematClipModel(_TakesBytes, RematModel):
    """A `ClipModel` that is a `RematModel`, too."""
