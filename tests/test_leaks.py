"""The checks that run after every test see what was left; without these, silence would prove nothing."""

import subprocess
import sys
import tempfile
import threading

from tests.leaks import Leaks


def kinds(before):
    return [kind for kind, _ in before.found(patience=0.0)]


def test_nothing_left_is_nothing_found(tmp_path):
    assert Leaks(tmp_path).found() == []


def test_a_process_is_found(tmp_path):
    before = Leaks(tmp_path)
    command = [sys.executable, "-c", "print(flush=True); input()"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()  # between its start and that of its program it has no command
    assert kinds(before) == ["process"]
    process.communicate()
    assert before.found() == []


def test_a_thread_is_found_unless_it_is_a_daemon(tmp_path):
    before, end = Leaks(tmp_path), threading.Event()
    threads = [threading.Thread(target=end.wait, daemon=daemon) for daemon in (False, True)]
    for thread in threads:
        thread.start()
    assert kinds(before) == ["thread"]
    end.set()
    for thread in threads:
        thread.join()


def test_a_temporary_folder_is_found(tmp_path):
    before = Leaks(tmp_path)
    with tempfile.TemporaryDirectory(prefix="bod_keras-"):
        assert kinds(before) == ["temporary entry"]


def test_an_open_file_is_found(tmp_path):
    before = Leaks(tmp_path)
    with open(tmp_path / "history.csv", "w"):
        assert kinds(before) == ["open file"]
    assert before.found() == []
