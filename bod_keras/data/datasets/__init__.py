"""What videos there are: folders, lists, and data sets by name (`named/`), each as a `Catalog`."""

from bod_keras.data.datasets.catalog import class_names, read_catalog, read_source
from bod_keras.data.datasets.folders import VIDEO_EXTENSIONS, VideoFiles
from bod_keras.data.datasets.named.ava import read_ava_predictions
from bod_keras.data.datasets.named.plain_pickle import read_pickle
from bod_keras.data.datasets.named.ucf101_24 import ucf101_24_to_json
from bod_keras.data.datasets.pair import pair_catalogs
from bod_keras.data.datasets.registry import DATASETS, DataSet, find_dataset, read_dataset
from bod_keras.data.record import Catalog

__all__ = [
    "Catalog",
    "DATASETS",
    "DataSet",
    "VIDEO_EXTENSIONS",
    "VideoFiles",
    "class_names",
    "find_dataset",
    "pair_catalogs",
    "read_ava_predictions",
    "read_catalog",
    "read_dataset",
    "read_pickle",
    "read_source",
    "ucf101_24_to_json",
]
