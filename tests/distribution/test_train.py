"""train.py in two processes: one run's files, each record once, and what happens when a process is gone."""

import csv
import json
import signal
import time

import keras
import numpy as np
import pytest

from tests.distribution import launch
from tests.tiers import slow, slow_unless
from tests.video_files import save_video

KIND = {"torch": "torch", "tensorflow": "multiworker", "jax": "jax"}[keras.backend.backend()]
pytestmark = [
    pytest.mark.xdist_group("replicas"),  # one process: they share the runs
    slow_unless(KIND == "torch"),  # which starts fastest
]
TIMEOUT = 20


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A folder of eight real video files."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(8):
        noise = np.random.default_rng(number).integers(0, 255, (12, 24, 32, 3), dtype="uint8")
        save_video(folder / f"{number}.mkv", noise)
    return folder


def arguments(videos, output, epochs=16, **changes):
    settings = {
        "data.source": videos,
        "output": output,
        "name": "a",
        "epochs": epochs,
        # Decoupled, and at higher rates, 32 steps on noise multiply rounding; test_exactness compares three.
        "decoupled": False,
        "head.hidden": 48,
        "head.width": 8,
        "clips.frames": 4,
        "clips.size": 16,
        "clips.batch_size": 4,
        "clips.workers": 0,
        "monitors.videos": 4,
        "evaluate.every": 0,
        "optimizer.name": "sgd",
        "optimizer.learning_rate": 1e-4,
    }
    settings |= {key.replace("__", "."): value for key, value in changes.items()}
    flags = [f"--config.{key}={value}" for key, value in settings.items()]
    return ["train.py", "--config=configs/videos.py:small", f"--timeout={TIMEOUT}", *flags]


def start(*args, processes=2, **changes):
    return launch.start(arguments(*args, **changes), KIND if processes > 1 else "none", processes)


def history(output):
    with open(output / "a-seed0" / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def wait_for_checkpoint(output, running):
    """Until the first epoch of a run is stored."""
    deadline = time.monotonic() + 240
    while not list((output / "a-seed0").glob("checkpoints/step-*.keras")):
        assert all(process.poll() is None for process in running), launch.finish(running)[1]
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def alone(videos, tmp_path_factory):
    """The rows of history.csv of an uninterrupted run in one process."""
    output = tmp_path_factory.mktemp("alone")
    codes, outputs = launch.finish(start(videos, output, processes=1))
    assert codes == [0], outputs
    return history(output)


@slow
def test_a_run_is_stopped_on_two_processes_and_finished_by_one(videos, alone, tmp_path):
    """SIGTERM to one stops both after the same step, saved; and the whole equals the run of one process."""
    running = start(videos, tmp_path)
    wait_for_checkpoint(tmp_path, running)
    running[1].send_signal(signal.SIGTERM)
    codes, outputs = launch.finish(running)
    assert codes == [128 + signal.SIGTERM] * 2, outputs
    assert "2 replicas" in outputs[0] and "Saved step" in outputs[0]
    assert "Saved" not in outputs[1] and "step/s" not in outputs[1]  # the chief tells it
    codes, outputs = launch.finish(start(videos, tmp_path, processes=1))
    assert codes == [0] and "resumed at step" in outputs[0], outputs
    # Without the two halves of the epoch in which it was stopped.
    stopped = int(outputs[0].split("resumed at step ")[1].split()[0])
    rows = {int(row["step"]): row for row in history(tmp_path)}
    whole = [row for row in alone if not 0 <= int(row["step"]) - stopped < 2]
    assert len(whole) > 10
    for expected in whole:
        row = rows[int(expected["step"])]
        assert float(row["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-4), stopped
    report = json.loads((tmp_path / "a-seed0" / "report.json").read_text())
    assert report["training"]["steps"] == int(alone[-1]["step"])


SIGNALS = {"killed": signal.SIGKILL, "silent": signal.SIGSTOP}


@pytest.mark.parametrize("end", ["killed", pytest.param("silent", marks=slow)])
def test_the_others_end_when_a_process_is(end, videos, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # what is killed cannot tidy up
    running = start(videos, tmp_path, 400)
    wait_for_checkpoint(tmp_path, running)
    running[1].send_signal(SIGNALS[end])
    try:
        output = running[0].communicate(timeout=TIMEOUT + 60)[0]
    finally:
        for process in running:
            process.kill()
    if KIND == "jax":  # its coordination service aborts them, mostly before they notice themselves
        assert running[0].returncode in (1, -signal.SIGABRT), output
        assert "Another process of this run" in output or "CoordinationService" in output
    else:
        assert running[0].returncode == 1, output
        assert "Another process of this run" in output and "Traceback" not in output
    assert list((tmp_path / "a-seed0" / "checkpoints").glob("step-*.keras"))
    assert not (tmp_path / "a-seed0" / "model.keras").exists()
