"""Where names were in version 0.1: they are in `bod_keras.data` now, and go from here with version 0.3."""

import warnings

from bod_keras.data.choose_store import open_store  # noqa: F401

warnings.warn(
    "bod_keras.data.open_store is bod_keras.data since 0.2.0", DeprecationWarning, stacklevel=2
)
