"""Video file -> clip pair: catalogues, decoding, sampling, augmentation, streams, built-in data.

TensorFlow is imported when `ClipDataset.training` is first called, Keras when `ClipAugmenter` is used.
"""

from bod_keras.data.augment.augment import RECIPES, ClipAugment, augmentation
from bod_keras.data.augment.colour import apply_colour, jitter_matrix
from bod_keras.data.augment.crops import three_crops
from bod_keras.data.datasets import (
    DATASETS,
    Catalog,
    find_dataset,
    read_ava_predictions,
    read_dataset,
    read_source,
    ucf101_24_to_json,
)
from bod_keras.data.datasets.blocklist import read_blocklist, without_blocked, write_blocklist
from bod_keras.data.datasets.catalog import VIDEO_EXTENSIONS, class_names, read_catalog
from bod_keras.data.datasets.key_frames import KeyFrame, key_frames
from bod_keras.data.loading.clips import (
    clip_indices,
    clip_span,
    even_views,
    sample_rng,
    sample_views,
)
from bod_keras.data.loading.key_frame_clips import KeyFrameClips
from bod_keras.data.loading.pipeline import ClipDataset
from bod_keras.data.open_store import open_store
from bod_keras.data.record import Box, Record
from bod_keras.data.shards.shard_manifest import read_manifest
from bod_keras.data.shards.shard_store import ShardStore
from bod_keras.data.shards.shard_writer import ShardSettings
from bod_keras.data.shards.shards import write_shards
from bod_keras.data.synthetic.moving_discs import write_moving_discs
from bod_keras.data.synthetic.synthetic import (
    digit_drift_arrays,
    iterate_clips,
    render_clip,
    sample_factors,
    tied_dynamic,
)
from bod_keras.data.synthetic.synthetic_files import write_digit_drift
from bod_keras.data.video.array_store import ArrayRecord, ArrayStore, array_records
from bod_keras.data.video.frame_folder_store import FrameFolderStore
from bod_keras.data.video.frame_folders import frame_names
from bod_keras.data.video.store import FrameStore, VideoStore
from bod_keras.data.video.video import read_frames, readable_frames
from bod_keras.data.video.video_file import (
    VideoError,
    VideoInfo,
    count_frames,
    frame_times,
    iterate_frames,
    probe,
)

__all__ = [
    "DATASETS",
    "RECIPES",
    "VIDEO_EXTENSIONS",
    "ArrayRecord",
    "ArrayStore",
    "Box",
    "Catalog",
    "ClipAugment",
    "ClipAugmenter",
    "ClipDataset",
    "FrameFolderStore",
    "FrameStore",
    "KeyFrame",
    "KeyFrameClips",
    "Record",
    "ShardSettings",
    "ShardStore",
    "VideoError",
    "VideoInfo",
    "VideoStore",
    "apply_colour",
    "array_records",
    "augmentation",
    "class_names",
    "clip_indices",
    "clip_span",
    "count_frames",
    "even_views",
    "frame_names",
    "iterate_clips",
    "iterate_frames",
    "jitter_matrix",
    "key_frames",
    "digit_drift_arrays",
    "find_dataset",
    "frame_times",
    "open_store",
    "probe",
    "read_ava_predictions",
    "read_blocklist",
    "read_catalog",
    "read_dataset",
    "read_frames",
    "read_manifest",
    "read_source",
    "readable_frames",
    "render_clip",
    "sample_factors",
    "sample_rng",
    "sample_views",
    "three_crops",
    "tied_dynamic",
    "ucf101_24_to_json",
    "without_blocked",
    "write_blocklist",
    "write_digit_drift",
    "write_moving_discs",
    "write_shards",
]


def __getattr__(name: str):
    if name == "ClipAugmenter":
        from bod_keras.views.clip_augmenter import ClipAugmenter

        return ClipAugmenter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
