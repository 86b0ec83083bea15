"""Published augmentations by name: numbers, without the code that applies them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bod_keras.errors import check_choice

# Published numbers; the two clips of a pair are view 0 and view 1.
RECIPES: Mapping[str, Mapping] = MappingProxyType(
    {
        "cvrl": {
            "crop_area": (0.3, 1.0),
            "crop_aspect": (0.5, 2.0),
            "flip": 0.5,
            "jitter": (0.8, 0.8, 0.8, 0.2),
            "jitter_probability": 0.8,
            "gray_probability": 0.2,
            "blur_probability": (1.0, 0.1),
            "solarize_probability": (0.0, 0.2),
        },
        "rho": {
            "crop_area": (0.2, 0.766),
            "crop_aspect": (0.75, 1.333),
            "flip": 0.5,
            "jitter": (0.6, 0.6, 0.6, 0.15),
            "jitter_probability": 0.8,
            "gray_probability": 0.2,
            "blur_probability": (0.5, 0.5),
        },
        # For data whose label is the direction of motion: a flip would change the label.
        "motion": {
            "crop_area": (0.8, 1.0),
            "crop_aspect": (0.75, 1.333),
            "jitter": (0.2, 0.2, 0.2, 0.05),
            "jitter_probability": 0.8,
        },
        # For training with labels. Of the frame's area, 0.28 to 0.57 is a square of 224 pixels out of a
        # short side of 256 to 320, whether frames are 4:3 or 16:9.
        "crop": {"crop_area": (0.25, 1.0), "crop_aspect": (0.75, 1.333), "flip": 0.5},
        "scale_jitter": {"crop_area": (0.28, 0.57), "crop_aspect": (1.0, 1.0), "flip": 0.5},
        "scale_jitter_color": {
            "crop_area": (0.28, 0.57),
            "crop_aspect": (1.0, 1.0),
            "flip": 0.5,
            "jitter": (0.4, 0.4, 0.4, 0.1),
            "jitter_probability": 0.8,
            "gray_probability": 0.2,
        },
        "coclr_probe": {
            "crop_area": (0.2, 1.0),
            "crop_aspect": (0.75, 1.333),
            "flip": 0.5,
            "jitter": (0.4, 0.4, 0.4, 0.1),
            "jitter_probability": 0.3,
        },
        "tclr_probe": {
            "crop_area": (0.27, 0.75),
            "crop_aspect": (1.0, 1.0),
            "flip": 0.5,
            "jitter": (0.1, 0.1, 0.1, 0.05),
            "jitter_probability": 0.15,
            "gray_probability": 0.1,
        },
        "none": {},
    }
)


def recipe_settings(name: str, **overrides: Any) -> dict[str, Any]:
    """Give the settings of a named recipe.

    Args:
        name: a key of `RECIPES`.
        **overrides: fields of `AugmentationLaw` to change.

    Returns:
        Fields of `AugmentationLaw` and their values.

    Raises:
        UserError: if there is no such recipe.

    Example:
        >>> from bod_keras.views.recipes import recipe_settings
        >>> recipe_settings("crop", flip=0.0)["flip"]
        0.0
    """
    check_choice("recipe", name, RECIPES)
    return {**RECIPES[name], **overrides}
