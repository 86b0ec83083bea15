"""BOD-VCL for Keras 3: video contrastive learning in which appearance and motion are both learned."""

import os
import sys

from bod_keras.decoupling import BiLevel, Decoupling
from bod_keras.errors import UserError
from bod_keras.version import __version__

# The console command says itself whether it needs Keras (commands/console).
if os.path.basename(sys.argv[0] if sys.argv else "") in ("bod-keras", "bod-keras.exe"):
    os.environ.setdefault("BOD_KERAS_READER", "1")

# `python -m bod_keras.weights` imports this package, and TensorFlow with it, before its own first line.
_pairs = zip(sys.orig_argv, sys.orig_argv[1:])
_command = next((name for flag, name in _pairs if flag == "-m" and name[:10] == "bod_keras."), None)
if _command:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Commands of `data` need no Keras, nor does any --help; the processes that they start inherit it.
    if _command == "bod_keras.data" or {"-h", "--help"} & set(sys.orig_argv):
        os.environ["BOD_KERAS_READER"] = "1"

__all__ = ["BiLevel", "Decoupling", "UserError", "__version__"]


def __getattr__(name):
    """Import when they are first asked for: `data` brings OpenCV and PyAV, what is of `library` those, too."""
    import importlib

    if name in ("data", "library"):
        return importlib.import_module(f"bod_keras.{name}")
    if name in ("embed", "search"):
        return getattr(importlib.import_module("bod_keras.library"), name)
    if name == "push_to_hub":
        return importlib.import_module("bod_keras.hub").push_to_hub
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# A process that only reads videos, or shows --help, needs no Keras.
if not os.environ.get("BOD_KERAS_READER"):
    from bod_keras.backend.keras_import import import_keras

    try:
        import_keras()
    except ImportError as error:
        if _command and error.name is None:
            sys.exit(f"python -m {_command}: {error}")
        raise

    from bod_keras import encoders, weights
    from bod_keras.frameworks import *  # noqa: F403
    from bod_keras.frameworks import __all__ as _frameworks
    from bod_keras.koopman import KoopmanSplit, OperatorReadOut, TimeMean
    from bod_keras.losses import *  # noqa: F403
    from bod_keras.losses import __all__ as _losses
    from bod_keras.training import BiLevelModel
    from bod_keras.views import (
        AppearanceSwap,
        BackgroundMix,
        BackgroundSwap,
        ClipAugmenter,
        FrameShuffle,
    )
    from bod_keras.weights import load, load_encoder

    __all__ += [  # noqa: PLE0604
        *_frameworks,
        *_losses,
        "AppearanceSwap",
        "BackgroundMix",
        "BackgroundSwap",
        "BiLevelModel",
        "ClipAugmenter",
        "FrameShuffle",
        "KoopmanSplit",
        "OperatorReadOut",
        "TimeMean",
        "embed",  # noqa: F405
        "encoders",
        "library",  # noqa: F405
        "load",
        "load_encoder",
        "push_to_hub",  # noqa: F405
        "search",  # noqa: F405
        "weights",
    ]
