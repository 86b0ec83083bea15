"""Worker processes: order, hangs, crashes, and that none outlives its parent."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bod_keras.data.processes.worker_pool import WorkerPool
from bod_keras.errors import UserError
from tests.broken_readers import read_level
from tests.leaks import children
from tests.tiers import slow

ROOT = Path(__file__).parents[2]
SHAPE = (2, 4, 8, 8, 3)


def pool_of(workers, timeout):
    return WorkerPool(read_level, workers, lambda item: timeout, file_of=lambda item: item[0])


@pytest.fixture
def make_pool():
    pools = []

    def make(names, workers=2, timeout=60):
        pools.append(pool_of(workers, timeout))
        pools[-1].names = names
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def run(pool, indices, window=8):
    """What came of each item: the level that it wrote, or why there is none."""
    items = [(pool.names[index], index) for index in indices]
    found = []
    for item, job in zip(items, pool.run(items, window, SHAPE), strict=True):
        assert job.item == item
        found.append(job.reason or job.answer)
        assert job.memory is None or (job.memory == found[-1]).all()
    return found


@pytest.mark.parametrize("workers, window", [(1, 1), (2, 3), (3, 20)])
def test_samples_come_in_the_order_of_the_tasks(make_pool, workers, window):
    pool = make_pool([f"{i}.avi" for i in range(40)], workers)
    order = [*range(40), 3, 3, 7]
    assert run(pool, order, window) == order
    assert run(pool, [5, 4], window) == [5, 4]  # the same processes serve the next run


def test_shared_memory_that_the_system_refuses_is_named(make_pool):
    pool = make_pool(["0.avi"])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(
            OSError, match=r"12288 bytes of shared memory.*File too large.*workers=0"
        ):
            run(pool, [0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert run(pool, [0]) == [0]


def test_a_run_that_is_left_early_leaves_nothing_behind(make_pool):
    pool = make_pool([f"{i}.avi" for i in range(40)])
    items = ((f"{number % 40}.avi", number % 40) for number in range(10**6))
    stream = pool.run(items, 30, SHAPE)
    assert [next(stream).item[1] for _ in range(3)] == [0, 1, 2]
    stream.close()
    assert run(pool, [9, 8, 7]) == [9, 8, 7]


def test_a_file_on_which_the_decoder_hangs_is_given_up_at_once_the_next_time(make_pool):
    pool = make_pool(["0.avi", "hang.avi", "2.avi", "3.avi"], timeout=1.0)
    expected = [0, "no answer for 1 s", 2, 3]
    assert run(pool, range(4)) == expected
    before = children()
    assert len(before) == 2
    assert run(pool, [1, 1, 1, 1]) == expected[1:2] * 4
    assert children() == before  # nobody tried it again


def test_a_file_on_which_the_process_dies_is_tried_again_once(make_pool, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    pool = make_pool(["0.avi", "die.avi", "once.avi", "3.avi"])
    found = run(pool, [0, 1, 2, 3, 0, 2])
    assert found == [0, "the process that read it died twice (SIGABRT)", 2, 3, 0, 2]


def test_a_worker_that_is_killed_is_replaced(make_pool):
    pool = make_pool([f"{i}.avi" for i in range(40)])
    assert run(pool, range(4)) == list(range(4))
    for pid in children():
        os.kill(pid, signal.SIGKILL)
    assert run(pool, range(40)) == list(range(40))


@pytest.fixture
def killed_starts(tmp_path, monkeypatch):
    """A file with the number of processes that are killed while they start, as the kernel does it."""
    (tmp_path / "sitecustomize.py").write_text(KILLED)  # which Python imports first of all
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "left"


KILLED = """
import os, pathlib, signal
left = pathlib.Path(__file__).with_name("left")
if (number := int(left.read_text())) > 0:
    left.write_text(str(number - 1))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kills", [1, 4])
def test_replacements_that_are_killed_while_they_start_are_replaced(
    make_pool, kills, killed_starts
):
    """As the kernel does it when memory is short."""
    killed_starts.write_text("0")
    pool = make_pool([f"{i}.avi" for i in range(20)], workers=1)
    assert run(pool, range(2)) == [0, 1]
    killed_starts.write_text(str(kills))
    (pid,) = children()
    os.kill(pid, signal.SIGKILL)
    assert run(pool, range(20)) == list(range(20)) and killed_starts.read_text() == "0"


def test_workers_that_are_always_killed_while_they_start_are_told(make_pool, killed_starts):
    killed_starts.write_text("1000")
    with pytest.raises(UserError, match="did not start .exit code -9.*lack of memory"):
        run(make_pool(["0.avi"], workers=1), [0])
    assert killed_starts.read_text() == "995"


STOPPED = """
import os, sys, time
sys.path.insert(0, {root!r})
os.environ["BOD_KERAS_READER"] = "1"
from bod_keras.data.processes.process_map import process_map
from tests.data.test_worker_pool import pool_of, SHAPE
if sys.argv[1] == "pool":
    items = [("slow.avi" if n else "1.avi", n) for n in range(4)]
    reasons = (job.reason for job in pool_of(1, 1.8).run(items, 2, SHAPE))
else:
    found = process_map(time.sleep, [0, *[0.4] * 3], 1, lambda item: 1.8)
    reasons = (reason for *_, reason in found)
print(next(reasons), flush=True)  # the process has started
print(list(reasons))
"""


def test_a_pause_of_all_processes_blames_no_file(tmp_path):
    """Ctrl-Z and fg: stopped for longer than the limit of a file, several times; a pool and a map at once."""
    script = tmp_path / "script.py"
    script.write_text(STOPPED.format(root=str(ROOT)))
    processes = [
        subprocess.Popen(
            [sys.executable, script, what],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for what in ("pool", "map")
    ]
    try:
        assert [process.stdout.readline() for process in processes] == ["None\n"] * 2
        for _ in range(2):
            time.sleep(0.2)
            for process in processes:
                os.killpg(process.pid, signal.SIGSTOP)
            time.sleep(2.0)
            for process in processes:
                os.killpg(process.pid, signal.SIGCONT)
        for process in processes:
            assert process.stdout.read() == "[None, None, None]\n"
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_a_bug_is_an_error_and_not_a_broken_file(make_pool):
    pool = make_pool(["0.avi", "bug.avi"])
    with pytest.raises(RuntimeError, match=r"bug.avi failed by an error.*[\s\S]*KeyError: 'a bug'"):
        run(pool, [0, 1])


def test_workers_import_neither_keras_nor_tensorflow(make_pool):
    with pytest.raises(RuntimeError) as caught:
        run(make_pool(["modules.avi"]), [0])
    modules = str(caught.value).split()
    assert "bod_keras.data.video.video" in modules
    assert not {"keras", "tensorflow", "jax", "torch", "sklearn", "absl"} & set(modules)


def test_a_worker_that_cannot_start_is_an_error(make_pool, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(RuntimeError, match="did not start .exit code 1.*workers=0"):
        run(make_pool(["0.avi"]), [0])


def test_a_closed_pool_says_so(make_pool):
    pool = make_pool(["0.avi"])
    pool.close()
    with pytest.raises(RuntimeError, match="were closed"):
        run(pool, [0])


# A script without `if __name__ == "__main__"`, as users write them: it must not run again in the workers.
# It goes around `bod_keras/__init__.py`, to begin sooner.
SCRIPT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
sys.path.insert(0, {root!r})
os.environ["BOD_KERAS_READER"] = "1"
print("begin", flush=True)
from tests.data.test_worker_pool import SHAPE, pool_of
from tests.leaks import children
pool = pool_of(2, 600)
names = ["1.avi"] * 4 + ["hang.avi"] + [f"{{n}}.avi" for n in range(2, 250)]
stream = pool.run(((name, n) for n, name in enumerate(names * 100)), 8, SHAPE)
next(stream)
print(*children(), flush=True)
for sample in stream:
    pass
"""


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    "stop",
    # Ctrl-C gives the worker that hangs five seconds.
    [pytest.param(signal.SIGINT, marks=slow), signal.SIGTERM, signal.SIGKILL],
)
def test_no_worker_outlives_its_parent(stop):
    """One of the workers hangs in its decoder; Ctrl-C goes to the whole process group."""
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(root=str(ROOT))],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert parent.stdout.readline() == "begin\n"
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2 and all(map(is_running, workers))
    os.killpg(parent.pid, stop) if stop == signal.SIGINT else parent.send_signal(stop)
    parent.wait(timeout=60)
    end = time.monotonic() + 20
    while any(map(is_running, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(is_running, workers))
    assert parent.stdout.read() == ""
