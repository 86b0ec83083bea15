"""Shards and what is left of unfinished ones, damaged in every place: named or made again, never believed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bod_keras.data import Record, ShardSettings, VideoError, open_store, read_catalog, write_shards
from bod_keras.errors import UserError
from tests.data.test_shards import content, stop_after

ROOT = Path(__file__).parents[2]
SMALL = ShardSettings(short_side=24, chunk=8, shard_mb=0.02)
MUCH = ShardSettings(short_side=24, chunk=8, shard_mb=128)  # one shard, at the end


@pytest.fixture
def records(videos):
    return [Record(path, label=i % 2, split="train") for i, path in enumerate(videos)]


@pytest.fixture
def written(records, tmp_path):
    write_shards(records, tmp_path / "s", SMALL)
    return tmp_path / "s"


def video(**values):
    return lambda manifest: manifest["videos"][0].update(values)


def record(**values):
    return lambda manifest: manifest["records"][0].update(values)


def shard(**values):
    return lambda manifest: manifest["shards"][0].update(values)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (video(frames=10**12), "frames"),
        (record(label=2**40), "label"),
        (record(labels=[0, -1]), "label"),
        (record(factors={"speed": "high"}), "factors"),
        (record(split=3), "split"),
        (lambda manifest: manifest["videos"].append(dict(manifest["videos"][0])), "key"),
        (lambda manifest: manifest.update(class_names=[3]), "class_names"),
        (lambda manifest: manifest.update(class_names=["only"]), "label"),
        (lambda manifest: manifest.pop("flip_safe"), "flip_safe"),
        (video(frames=2**70), "frames"),
        (video(frames=0), "frames"),
        (video(frames=1.5), "frames"),
        (video(frames=True), "frames"),
        (video(offsets=[]), "offsets"),
        (video(offsets=[2**70] * 3), "offsets"),
        (video(offsets=[-1, 2, 3]), "offsets"),
        (video(offsets=None), "offsets"),
        (video(shard=99), "shard"),
        (video(shard=-1), "shard"),
        (video(shard="0"), "shard"),
        (video(height=0), "height"),
        (video(width=10**6), "width"),
        (video(fps=0.0), "fps"),
        (video(fps=float("nan")), "fps"),
        (video(key=3), "key"),
        (record(video=99), "video"),
        (record(video=-1), "video"),
        (record(video=None), "video"),
        (record(span=[float("nan"), 1]), "span"),
        (record(span=[1]), "span"),
        (record(label=-1), "label"),
        (record(label="walk"), "label"),
        (record(boxes=[{"corner": 1}]), "record"),
        (record(labels=3), "record"),
        (shard(file="../other.tfrecord"), "file"),
        (shard(file="/etc/passwd"), "file"),
        (shard(bytes=0), "bytes"),
        (lambda manifest: manifest["settings"].update(chunk=0), "chunk"),
        (lambda manifest: manifest["settings"].pop("chunk"), "chunk"),
        (lambda manifest: manifest.pop("videos"), "videos"),
        (lambda manifest: manifest.update(records={}), "records"),
        (lambda manifest: manifest.update(shards=[3]), "file"),
    ],
)
def test_a_manifest_with_numbers_out_of_range_is_refused(change, place, written):
    path = written / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=rf"manifest .*{path} is damaged: .*{place}"):
        read_catalog(written)


@pytest.mark.parametrize("text", ["[]", "3", "null", "deep", ""])
def test_a_manifest_that_is_none_is_refused(text, written):
    text = "[" * 100_000 if text == "deep" else text
    (written / "manifest.json").write_text(f'["bod_keras.shards", {text}')
    with pytest.raises(UserError, match=r"manifest\.json is damaged"):
        read_catalog(written)
    (written / "manifest.json").write_text(text)
    with pytest.raises(VideoError, match=r"manifest\.json"):
        open_store([Record(f"{written}/shard-00000.tfrecord#v0.avi")]).frames(
            f"{written}/shard-00000.tfrecord#v0.avi", [0]
        )


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def lose(path):
    path.unlink()


def nonsense(path):
    path.write_text('{"frames": 8')


@pytest.mark.parametrize("damage", [cut, flip, lose])
@pytest.mark.parametrize("number", [0, 2])
def test_a_damaged_part_is_encoded_again(damage, number, records, tmp_path):
    write_shards(records, tmp_path / "whole", MUCH)
    with pytest.raises(KeyboardInterrupt):
        write_shards(records, tmp_path / "s", MUCH, progress=stop_after(4))
    damage(tmp_path / "s" / "unfinished" / f"{number:08d}")
    write_shards(records, tmp_path / "s", MUCH)
    assert content(tmp_path / "s") == content(tmp_path / "whole")


@pytest.mark.parametrize("name", ["00000001.json", "shard-00000.json"])
@pytest.mark.parametrize("text", ['{"frames": 8', "[]", "5", '{"bytes": "many"}', ""])
def test_a_damaged_summary_is_made_again(name, text, records, tmp_path):
    write_shards(records, tmp_path / "whole", SMALL if "shard" in name else MUCH)
    settings = SMALL if "shard" in name else MUCH
    with pytest.raises(KeyboardInterrupt):
        write_shards(records, tmp_path / "s", settings, progress=stop_after(4))
    (tmp_path / "s" / "unfinished" / name).write_text(text)
    write_shards(records, tmp_path / "s", settings)
    assert content(tmp_path / "s") == content(tmp_path / "whole")


def test_what_an_unfinished_folder_was_begun_with_is_damaged(records, tmp_path, capsys):
    write_shards(records, tmp_path / "whole", MUCH)
    with pytest.raises(KeyboardInterrupt):
        write_shards(records, tmp_path / "s", MUCH, progress=stop_after(4))
    cut(tmp_path / "s" / "unfinished" / "manifest.json")
    write_shards(records, tmp_path / "s", MUCH)
    assert "unfinished is now aside-unfinished" in capsys.readouterr().out
    assert (tmp_path / "s" / "aside-unfinished" / "00000000").exists()  # nothing is lost
    for name, data in content(tmp_path / "whole").items():
        assert (tmp_path / "s" / name).read_bytes() == data


def test_records_of_another_writer_are_named(written):
    """Sound checksums, but no frames within: a record without images, and one that claims a giant picture."""
    from bod_keras.data.shards.tfrecord import (
        decode_example,
        encode_example,
        read_records,
        write_record,
    )

    manifest = json.loads((written / "manifest.json").read_text())
    entry = manifest["videos"][0]
    file = written / manifest["shards"][entry["shard"]]["file"]
    example = decode_example(read_records(file, [entry["offsets"][0]])[0])
    changes = [
        {"image/encoded": [b""]},
        {"image/encoded": [b"no jpeg"]},
        {"image/encoded": []},
        {"image/height": []},
        {"image/encoded": [_giant(example["image/encoded"][0])]},
    ]
    packed = read_catalog(written)
    whole = file.read_bytes()
    for change in changes:
        changed = {**{k: list(v) for k, v in example.items()}, **change}
        with open(file, "r+b") as stream:
            stream.seek(entry["offsets"][0])
            write_record(stream, encode_example(changed))
        with pytest.raises(VideoError):
            open_store(packed).frames(packed[0].path, np.array([1, 0]))
        file.write_bytes(whole)


def _giant(jpeg):
    """The same picture with 65500 x 65500 pixels in its header."""
    data = bytearray(jpeg)
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\xff\xdc\xff\xdc"
    return bytes(data)


def test_another_process_is_refused_and_named(records, tmp_path):
    script = (
        "import sys\nfrom bod_keras.storage.lock import lock\n"
        "with lock(sys.argv[1], ''):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "s")],
        cwd=ROOT,
        env={**os.environ, "BOD_KERAS_READER": "1"},  # imports no Keras
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(OSError, match=rf"Another process is writing .*process {holder.pid} on"):
            write_shards(records, tmp_path / "s", SMALL)
    finally:
        holder.kill()  # which ends its lock
        holder.communicate()
    assert write_shards(records, tmp_path / "s", SMALL)["totals"]["videos"] == 6
