"""Pickled annotations without running what a pickle file may ask for."""

from __future__ import annotations

import collections
import os
import pickle

import numpy as np

from bod_keras.errors import UserError

# The functions by which arrays and NumPy numbers are pickled, under the names of NumPy 1 and 2.
_NUMPY = {
    "multiarray._reconstruct": np.empty(0).__reduce__()[0],
    "multiarray.scalar": np.float64(0).__reduce__()[0],
    "numeric._frombuffer": np.empty(1).__reduce_ex__(5)[0],
}


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r} where only latin1 is expected")
    return text.encode("latin1")


_ALLOWED = {
    **{
        (f"numpy.{core}.{module}", name): function
        for core in ("core", "_core")
        for (module, name), function in ((k.split("."), f) for k, f in _NUMPY.items())
    },
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _ALLOWED[module, name]


def read_pickle(path: str | os.PathLike):
    """Read a pickle file that holds NumPy arrays, numbers, strings and plain containers only.

    Python's own `pickle.load` runs any function that a file names, so a file from the web can do
    anything. Here every name but those by which arrays are stored is refused. Strings that Python 2
    wrote are read as Latin-1.

    Args:
        path: the file.

    Returns:
        What it holds.

    Raises:
        ValueError: if it asks for anything else, or is no whole pickle file.

    Example:

    >>> import numpy as np
    >>> from bod_keras.data.datasets import read_pickle
    >>> import pickle
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "a.pkl")
    ...     _ = path.write_bytes(pickle.dumps({"boxes": [np.arange(2)]}, protocol=2))
    ...     read_pickle(path)
    {'boxes': [array([0, 1])]}
    """
    with open(path, "rb") as stream:
        try:
            return _Unpickler(stream, encoding="latin1").load()
        except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, TypeError) as error:
            raise UserError(
                f"{os.fspath(path)} is not read: {error}. Expected a pickle file of NumPy arrays, "
                "numbers, strings, lists, tuples and dicts."
            ) from None
