"""Clips in, the view that training sees out: Keras layers, and the augmentation's law, which needs no Keras.

The layers are imported when they are used, because reader processes need only the law.
"""

import importlib

__all__ = ["AppearanceSwap", "BackgroundMix", "BackgroundSwap", "ClipAugmenter", "FrameShuffle"]

_MODULES = {
    "AppearanceSwap": "appearance_swap",
    "BackgroundMix": "background_mix",
    "BackgroundSwap": "background_swap",
    "ClipAugmenter": "clip_augmenter",
    "FrameShuffle": "frame_shuffle",
}


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
