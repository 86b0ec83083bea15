"""Seconds mean the same frames in shards as in the files that they were written from."""

import dataclasses

import numpy as np
import pytest

from bod_keras.data import (
    KeyFrame,
    KeyFrameClips,
    Record,
    ShardSettings,
    VideoError,
    array_records,
    open_store,
    read_catalog,
    write_shards,
)
from bod_keras.data.record_frames import frame_at, record_frames
from bod_keras.data.shards import shard_writer
from bod_keras.data.shards.tfrecord import encode_example
from tests.stamped_videos import times_of, write_video

SETTINGS = ShardSettings(short_side=500, chunk=8)
KINDS = [("jitter", "a.mp4", "libx264"), ("dropped", "a.mkv", "mpeg4"), ("late", "a.ts", "libx264")]


def packed(path, folder):
    write_shards([Record(path)], folder, SETTINGS)
    (record,) = read_catalog(folder)
    return record


@pytest.mark.parametrize("kind, name, codec", KINDS)
def test_spans_and_key_frames_of_a_variable_rate(tmp_path, kind, name, codec):
    path = write_video(tmp_path / name, codec, times_of(kind))
    record = packed(path, tmp_path / "s")
    store = open_store([])
    times = store.times(path)
    np.testing.assert_array_equal(store.times(record.path), times)
    rng = np.random.default_rng(0)
    for begin, length in zip(rng.uniform(0, times[-1], 30), rng.uniform(0.05, 2, 30)):
        span = (begin, begin + length)
        found = [record_frames(store, Record(p, span=span)) for p in (path, record.path)]
        assert found[0] == found[1]
        assert frame_at(store, path, begin) == frame_at(store, record.path, begin)
    clips = []
    for one in (path, record.path):
        data = KeyFrameClips(
            [KeyFrame(one, (), time=float(times[31]))], classes=1, size=32, batch_size=1, workers=0
        )
        ((inputs, _),) = data.evaluation()
        clips.append(inputs["clips"])
    assert abs(clips[0] - clips[1]).mean() < 0.02  # the loss of JPEG; a neighbor differs by more


def without_times(features):
    return encode_example({k: v for k, v in features.items() if k != "video/times"})


def test_shards_without_times_are_read_by_their_rate(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_writer, "encode_example", without_times)
    path = write_video(tmp_path / "a.mp4", "libx264", times_of("dropped"))
    record = packed(path, tmp_path / "s")
    store = open_store([])
    np.testing.assert_allclose(store.times(record.path), np.arange(60) / store.fps(path))


def test_what_has_no_rate_has_no_times(tmp_path):
    write_shards(array_records(np.zeros((1, 20, 8, 8, 3), np.uint8)), tmp_path / "s")
    (record,) = read_catalog(tmp_path / "s")
    with pytest.raises(VideoError, match="no frame rate"):
        record_frames(open_store([]), dataclasses.replace(record, span=(0.0, 1.0)))


@pytest.mark.parametrize(
    "times", [b"", b"1234567", np.zeros(19).tobytes(), np.full(20, np.nan).tobytes()]
)
def test_times_that_cannot_be_are_told(tmp_path, monkeypatch, times):
    monkeypatch.setattr(
        shard_writer,
        "encode_example",
        lambda features: encode_example({**features, "video/times": [times]}),
    )
    write_shards(array_records(np.zeros((1, 20, 8, 8, 3), np.uint8), fps=5.0), tmp_path / "s")
    (record,) = read_catalog(tmp_path / "s")
    with pytest.raises(VideoError, match="times of its frames in the shard are damaged"):
        open_store([]).times(record.path)
    assert open_store([]).frames(record.path, [3]).shape == (1, 8, 8, 3)
