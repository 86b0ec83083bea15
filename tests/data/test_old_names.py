"""What programs written for version 0.1 import: the same objects, with a warning."""

import importlib
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

import bod_keras.data
from bod_keras.data.loading.reader import ClipReader, Task
from bod_keras.data.video.check import check_video

OLD = {
    "catalog": {"read_catalog": bod_keras.data.read_catalog},
    "video_file": {
        "VideoError": bod_keras.data.VideoError,
        "iterate_frames": bod_keras.data.iterate_frames,
    },
    "check": {"check_video": check_video},
    "reader": {"Task": Task},
}


@pytest.mark.parametrize("module", OLD)
def test_a_module_that_moved_warns_and_gives_the_same(module):
    with pytest.warns(DeprecationWarning, match=f"bod_keras.data.{module} is .* since 0.2.0"):
        importlib.reload(importlib.import_module(f"bod_keras.data.{module}"))
    old = importlib.import_module(f"bod_keras.data.{module}")
    assert all(getattr(old, name) is value for name, value in OLD[module].items())


def test_packages_that_were_modules_hold_their_names():
    from bod_keras.data.augment import augmentation
    from bod_keras.data.video import read_frames, readable_frames

    assert augmentation is bod_keras.data.augmentation
    assert (read_frames, readable_frames) == (
        bod_keras.data.read_frames,
        bod_keras.data.readable_frames,
    )


def test_a_reader_of_0_1_had_two_arguments_more():
    from bod_keras.data.reader import ClipReader as Old

    augment = bod_keras.data.augmentation("none", 16)
    records = [bod_keras.data.Record("a.mp4")]
    old = Old(records, 8, 1, 0, 0, "uniform", augment, augment, 0)
    assert old.records == records and old._reader == ClipReader(8, 1, 0, augment, augment, 0)
    with pytest.raises(bod_keras.data.VideoError, match="a.mp4: there is no such file"):
        old.read(Task(0, 0, 0, 1), np.empty((1, 8, 16, 16, 3), np.uint8))


def test_open_store_is_the_function_in_whatever_order_it_is_imported():
    """A module of its name must not take its place in the package."""
    orders = itertools.permutations(
        [
            "import bod_keras.data.open_store",
            "from bod_keras.data.open_store import open_store",
            "from bod_keras.data import open_store",
        ]
    )
    for order in orders:
        code = "; ".join([*order, "import bod_keras", "bod_keras.data.open_store([])"])
        subprocess.run(
            [sys.executable, "-c", code], check=True, env={**os.environ, "BOD_KERAS_READER": "1"}
        )
