"""Two processes in one folder: the second is refused, by a lock that ends with its process."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bod_keras.storage.lock import lock

ADVICE = "Wait until it has ended."
ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from bod_keras.storage.lock import lock
with lock(sys.argv[1], ""):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of tmp_path/run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")],
        cwd=ROOT,
        env={**os.environ, "BOD_KERAS_READER": "1"},  # imports no Keras
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_refused_and_told_who_is_there(tmp_path):
    with lock(tmp_path / "run", ADVICE):
        with pytest.raises(BlockingIOError) as caught:
            with lock(f"{tmp_path}/x/../run/", ADVICE):  # the same folder by another name
                pass
        message = str(caught.value)
        assert f"in use: process {os.getpid()} on {socket.gethostname()} has held it" in message
        assert message.endswith(ADVICE)
        with lock(tmp_path / "other", ADVICE):
            pass
    with lock(tmp_path / "run", ADVICE):
        pass
    assert not list(tmp_path.iterdir())


def test_another_process_is_named(tmp_path, holder):
    for _ in range(2):  # who was refused has changed nothing for the next one
        with pytest.raises(BlockingIOError, match=f"process {holder.pid} on "):
            with lock(tmp_path / "run", ADVICE):
                pass


def test_a_killed_process_leaves_no_lock_behind(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / ".run.lock").exists()
    with lock(tmp_path / "run", ADVICE):
        assert str(os.getpid()) in (tmp_path / ".run.lock").read_text()
    assert not list(tmp_path.iterdir())


def test_an_error_in_the_block_lets_the_lock_go(tmp_path):
    with pytest.raises(KeyError):
        with lock(tmp_path / "run", ADVICE):
            raise KeyError
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_locked_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match=r"file/\.run\.lock cannot be locked"):
        with lock(tmp_path / "file" / "run", ADVICE):
            pass


def test_remote_folders_are_locked_on_this_host(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with lock("s3://bucket/runs/locked", ADVICE):
        with pytest.raises(BlockingIOError, match="s3://bucket/runs/locked/ is in use"):
            with lock("s3://bucket/runs/locked/", ADVICE):
                pass
    assert not list(tmp_path.iterdir())
