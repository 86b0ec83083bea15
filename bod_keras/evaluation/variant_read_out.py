"""What is read from clips that are cut out of one window of a video in several ways."""

from collections.abc import Mapping, Sequence

import numpy as np

from bod_keras.evaluation.read_out import ReadOut


class VariantReadOut:
    """Read several clips out of each window of frames: faster, reversed, shuffled, or from another place.

    Every such clip is a choice of the window's frames, so a video is decoded once for all of them.

    Args:
        read_out: of a clip.
        variants: from a name to the positions in the window of a clip's frames, in their order.

    Attributes:
        order: names of the parts, "NAME PART" for each variant and part; known after the first call.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation.read_out import ReadOut
        >>> from bod_keras.evaluation.variant_read_out import VariantReadOut
        >>> import keras
        >>> encoder = keras.Sequential([keras.layers.Reshape((2, 3))])
        >>> window = np.arange(4, dtype="float32").reshape(1, 4, 1, 1, 1) * np.ones(3, "float32")
        >>> read_out = VariantReadOut(ReadOut(encoder), {"first": [0, 1], "fast": [0, 3]})
        >>> parts = read_out.predict_on_batch(window)
        >>> {name: values[0].tolist() for name, values in parts.items()}
        {'first pooled': [0.5, 0.5, 0.5], 'fast pooled': [1.5, 1.5, 1.5]}
    """

    def __init__(self, read_out: ReadOut, variants: Mapping[str, Sequence[int]]):
        self._read_out = read_out
        self._variants = {name: np.asarray(rows) for name, rows in variants.items()}
        self.order: tuple[str, ...] = ()

    def predict_on_batch(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """From windows (B, W, H, W', 3) to the parts of every variant, (B, K) each."""
        found = {}
        for name, rows in self._variants.items():
            outputs = self._read_out.predict_on_batch(windows[:, rows])
            found |= {f"{name} {part}": outputs[part] for part in self._read_out.order}
        self.order = tuple(found)
        return found
