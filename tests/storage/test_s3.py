"""s3:// against a real server, in one process that tensorflow-io would abort at its end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.remote_servers import SECRET
from tests.tiers import slow
from tests.video_files import make_ramp_clip, save_video

ROOT = Path(__file__).parents[2]
BASE = "s3://bucket/set"
AWAY = "there is no such file, bucket or folder, or the storage refuses access"
pytestmark = [slow, pytest.mark.xdist_group("s3")]  # one process: they share the server


@pytest.fixture(scope="module")
def found(s3_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("s3")
    video = Path(save_video(folder / "a.avi", make_ramp_clip(60))).read_bytes()
    for key in (
        "walk/b.avi",
        "run/a b [1] 100%.avi",
        "run/käse.MP4",
        "run/notes.txt",
        "run/.h.mp4",
    ):
        s3_server.put(f"set/tree/{key}", video)
    s3_server.put("set/list.txt", "tree/walk/b.avi 1\nnone.avi 2\ntree/run/käse.MP4 3\n".encode())
    s3_server.put("set/table.csv", b"path,label,split\ntree/walk/b.avi,1,train\nx.avi,2,test\n")
    s3_server.put("other/readme", b"x")
    done = subprocess.run(
        [sys.executable, "-m", "tests.storage.run_s3", str(folder)],
        cwd=ROOT,
        env=s3_server.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 7, done.stderr  # and not 134, the plugin's abort
    assert SECRET not in done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_catalogs(found):
    found = found["catalogs"]
    assert found["tree"] == [
        [f"{BASE}/tree/run/a b [1] 100%.avi", 0],
        [f"{BASE}/tree/run/käse.MP4", 0],
        [f"{BASE}/tree/walk/b.avi", 1],
    ]
    assert found["tree with a slash"] is True
    assert (
        found["classes"] == ["run", "walk"] and found["bucket"] >= 3
    )  # other tests have videos there
    assert found["list"][0] == [f"{BASE}/tree/walk/b.avi", 1]
    assert found["table"] == [[f"{BASE}/x.avi", 2]]


def test_catalogs_that_are_not_there(found):
    found = found["catalogs"]
    for name, place in (("no folder", "bucket/nowhere"), ("no bucket", "no-bucket/set")):
        assert found[name].startswith(
            f"FileNotFoundError: There is no folder or list file 's3://{place}'"
        )
        assert "check the credentials" in found[name]
    assert "There is no video in the folder 's3://bucket/other'" in found["no video"]


def test_videos_are_read_as_local_ones(found):
    found = found["videos"]
    assert found["same"] is True and found["all"] is True
    assert found["missing"].startswith(f"VideoError: {BASE}/none.avi: {AWAY}")
    assert "no video stream" in found["text"]
    assert found["batches"] == [[2, 2, 4, 16, 16, 3]] * 3
    assert list(found["skipped"]) == [f"{BASE}/none.avi"]


def test_files(found):
    found = found["files"]
    assert found["copy"] is True and found["part"] is True and found["end"] is True
    assert found["sizes"] == [9 * 2**20, 0] and found["empty"] == ""
    assert found["listed"] == ["big", "none", "readme"] and found["left"] == ["big", "readme"]
    assert "this is a folder, not a file" in found["folder"]
    assert found["refused"].startswith(f"RemoteFileError: s3://no-bucket/big: {AWAY}")


def test_shards_are_read_as_local_ones(found):
    found = found["shards"]
    assert found["paths"] == [f"{BASE}/shards/shard-00000.tfrecord#{name}.avi" for name in "ab"]
    assert found["same"] is True and found["batches"] == 2 and found["tf.data"] >= 2
    assert found["gone"].startswith(f"VideoError: {BASE}/none/") and AWAY in found["gone"]
    assert "Shards are written to a local folder" in found["written there"]


def test_a_run_folder(found):
    found = found["run_folder"]
    assert found["empty"] == [] and found["names"] == ["checkpoints/2", "report.json"]
    assert found["pulled"] == ["2"] and found["closed"] is True
