import dataclasses
import json
import os
import re

import cv2
import numpy as np
import pytest

from bod_keras.data import (
    Box,
    ClipDataset,
    Record,
    ShardSettings,
    VideoError,
    array_records,
    class_names,
    open_store,
    read_catalog,
    read_manifest,
    read_source,
    write_shards,
)
from bod_keras.data.shards import shards as shards_module
from bod_keras.data.shards.tfrecord import encode_example, write_record

SMALL = ShardSettings(short_side=24, chunk=8, shard_mb=0.02)


def content(folder):
    """Name -> bytes of every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def stop_after(videos):
    """A `progress` that acts like Ctrl-C."""

    def stop(done, total):
        if done == videos:
            raise KeyboardInterrupt

    return stop


@pytest.fixture
def records(videos):
    return [Record(path, label=i % 2, split="train") for i, path in enumerate(videos)]


@pytest.fixture(scope="module")
def moving(tmp_path_factory, write_video):
    """Two videos of smooth pictures that move, 96 x 128."""
    folder = tmp_path_factory.mktemp("moving")
    paths = []
    for seed in range(2):
        noise = np.random.default_rng(seed).integers(0, 255, (96, 300, 3), dtype=np.uint8)
        noise = noise // 4 + noise[..., :1] // 4 * 3  # colors as pale as those of most videos
        picture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)
        clip = np.stack([picture[:, 2 * t : 2 * t + 128] for t in range(60)])
        paths.append(write_video(folder / f"{seed}.avi", clip))
    return paths


def test_clips_are_those_of_the_files(records, tmp_path):
    write_shards(records, tmp_path / "s", SMALL)
    packed = read_catalog(tmp_path / "s")
    assert [record.label for record in packed] == [record.label for record in records]
    assert all(f".tfrecord#v{i}.avi" in record.path for i, record in enumerate(packed))
    options = {"frames": 6, "stride": 2, "size": 16, "batch_size": 3, "recipe": "none"}
    for stream in (lambda data: data.training(steps=6), lambda data: data.evaluation(views=3)):
        files, shards = (
            list(stream(ClipDataset(r, **options)).as_numpy_iterator()) for r in (records, packed)
        )
        for one, other in zip(files, shards, strict=True):
            # The level of a frame is 4 times its number: equal to 1 means the same frames.
            assert abs(one["views"] - other["views"]).max() * 255 <= 1.01


def test_loss_is_that_of_jpeg(moving, tmp_path):
    write_shards([Record(path) for path in moving], tmp_path / "s", ShardSettings(short_side=48))
    packed = read_catalog(tmp_path / "s")
    options = {"frames": 8, "size": 48, "batch_size": 2, "recipe": "none"}
    files, shards = (
        next(ClipDataset(r, **options).evaluation(views=2).as_numpy_iterator())["views"]
        for r in ([Record(path) for path in moving], packed)
    )
    psnr = -10 * np.log10(np.mean((files - shards) ** 2))
    assert psnr > 35
    store = open_store(packed)
    assert store.frames(packed[0].path, [0]).shape == (1, 48, 64, 3)
    assert store.fps(packed[0].path) == pytest.approx(12.0)


def test_small_videos_are_not_enlarged_and_quality_counts(moving, tmp_path):
    sizes = []
    for quality in (50, 95):
        settings = ShardSettings(short_side=500, quality=quality)
        manifest = write_shards([Record(moving[0])], tmp_path / str(quality), settings)
        assert (manifest["videos"][0]["height"], manifest["videos"][0]["width"]) == (96, 128)
        sizes.append(manifest["totals"]["bytes"])
    assert 2 * sizes[0] < sizes[1]


def test_a_clip_reads_its_own_records_only(records, tmp_path, monkeypatch):
    from bod_keras.data.shards import shard_store

    manifest = write_shards(records, tmp_path / "s", SMALL)
    offsets = manifest["videos"][5]["offsets"]
    assert len(offsets) == 7  # 55 frames in chunks of 8
    read = []
    real = shard_store.read_records
    monkeypatch.setattr(
        shard_store, "read_records", lambda path, places: read.extend(places) or real(path, places)
    )
    store = open_store([])
    path = read_catalog(tmp_path / "s")[5].path
    store.frames(path, np.array([41, 17, 23, 17]))
    assert read == [offsets[2], offsets[5]]


def test_tensorflow_reads_the_documented_schema(records, tmp_path):
    tf = pytest.importorskip("tensorflow")
    manifest = write_shards(records, tmp_path / "s", SMALL)
    features = {
        "video/key": tf.io.FixedLenFeature([], tf.string),
        "video/frames": tf.io.FixedLenFeature([], tf.int64),
        "video/fps": tf.io.FixedLenFeature([], tf.float32, default_value=0.0),
        "video/labels": tf.io.RaggedFeature(tf.int64),
        "image/height": tf.io.FixedLenFeature([], tf.int64),
        "image/width": tf.io.FixedLenFeature([], tf.int64),
        "image/encoded": tf.io.RaggedFeature(tf.string),
        "chunk/start": tf.io.FixedLenFeature([], tf.int64),
    }
    names = [str(tmp_path / "s" / shard["file"]) for shard in manifest["shards"]]
    assert len(names) > 1
    frames = {}
    for record in tf.data.TFRecordDataset(names):
        example = tf.io.parse_single_example(record, features)
        key = example["video/key"].numpy().decode()
        number = int(key[1])
        assert example["video/labels"].numpy().tolist() == [records[number].label]
        assert example["video/fps"].numpy() == pytest.approx(12.0)
        for t, jpeg in enumerate(example["image/encoded"], int(example["chunk/start"])):
            image = tf.io.decode_jpeg(jpeg).numpy()
            assert image.shape == (example["image/height"], example["image/width"], 3)
            assert abs(image.astype(int) - (4 * t + number)).max() <= 2
            frames.setdefault(key, []).append(t)
    lengths = {video["key"]: video["frames"] for video in manifest["videos"]}
    assert frames == {key: list(range(length)) for key, length in lengths.items()}


def test_what_is_known_of_a_video_survives(videos, tmp_path):
    box = Box((0.1, 0.2, 0.3, 0.4), labels=(11, 79), time=1.5, track=2)
    known = [
        Record(videos[0], label=3, factors={"static": 1}, split="val", span=(0.5, 1.25)),
        Record(videos[1], labels=(4, 6), boxes=(box,)),
        Record(videos[0], label=5),  # a second record of a file
    ]
    names = list("abcdefg")
    manifest = write_shards(known, tmp_path / "s", SMALL, class_names=names, flip_safe=False)
    packed = read_catalog(tmp_path / "s")
    for one, other in zip(known, packed, strict=True):
        assert other.path.endswith("#" + os.path.basename(one.path))
        assert dataclasses.replace(other, path=one.path) == one
    assert manifest["totals"]["videos"] == 2 and manifest["videos"][0]["labels"] == [3, 5]
    catalog = read_source(tmp_path / "s", split="val")
    assert (catalog.class_names, catalog.flip_safe) == (names, False)
    assert [record.label for record in catalog.records] == [3]
    assert class_names(tmp_path / "s") == names


def test_unusual_names(videos, tmp_path):
    names = ["-a [1].avi", "50%_#1.tfrecord#x.avi", "käse_動画.avi", "sub/-a [1].avi"]
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name, path in zip(names, videos):
        (tmp_path / "in" / name).symlink_to(path)
    write_shards(read_catalog(tmp_path / "in"), tmp_path / "s", SMALL)
    packed = read_catalog(tmp_path / "s")
    assert sorted(record.path.partition(".tfrecord#")[2] for record in packed) == sorted(names)
    store = open_store(packed)
    lengths = {r.path.partition(".tfrecord#")[2]: store.length(r.path) for r in packed}
    assert [lengths[name] for name in names] == [20, 27, 34, 41]
    assert all(len(store.frames(record.path, [0, 19])) == 2 for record in packed)


def test_broken_videos_are_skipped_counted_and_named(records, broken, tmp_path):
    bad = [Record(path) for path, _ in broken.values()]
    mixed = [bad[0], *records[:2], *bad[1:], records[2]]
    manifest = write_shards(mixed, tmp_path / "s", SMALL)
    assert manifest["totals"]["videos"] == 3 and manifest["totals"]["skipped"] == len(bad)
    found = {video["source"]: video["reason"] for video in manifest["skipped"]}
    for path, reason in broken.values():
        assert reason in found[path]
    assert [r.path[-6:] for r in read_catalog(tmp_path / "s")] == ["v0.avi", "v1.avi", "v2.avi"]


def test_damage_in_the_middle_leaves_the_shard_whole(tmp_path, write_video, videos):
    path = tmp_path / "damaged.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (40, 32, 32, 3), dtype=np.uint8)
    write_video(path, noise, "mp4v")
    data = bytearray(path.read_bytes())
    start, stop = int(0.4 * len(data)), int(0.6 * len(data))
    data[start:stop] = bytes(stop - start)
    path.write_bytes(data)
    manifest = write_shards(
        [Record(videos[0]), Record(str(path)), Record(videos[1])], tmp_path / "s"
    )
    (skipped,) = manifest["skipped"]
    assert skipped["source"] == str(path)
    assert re.search(r"frame \d+ of 40 cannot be decoded \(mpeg4\)", skipped["reason"])
    store = open_store([])
    for record in read_catalog(tmp_path / "s"):
        assert len(store.frames(record.path, np.arange(store.length(record.path)))) in (20, 27)


def test_nothing_readable(broken, tmp_path):
    manifest = write_shards([Record(path) for path, _ in broken.values()], tmp_path / "s")
    assert manifest["totals"]["videos"] == 0 and not list((tmp_path / "s").glob("*.tfrecord"))
    with pytest.raises(ValueError, match="holds no video: every one was skipped"):
        read_catalog(tmp_path / "s")


@pytest.mark.parametrize("after", range(7))
def test_a_stopped_run_goes_on_to_the_same_bytes(records, tmp_path, after, monkeypatch):
    write_shards(records, tmp_path / "whole", SMALL)

    with pytest.raises(KeyboardInterrupt):
        write_shards(records, tmp_path / "cut", SMALL, progress=stop_after(after))
    with pytest.raises(ValueError, match="not finished. Run the command .* once more"):
        read_catalog(tmp_path / "cut")
    encoded = []
    real = shards_module.encode_video
    monkeypatch.setattr(
        shards_module, "encode_video", lambda job, s: encoded.append(job.key) or real(job, s)
    )
    write_shards(records, tmp_path / "cut", SMALL)
    assert encoded == [f"v{i}.avi" for i in range(after, 6)]
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_half_written_files_are_done_again(records, tmp_path):
    write_shards(records, tmp_path / "whole", SMALL)
    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        write_shards(records, cut, SMALL, progress=stop_after(5))
    first = sorted(cut.glob("*.tfrecord"))[0]
    first.write_bytes(first.read_bytes()[:-10])
    (cut / ".part-1-shard-00001.tfrecord").write_bytes(b"half")
    (cut / "unfinished" / ".part-1-00000005").write_bytes(b"half")
    write_shards(records, cut, SMALL)
    assert content(cut) == content(tmp_path / "whole")


def test_a_finished_folder_is_left_alone(records, tmp_path):
    first = write_shards(records, tmp_path / "s", SMALL)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()}
    assert write_shards(records, tmp_path / "s", SMALL) == first == read_manifest(tmp_path / "s")
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()}


def test_other_settings_or_videos_are_refused(records, tmp_path):
    write_shards(records, tmp_path / "whole", SMALL)
    with pytest.raises(KeyboardInterrupt):
        write_shards(records, tmp_path / "cut", SMALL, progress=stop_after(2))
    for folder in (tmp_path / "whole", tmp_path / "cut"):
        before = content(folder)
        other = ShardSettings(short_side=24, chunk=8, shard_mb=0.02, quality=80)
        with pytest.raises(ValueError, match=r"quality \(there: 90, asked for: 80\). Give another"):
            write_shards(records, folder, other)
        with pytest.raises(ValueError, match="These differ: the list of videos"):
            write_shards(records[1:], folder, SMALL)
        assert content(folder) == before


def test_other_folders_are_refused(records, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds files, but no shards. Give a new or empty folder"):
        write_shards(records, tmp_path)
    assert content(tmp_path) == {"notes.txt": b"mine"}


def test_two_runs_at_once_are_refused(records, tmp_path):
    def again(done, total):
        if done == 1:
            with pytest.raises(OSError, match="Another process is writing shards to"):
                write_shards(records, tmp_path / "s", SMALL)

    assert write_shards(records, tmp_path / "s", SMALL, progress=again)["totals"]["videos"] == 6


def test_a_full_disk_is_no_fault_of_the_video(records, tmp_path, monkeypatch):
    from bod_keras.data.shards import shard_writer

    def full(stream, message):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shard_writer, "write_record", full)
        with pytest.raises(OSError, match="No space left on device"):
            write_shards(records, tmp_path / "s", SMALL)
    assert write_shards(records, tmp_path / "s", SMALL)["totals"]["skipped"] == 0


def test_damaged_shards_name_the_damage(records, tmp_path):
    manifest = write_shards(records, tmp_path / "s", SMALL)
    packed = read_catalog(tmp_path / "s")
    video = manifest["videos"][1]
    path = tmp_path / "s" / manifest["shards"][video["shard"]]["file"]
    data = bytearray(path.read_bytes())
    data[video["offsets"][1] + 400] ^= 255
    path.write_bytes(data)
    store = open_store(packed)
    with pytest.raises(VideoError, match="checksum of the record at byte .* does not match"):
        store.frames(packed[1].path, [8])
    assert len(store.frames(packed[1].path, [0, 16])) == 2  # the chunks before and after it
    assert list(store.skipped) == [packed[1].path]
    path.unlink()
    with pytest.raises(VideoError, match="shard cannot be read: No such file"):
        store.frames(packed[1].path, [0])


def test_shards_of_another_run(records, videos, tmp_path):
    write_shards(records[:2], tmp_path / "a", ShardSettings(chunk=8))
    write_shards([records[1], records[0]], tmp_path / "b", ShardSettings(chunk=8))
    name = "shard-00000.tfrecord"
    os.replace(tmp_path / "b" / name, tmp_path / "a" / name)
    packed = read_catalog(tmp_path / "a")
    with pytest.raises(VideoError, match="not the one that the manifest describes"):
        open_store(packed).frames(packed[0].path, [0])


@pytest.mark.parametrize(
    "message, reason",
    [
        (b"\xff" * 50, "the record is no tf.train.Example"),
        (b"", "not the one that the manifest describes"),
        (encode_example({"video/key": [b"v0.avi"]}), "not the one that the manifest describes"),
    ],
)
def test_files_of_another_kind(records, tmp_path, message, reason):
    write_shards(records[:1], tmp_path, SMALL)
    with open(tmp_path / "shard-00000.tfrecord", "wb") as stream:
        write_record(stream, message)
    (record,) = read_catalog(tmp_path)
    with pytest.raises(VideoError, match=reason):
        open_store([]).frames(record.path, [0])


def test_manifests_that_cannot_be_read(records, tmp_path):
    write_shards(records[:1], tmp_path, SMALL)
    path = tmp_path / "manifest.json"
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="manifest.json is damaged: .* Write the shards again"):
        read_catalog(tmp_path)
    path.write_text(json.dumps({**json.loads(whole), "version": 99}))
    with pytest.raises(ValueError, match="version 1. Received: .*99.* Write the shards again"):
        read_catalog(tmp_path)


def test_arrays_and_shards_can_be_sources(tmp_path, ramp_clip):
    write_shards(array_records([ramp_clip(20)], fps=5.0), tmp_path / "a", SMALL)
    write_shards(read_catalog(tmp_path / "a"), tmp_path / "b", SMALL)
    (record,) = read_catalog(tmp_path / "b")
    store = open_store([record])
    assert store.length(record.path) == 20 and store.fps(record.path) == 5.0
    assert abs(store.frames(record.path, [7]).astype(int) - 28).max() <= 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"short_side": 0}, "short_side must be at least 1. Received: short_side=0"),
        ({"quality": 101}, "quality must be at most 100. Received: quality=101"),
        ({"chunk": 0}, "Received: chunk=0"),
        ({"shard_mb": 0}, "shard_mb must be above 0. Received: shard_mb=0"),
        ({"fps": -1}, "fps must be above 0. Received: fps=-1"),
    ],
)
def test_wrong_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        ShardSettings(**arguments)


def test_wrong_arguments(records, tmp_path):
    with pytest.raises(ValueError, match="at least one video. Received: an empty list"):
        write_shards([], tmp_path)
    with pytest.raises(ValueError, match="at least 0. Received: workers=-1"):
        write_shards(records, tmp_path, workers=-1)
    for more in ({"label": 2}, {"label": 0, "labels": (1, 2)}):
        one = dataclasses.replace(records[0], **more)
        with pytest.raises(ValueError, match="class_names must.*2 names, and label 2 of"):
            write_shards([one], tmp_path, class_names=["a", "b"])
