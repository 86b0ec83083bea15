"""A worker holds no list of records, so a list of a million costs its memory once."""

from pathlib import Path

import numpy as np
import pytest

from bod_keras.data import Box, ClipDataset, KeyFrame, KeyFrameClips, Record
from tests.leaks import children
from tests.tiers import first_of
from tests.video_files import make_ramp_clip, save_video

MANY = 100_000  # as Python's objects 30 MB and more
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="reads the memory of processes in /proc"
)


def own_megabytes(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    lines = dict(line.split(":") for line in text.splitlines()[1:])
    return int(lines["Private_Dirty"].split()[0]) / 1024


def videos_of(path, count):
    return [Record(path, label=n, factors={"n": n}, span=(0, 1 + n)) for n in range(count)]


def boxes_of(path, count):
    box = Box((0, 0, 1, 1), (0,), frame=3)
    return [Record(path, boxes=(box,), span=(0, 1 + n)) for n in range(count)]


def key_frames_of(path, count):
    return [KeyFrame(path, (Box((0, 0, 1, 1), (0,), frame=3),), frame=n % 9) for n in range(count)]


def size_of_worker(records):
    """MiB of the one process that reads for a data set of these records."""
    before = children()
    if isinstance(records[0], KeyFrame):
        data = KeyFrameClips(records, classes=1, frames=4, size=16, batch_size=1, workers=1)
        stream = data.training()
    else:
        data = ClipDataset(records, batch_size=1, workers=1, frames=4, size=16)
        stream = data.training_numpy()
    next(stream)
    (worker,) = children().keys() - before
    size = own_megabytes(worker)
    stream.close()
    return size


@pytest.mark.parametrize("make", first_of([videos_of, boxes_of, key_frames_of]))
def test_a_worker_is_as_large_for_many_records_as_for_few(tmp_path, make):
    path = save_video(tmp_path / "a.avi", make_ramp_clip(20))
    assert np.ptp([size_of_worker(make(path, count)) for count in (10, MANY)]) < 8
