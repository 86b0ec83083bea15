"""The checks that run after every test see what was left; without these, silence would prove nothing."""

import subprocess
import sys
import tempfile
import threading

import pytest

from tests import leaks
from tests.leaks import Leaks


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(leaks, "PATIENCE", 0.0)


def kinds(found):
    return [kind for kind, _ in found]


def test_nothing_left_is_nothing_found(tmp_path):
    assert Leaks(tmp_path).found() == []


def test_a_process_is_found(tmp_path):
    before = Leaks(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert kinds(before.found()) == ["process"]
    process.communicate()
    assert before.found() == []


def test_a_thread_is_found_unless_it_is_a_daemon(tmp_path):
    before, end = Leaks(tmp_path), threading.Event()
    threads = [threading.Thread(target=end.wait, daemon=daemon) for daemon in (False, True)]
    for thread in threads:
        thread.start()
    assert kinds(before.found()) == ["thread"]
    end.set()
    for thread in threads:
        thread.join()


def test_a_temporary_folder_is_found(tmp_path):
    before = Leaks(tmp_path)
    with tempfile.TemporaryDirectory(prefix="bod_keras-"):
        assert kinds(before.found()) == ["temporary entry"]


def test_an_open_file_is_found(tmp_path):
    before = Leaks(tmp_path)
    with open(tmp_path / "history.csv", "w"):
        assert kinds(before.found()) == ["open file"]
    assert before.found() == []
