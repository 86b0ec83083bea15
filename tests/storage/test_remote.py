"""Remote storage by http, and what is refused; s3:// is in test_s3.py."""

import os
import sys

import numpy as np
import pytest

from bod_keras.data import ClipDataset, Record, VideoError, read_catalog, read_frames
from bod_keras.storage import remote
from bod_keras.storage.remote_error import RemoteError, RemoteFileError
from bod_keras.storage.remote_file import RemoteFile
from tests.remote_servers import closed_port, serve_folder, silent_port
from tests.video_files import make_ramp_clip, save_video


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a b").mkdir()
    save_video(tmp_path / "a b" / "käse [1].avi", make_ramp_clip(30))
    save_video(tmp_path / "c.mp4", make_ramp_clip(80), "mp4v")
    (tmp_path / "list.txt").write_text("a b/käse [1].avi 3\nc.mp4 4\n", encoding="utf-8")
    (tmp_path / "table.csv").write_text("path,label,split\nc.mp4,1,train\n")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "bytes.bin").write_bytes(bytes(range(256)) * 4)
    return tmp_path


@pytest.fixture(params=[True, False], ids=["ranges", "no ranges"])
def site(folder, request):
    """A server that answers ranges, and one that does not, as Python's own."""
    with serve_folder(folder, ranges=request.param) as (address, requests):
        yield folder, address, requests


def test_parts_of_a_file(site):
    folder, address, _ = site
    data, path = (folder / "bytes.bin").read_bytes(), f"{address}/bytes.bin"
    assert remote.size(path) == len(data) and remote.read_bytes(path) == data
    assert remote.read_range(path, 250, 20) == data[250:270]
    assert remote.read_range(path, 1020, 20) == data[1020:]
    assert remote.read_range(path, 5000, 20) == b""
    assert remote.exists(path) and not remote.is_folder(path)
    remote.download(path, folder / "new" / "copy.bin")
    assert (folder / "new" / "copy.bin").read_bytes() == data


def test_videos_are_read_as_local_ones(site):
    folder, address, requests = site
    for name in ("a b/käse [1].avi", "c.mp4"):
        for indices in ([0, 29, 3], None):
            np.testing.assert_array_equal(
                read_frames(f"{address}/{name}", indices), read_frames(folder / name, indices)
            )
    # Each file was asked for its size once, and fetched once.
    assert sorted(method for method, _, _ in requests) == ["GET", "GET", "HEAD", "HEAD"]
    assert "tensorflow_io" not in sys.modules


def test_lists_and_csv_files(site):
    _, address, _ = site
    assert read_catalog(f"{address}/list.txt") == [
        Record(f"{address}/a b/käse [1].avi", 3),
        Record(f"{address}/c.mp4", 4),
    ]
    expected = [Record(f"{address}/c.mp4", 1, split="train")]
    assert read_catalog(f"{address}/table.csv", split="train") == expected


def test_a_local_list_of_remote_paths(tmp_path):
    (tmp_path / "list.txt").write_text("s3://bucket/a b.mp4 1\nc.mp4 2\n")
    paths = [record.path for record in read_catalog(tmp_path / "list.txt", root="gs://other/x")]
    assert paths == ["s3://bucket/a b.mp4", "gs://other/x/c.mp4"]


def test_a_folder_of_http_is_refused(site):
    _, address, _ = site
    for folder in (f"{address}/", f"{address}/a b"):
        with pytest.raises(RemoteError, match="http has no folders .* Give the address of a list"):
            read_catalog(folder)


def test_a_stream_over_http_trains(site):
    folder, address, _ = site
    records = read_catalog(f"{address}/list.txt") * 2 + [Record(f"{address}/none.mp4")]
    settings = dict(frames=4, size=16, batch_size=2, recipe="none", max_bad_share=0.5)
    data = ClipDataset(records, **settings)
    batches = [batch["views"].numpy() for batch in data.training(steps=4)]
    assert data.skipped == {f"{address}/none.mp4": "there is no such file"}
    local = [Record(record.path.replace(address, str(folder))) for record in records]
    expected = ClipDataset(local, **settings).training(steps=4)
    for batch, same in zip(batches, expected, strict=True):
        np.testing.assert_array_equal(batch, same["views"])


@pytest.mark.parametrize(
    "name, reason",
    [
        ("none.mp4", "there is no such file"),
        ("empty.mp4", "empty"),
        ("bytes.bin", "no video stream"),
        ("a b", "this is a folder"),
        ("status403.mp4", r"refuses access \(403\)"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(folder, name, reason):
    with serve_folder(folder) as (address, _), pytest.raises(VideoError, match=reason) as caught:
        read_frames(f"{address}/{name}", [0])
    assert caught.value.path == f"{address}/{name}"


def test_a_server_that_fails_is_no_broken_video(folder):
    with serve_folder(folder) as (address, _):
        with pytest.raises(RemoteError, match="status500.mp4: the server answers 500"):
            read_frames(f"{address}/status500.mp4", [0])


def test_a_server_that_goes_away_stops_the_stream(folder):
    noise = np.random.default_rng(0).integers(0, 255, (400, 200, 200, 3), dtype=np.uint8)
    # Three blocks and more: the first and the last are fetched.
    local = save_video(folder / "long.mov", noise, "MJPG")
    assert os.path.getsize(local) > 9 * 2**20
    with serve_folder(folder) as (address, _):
        path = f"{address}/long.mov"
        np.testing.assert_array_equal(read_frames(path, [0]), read_frames(local, [0]))
        stream = RemoteFile(path)
    assert len(stream.read(10)) == 10 and stream.error is None  # still in memory
    stream.seek(6 * 2**20)
    assert stream.read(10) == b"" and "cannot be reached" in stream.error.reason
    data = ClipDataset([Record(path), Record(f"{address}/c.mp4")], batch_size=2, size=16)
    with pytest.raises(ValueError, match="cannot be reached"), data.clear_errors():
        next(iter(data.training()))
    assert data.skipped == {}


def test_a_port_that_never_answers(monkeypatch):
    monkeypatch.setenv("BOD_KERAS_REMOTE_TIMEOUT", "0.3")
    with silent_port() as port, pytest.raises(RemoteError, match="timed out|no answer within 0.3"):
        remote.exists(f"http://127.0.0.1:{port}/a.mp4")


def test_a_closed_port():
    with pytest.raises(RemoteError, match="cannot be reached: .*refused"):
        remote.size(f"http://127.0.0.1:{closed_port()}/a.mp4")


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "inf"])
def test_a_wrong_limit(monkeypatch, seconds):
    monkeypatch.setenv("BOD_KERAS_REMOTE_TIMEOUT", seconds)
    with pytest.raises(ValueError, match=f"positive number of seconds. Received: '{seconds}'"):
        remote.size("http://127.0.0.1/a.mp4")


def test_http_cannot_be_written(tmp_path):
    (tmp_path / "a").write_text("x")
    for call in (
        lambda: remote.upload(tmp_path / "a", "http://h/a"),
        lambda: remote.delete("http://h/a"),
    ):
        with pytest.raises(RemoteError, match="can only be read"):
            call()


def test_an_unknown_scheme_is_named():
    with pytest.raises(RemoteError, match="begins with one of s3://, hdfs://, gs://, http"):
        read_catalog("ftp://host/videos")
    for nothing in ("s3://", "gs:///", "http://"):
        with pytest.raises(RemoteError, match="expected the name of a bucket or host after ://"):
            read_catalog(nothing)


def test_secrets_of_an_address_are_not_told(folder):
    with pytest.raises(RemoteError) as caught:
        remote.size("http://me:hidden@127.0.0.1/a.mp4?signature=secret")
    assert "http://127.0.0.1/a.mp4: a user or password" in str(caught.value)
    assert "hidden" not in str(caught.value) and "secret" not in str(caught.value)
    with serve_folder(folder) as (address, _), pytest.raises(RemoteFileError) as caught:
        remote.size(f"{address}/none.mp4?signature=secret")
    assert str(caught.value) == f"{address}/none.mp4: there is no such file"


def test_without_tensorflow_io_the_requirements_are_named(monkeypatch):
    pytest.importorskip("tensorflow")
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)  # what import makes of a missing module
    with pytest.raises(
        RemoteError, match="tensorflow-io, which is not installed.* -r requirements.txt"
    ):
        read_catalog("s3://bucket/videos")


def test_google_storage_is_tensorflows_own():
    tf = pytest.importorskip("tensorflow")
    assert "gs" in tf.io.gfile.get_registered_schemes()
