"""Video file -> clip pair: catalogues, decoding, sampling, augmentation, streams, built-in data.

TensorFlow is imported when `ClipDataset.training` is first called, Keras when `ClipAugmenter` is used.
"""

from bod_keras.data.augment import RECIPES, ClipAugment, augmentation, three_crops
from bod_keras.data.catalog import VIDEO_EXTENSIONS, class_names, read_catalog
from bod_keras.data.clips import clip_indices, clip_span, even_views, sample_rng, sample_views
from bod_keras.data.colour import apply_colour, jitter_matrix
from bod_keras.data.pipeline import ClipDataset
from bod_keras.data.record import Box, Record
from bod_keras.data.store import VideoStore
from bod_keras.data.synthetic import (
    digit_drift_arrays,
    iterate_clips,
    render_clip,
    sample_factors,
    tied_dynamic,
)
from bod_keras.data.synthetic_files import write_digit_drift
from bod_keras.data.video import (
    VideoError,
    VideoInfo,
    count_frames,
    probe,
    read_frames,
    readable_frames,
)

__all__ = [
    "RECIPES",
    "VIDEO_EXTENSIONS",
    "Box",
    "ClipAugment",
    "ClipAugmenter",
    "ClipDataset",
    "Record",
    "VideoError",
    "VideoInfo",
    "VideoStore",
    "apply_colour",
    "augmentation",
    "class_names",
    "clip_indices",
    "clip_span",
    "count_frames",
    "even_views",
    "iterate_clips",
    "jitter_matrix",
    "digit_drift_arrays",
    "probe",
    "read_catalog",
    "read_frames",
    "readable_frames",
    "render_clip",
    "sample_factors",
    "sample_rng",
    "sample_views",
    "three_crops",
    "tied_dynamic",
    "write_digit_drift",
]


def __getattr__(name: str):
    if name == "ClipAugmenter":
        from bod_keras.data.clip_augmenter import ClipAugmenter

        return ClipAugmenter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
