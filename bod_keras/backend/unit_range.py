"""Clips as floats in [0, 1]: converted from bytes, refused if they are anything else."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from bod_keras.errors import UserError

# Interpolation may leave [0, 1] by a little.
TOLERANCE = 0.05


def unit_floats(clips: Any) -> Any:
    """Return clips as floats: uint8 divided by 255, to the last bit, floats as they are.

    Compilers make a division by a constant a product with its rounded inverse. So 1/255 is split into
    257/65536 + 1/(255 65536): a byte times the first is exact, and only the sum is rounded.

    Args:
        clips: a tensor or array of any shape.

    Raises:
        UserError: another type.

    Example:
        >>> import numpy as np
        >>> from bod_keras.backend.unit_range import unit_floats
        >>> float(unit_floats(np.array([255], "uint8"))[0])
        1.0
    """
    dtype = keras.backend.standardize_dtype(clips.dtype)
    if dtype == "uint8":
        clips = ops.cast(clips, "float32")
        return clips * (257 / 65536) - clips * (-1 / 255 / 65536)
    if not keras.backend.is_float_dtype(dtype):
        raise UserError(f"Clips must be floats in [0, 1] or uint8. Received: {dtype}")
    return clips


def check_range(farthest: float) -> None:
    """Refuse clips of which a value lies out of [0, 1] by more than 0.05: `farthest` from 0.5.

    NaN passes: `StopOnNonFinite` names the files that it comes from.
    """
    if farthest > 0.5 + TOLERANCE:
        raise UserError(
            f"Clips must be floats in [0, 1] or uint8. Received values as far out as {farthest + 0.5:.4g}: "
            "divide them by 255, or pass uint8."
        )


def check_array(clips: Any) -> None:
    """As `check_range`, of the first rows of an array of floats; of a data set nothing."""
    if isinstance(clips, np.ndarray) and np.issubdtype(clips.dtype, np.floating):
        check_range(float(np.max(np.abs(clips[:64] - 0.5), initial=0.0)))


def check_finite(clips: Any) -> None:
    """Refuse an array of floats of whose first rows one is not finite; a data set passes."""
    floats = isinstance(clips, np.ndarray) and np.issubdtype(clips.dtype, np.floating)
    if floats and not np.isfinite(clips[:64]).all():
        raise UserError("Clips must be finite. Received: NaN or infinity. Mend what makes them.")
