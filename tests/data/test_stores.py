"""The one face of all stores: each kind of video through `open_store`."""

import os
import threading

import cv2
import numpy as np
import pytest

from bod_keras.data import (
    Record,
    VideoError,
    array_records,
    open_store,
    read_catalog,
    write_shards,
)

KINDS = ("file", "folder", "shard", "array")


@pytest.fixture(scope="module")
def same_video(tmp_path_factory, ramp_clip, write_video):
    """One clip as each kind of record; frame t has the level 4 t, in the shard to within 1."""
    clip = ramp_clip(50)
    root = tmp_path_factory.mktemp("kinds")
    file = write_video(root / "file.avi", clip)
    (root / "folder").mkdir()
    for t, frame in enumerate(clip):
        cv2.imwrite(str(root / "folder" / f"{t}.png"), frame)
    write_shards([Record(file)], root / "shards")
    return {
        "file": Record(file),
        "folder": Record(str(root / "folder")),
        "shard": read_catalog(root / "shards")[0],
        "array": array_records([clip], fps=12.0)[0],
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cache_mb", [0, 1])
def test_every_kind_has_the_same_face(same_video, kind, cache_mb):
    record = same_video[kind]
    store = open_store([record], cache_mb, fps=12.0)
    assert store.length(record.path) == 50
    assert store.fps(record.path) == pytest.approx(12.0)
    wanted = np.array([49, 3, 3, 31, 32, 0])
    frames = store.frames(record.path, wanted)
    assert frames.dtype == np.uint8 and frames.shape == (6, 24, 32, 3)
    assert np.abs(frames.astype(int) - 4 * wanted[:, None, None, None]).max() <= 1
    cut = store.frames(record.path, wanted, lambda frame, row: frame[2:10, row : row + 4])
    assert cut.shape == (6, 8, 4, 3)
    np.testing.assert_array_equal(cut[3], frames[3, 2:10, 3:7])
    streamed = np.stack(list(store.stream(record.path)))
    np.testing.assert_array_equal(streamed[wanted], frames)
    assert store.skipped == {}


def test_a_mixture_is_read_by_one_store_from_many_threads(same_video):
    records = list(same_video.values())
    store = open_store(records, cache_mb=0.2)
    results = {}

    def read(worker):
        rng = np.random.default_rng(worker)
        for _ in range(25):
            record = records[rng.integers(len(records))]
            wanted = rng.integers(store.length(record.path), size=4)
            levels = store.frames(record.path, wanted)[:, 5, 5, 0]
            results.setdefault(worker, []).append(abs(levels.astype(int) - 4 * wanted).max())

    threads = [threading.Thread(target=read, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(results[worker]) for worker in range(4)] == [25] * 4
    assert max(max(errors) for errors in results.values()) <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_that_is_not_there(same_video, kind):
    path = same_video[kind].path
    store = open_store([same_video[kind]])
    with pytest.raises(VideoError, match="frame 50"):
        store.frames(path, np.array([0, 50]))
    assert list(store.skipped) == [path]


def test_what_is_gone_is_skipped_and_named(same_video, tmp_path):
    paths = [
        str(tmp_path / "gone.mp4"),
        str(tmp_path / "gone.tfrecord#a.mp4"),
        same_video["shard"].path + "x",
    ]
    store = open_store([])
    for path, reason in zip(paths, ("no such file", "manifest.*cannot be read", "no such video")):
        for _ in range(2):
            with pytest.raises(VideoError, match=reason):
                store.length(path)
    assert sorted(store.skipped) == sorted(paths)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts handles in /proc")
def test_no_handle_stays_open(same_video):
    store = open_store(same_video.values())

    def read():
        for record in same_video.values():
            store.frames(record.path, np.array([store.length(record.path) - 1]))

    read()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        read()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_cache_keeps_no_more_than_it_may(ramp_clip):
    clips = [ramp_clip(50, offset=i) for i in range(6)]  # 115,200 bytes each
    records = array_records(clips)
    store = open_store(records, cache_mb=0.25)
    for record in records:
        store.frames(record.path, np.arange(store.length(record.path)))
    kept = [video for video in store._videos.values() if video is not None]
    assert len(kept) == 2 and sum(video.nbytes for video in kept) <= 0.25 * 2**20


def test_a_negative_cache():
    with pytest.raises(ValueError, match="cache_mb must be at least 0. Received: cache_mb=-1"):
        open_store([], cache_mb=-1)
