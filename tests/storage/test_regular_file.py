"""Pipes, devices and sockets instead of files: a line that says so, no wait without end, and they stay."""

import os
import shutil
import socket
from pathlib import Path

import cv2
import numpy as np
import pytest

from bod_keras.data import (
    VideoError,
    array_records,
    open_store,
    read_catalog,
    read_manifest,
    write_shards,
)
from bod_keras.data.__main__ import main
from bod_keras.data.datasets import read_pickle
from bod_keras.data.video.check import check_video
from bod_keras.errors import UserError
from bod_keras.evaluation.protocols.finetune import read_result
from bod_keras.evaluation.report import read_report
from bod_keras.storage.atomic_file import atomic_file, check_target
from bod_keras.training import HistoryFile, newest_checkpoint, saved_settings
from bod_keras.training.checkpoint import load_model
from bod_keras.weights.state_file import read_state

PIPE = "this is a pipe, not a file"


@pytest.fixture
def pipe(tmp_path):
    def make(name):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        return path

    return make


def test_a_pipe_named_as_a_video_is_broken(pipe):
    path = str(pipe("x.avi"))
    with pytest.raises(VideoError, match=PIPE):
        open_store(read_catalog(path)).frames(path, [0])
    assert check_video(path)["reason"] == PIPE


def test_a_socket_and_a_device_are_no_videos_either(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("x.avi")
        assert check_video("x.avi")["reason"] == "this is a socket, not a file"
    assert check_video(os.devnull)["reason"] == "this is a device, not a file"


def test_a_list_may_come_from_a_pipe_and_not_from_a_device(tmp_path):
    """As of a shell's <(command)."""
    reader, writer = os.pipe()
    os.write(writer, b"/v/a.avi 1\n/v/b.avi 0\n")
    os.close(writer)
    try:
        assert [r.label for r in read_catalog(f"/dev/fd/{reader}")] == [1, 0]
    finally:
        os.close(reader)
    with pytest.raises(OSError, match="this is a device, not a file: '/dev/zero'"):
        read_catalog("/dev/zero")


def test_pipes_among_images_and_shards_are_told_of_their_video(pipe, tmp_path):
    (tmp_path / "frames" / "a").mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(f"{tmp_path}/frames/a/{number}.jpg", np.zeros((8, 8, 3), "uint8"))
    pipe("frames/a/3.jpg")
    records = read_catalog(tmp_path / "frames")
    with pytest.raises(VideoError, match=f"3.jpg cannot be read: {PIPE}"):
        open_store(records).frames(records[0].path, [3])
    shards = tmp_path / "shards"
    write_shards(array_records(np.zeros((1, 4, 8, 8, 3), "uint8")), shards)
    records = read_catalog(shards)
    pipe("shards/shard-00000.tfrecord")
    with pytest.raises(VideoError, match=f"the shard cannot be read: {PIPE}"):
        open_store(records).frames(records[0].path, [0])


@pytest.mark.parametrize(
    "read",
    [
        read_pickle,
        load_model,
        read_report,
        read_result,
        read_state,
        lambda p: read_manifest(p.parent),
    ],
    ids=["pickle", "model", "report", "result", "weights", "manifest"],
)
def test_what_reads_one_file_says_what_it_is(read, pipe):
    path = pipe("manifest.json")
    with pytest.raises((OSError, ValueError), match="pipe|There is no file"):
        read(path)


def test_what_reads_a_run_passes_over_pipes(pipe, tmp_path):
    assert newest_checkpoint(pipe("checkpoints/step-00000004.keras").parent) is None
    assert saved_settings(tmp_path / "checkpoints/step-00000004.keras") is None
    assert HistoryFile.rows(pipe("history.csv")) == []


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda p: os.symlink(os.devnull, p)])
def test_nothing_but_a_file_is_replaced(make, tmp_path):
    path = tmp_path / "report.json"
    make(path)
    before = os.lstat(path)
    with pytest.raises(OSError, match="this is a .*, not a file"):
        with atomic_file(path) as part:
            part.write_text("{}")
    with pytest.raises(OSError, match="this is a .*, not a file"):
        check_target(path)
    assert os.lstat(path) == before and os.listdir(tmp_path) == ["report.json"]


@pytest.mark.parametrize("flag", ["--report", "--write-blocklist"])
def test_verify_looks_where_it_will_write_before_it_reads(flag, tmp_path, capsys):
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copyfile(__file__, videos / "a.avi")
    target = tmp_path / "there"
    target.mkdir()
    files = {"--report": str(tmp_path / "r.json"), "--write-blocklist": str(tmp_path / "b.tsv")}
    files[flag] = str(target)
    flags = [f"{name}={value}" for name, value in files.items()]
    with pytest.raises(SystemExit, match="this is a folder, not a file: .*there"):
        main(["verify", f"--source={videos}", "--workers=1", *flags])
    assert sorted(os.listdir(tmp_path)) == ["there", "videos"]
    assert "reads headers" not in capsys.readouterr().out


@pytest.mark.parametrize("address", ["s3://bucket/report.json", "gs://b/r", "https://host/r.json"])
def test_an_address_does_not_become_a_local_folder(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (address, Path(address)):
        with pytest.raises(UserError, match="is an address, and this is written to local files"):
            with atomic_file(path) as part:
                part.write_text("{}")
        with pytest.raises(UserError, match="is an address"):
            check_target(path)
    with pytest.raises(SystemExit, match="verify: s3:/+bucket/r.json is an address"):
        main(["verify", f"--source={__file__}", "--report=s3://bucket/r.json"])
    assert not os.listdir(tmp_path)
