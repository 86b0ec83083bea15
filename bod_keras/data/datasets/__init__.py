"""Data sets with their official annotation files, one module each; `read_source` for other ones."""

from bod_keras.data.datasets.ava import read_ava_predictions
from bod_keras.data.datasets.base import Catalog
from bod_keras.data.datasets.files import VideoFiles
from bod_keras.data.datasets.registry import DATASETS, find_dataset, read_dataset
from bod_keras.data.datasets.restricted_pickle import read_pickle
from bod_keras.data.datasets.source import read_source
from bod_keras.data.datasets.ucf101_24 import ucf101_24_to_json

__all__ = [
    "Catalog",
    "DATASETS",
    "VideoFiles",
    "find_dataset",
    "read_ava_predictions",
    "read_dataset",
    "read_pickle",
    "read_source",
    "ucf101_24_to_json",
]
