"""Video file -> clip pair: catalogs, decoding, sampling, augmentation, streams, built-in data.

A name is imported from its module when it is first used, so that what only names this package imports neither
OpenCV nor PyAV nor protobuf, nor TensorFlow before a tf.data stream is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

from bod_keras.data.open_store import open_store  # noqa: F401 (see there)

_NAMES = {
    "data.augment.augment": ("ClipAugment", "augmentation"),
    "data.augment.color": ("apply_color",),
    "data.augment.crops": ("three_crops",),
    "data.datasets": (
        "DATASETS",
        "DataSet",
        "VIDEO_EXTENSIONS",
        "class_names",
        "find_dataset",
        "pair_catalogs",
        "read_ava_predictions",
        "read_catalog",
        "read_dataset",
        "read_source",
        "ucf101_24_to_json",
    ),
    "data.datasets.blocklist": ("read_blocklist", "without_blocked", "write_blocklist"),
    "data.datasets.feature_files": ("FeatureRecord", "read_features"),
    "data.datasets.key_frames": ("KeyFrame", "key_frames"),
    "data.loading.clip_spec": ("ClipSpec", "Loading"),
    "data.loading.clips": ("clip_indices", "clip_span", "even_views", "sample_rng", "sample_views"),
    "data.loading.feature_dataset": ("FeatureDataset",),
    "data.loading.key_frame_clips": ("KeyFrameClips",),
    "data.loading.pipeline": ("ClipDataset",),
    "data.record": ("Box", "Catalog", "Record"),
    "data.shards.shard_manifest": ("read_manifest",),
    "data.shards.shard_store": ("ShardStore",),
    "data.shards.shard_writer": ("ShardSettings",),
    "data.shards.shards": ("write_shards",),
    "data.synthetic.moving_discs": ("write_moving_discs",),
    "data.synthetic.noise_drift": ("render_noise",),
    "data.synthetic.synthetic": (
        "digit_drift_arrays",
        "iterate_clips",
        "render_clip",
        "sample_factors",
    ),
    "data.synthetic.synthetic_files": ("write_digit_drift",),
    "data.video.array_store": ("ArrayRecord", "ArrayStore", "array_records"),
    "data.video.frame_folder_store": ("FrameFolderStore",),
    "data.video.frame_folders": ("frame_names",),
    "data.video.store": ("FrameStore", "VideoStore"),
    "data.video.video": (
        "count_frames",
        "frame_times",
        "iterate_frames",
        "probe",
        "read_frames",
        "readable_frames",
    ),
    "data.video.video_file": ("VideoError", "VideoInfo"),
    "views.clip_augmenter": ("ClipAugmenter",),
    "views.color": ("jitter_matrix",),
    "views.recipes": ("RECIPES",),
}
_MODULES = {name: f"bod_keras.{module}" for module, names in _NAMES.items() for name in names}

__all__ = sorted([*_MODULES, "open_store"])  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
