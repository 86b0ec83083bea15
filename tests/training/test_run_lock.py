"""Two runs in one folder: the second is refused, by a lock that ends with its process."""

import json
import os
import socket
import subprocess
import sys

import pytest

from bod_keras.storage import run_lock
from bod_keras.storage.run_lock import _lock_path

# What a process that dies in the middle leaves: a lock that it holds and has signed.
HOLD = """
import fcntl, json, os, sys
lock = open(sys.argv[1], "a+")
fcntl.flock(lock, fcntl.LOCK_EX)
lock.write(json.dumps({"pid": os.getpid(), "host": "elsewhere", "since": "yesterday"}))
lock.flush()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_is_refused_and_told_who_is_there(tmp_path):
    with run_lock(tmp_path / "run"):
        with pytest.raises(BlockingIOError) as caught:
            with run_lock(f"{tmp_path}/x/../run/"):  # the same folder by another name
                pass
        expected = (
            f"is in use: process {os.getpid()} on {socket.gethostname()} has run there since 20"
        )
        assert expected in str(caught.value)
        with run_lock(tmp_path / "other"):
            pass
    with run_lock(tmp_path / "run"):
        pass
    assert not list(tmp_path.iterdir())


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path):
    path = tmp_path / ".run.lock"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(BlockingIOError, match=f"process {process.pid} on elsewhere .* yesterday"):
        with run_lock(tmp_path / "run"):
            pass
    process.kill()
    process.communicate()
    assert path.exists()
    with run_lock(tmp_path / "run"):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_an_error_in_the_block_lets_the_lock_go(tmp_path):
    with pytest.raises(KeyError):
        with run_lock(tmp_path / "run"):
            raise KeyError
    assert not list(tmp_path.iterdir())


def test_remote_folders_are_locked_on_this_host():
    with run_lock("s3://bucket/runs/locked"):
        assert _lock_path("s3://bucket/runs/locked").exists()
        with pytest.raises(BlockingIOError, match="s3://bucket/runs/locked/ is in use"):
            with run_lock("s3://bucket/runs/locked/"):
                pass
    assert not _lock_path("s3://bucket/runs/locked").exists()
