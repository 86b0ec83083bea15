"""Weights in and out of encoders: PyTorch files by their published keys, and other runtimes' forms."""

import os

# `python -m bod_keras.weights --help` needs no Keras.
if not os.environ.get("BOD_KERAS_READER"):
    from bod_keras.weights.export import export
    from bod_keras.weights.load_encoder import load, load_encoder
    from bod_keras.weights.load_torch import LoadReport, load_torch
    from bod_keras.weights.save_torch import save_torch
    from bod_keras.weights.state_file import read_state, write_state

__all__ = [
    "LoadReport",
    "export",
    "load",
    "load_encoder",
    "load_torch",
    "read_state",
    "save_torch",
    "write_state",
]
