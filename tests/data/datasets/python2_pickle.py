"""Pickle files as Python 2 wrote them."""

import io
import pickle
import struct


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes as Python 2 did: as byte strings, without saying which they were."""

    def save_string(self, value):
        data = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    dispatch = {**pickle._Pickler.dispatch, str: save_string, bytes: save_string}


def python2_pickle(value):
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(value)
    # NumPy 2 has renamed the module; files that are about have the old name.
    return stream.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")
