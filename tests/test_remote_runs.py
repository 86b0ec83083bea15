"""train.py and evaluate.py at s3://: videos, runs that are stopped and resumed, storage that is not there."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bod_keras.training import RunFolder
from tests.remote_servers import SECRET, S3Server, closed_port, s3_environment, silent_port
from tests.tiers import slow
from tests.video_files import make_ramp_clip, save_video

ROOT = Path(__file__).parent.parent
RUN = "runs/videos-seed0"
pytestmark = [slow, pytest.mark.xdist_group("s3")]  # one process: they share the server


def start(script, flags, environment):
    return subprocess.Popen(
        [sys.executable, script, *flags],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    output, errors = process.communicate(timeout=300)
    assert SECRET not in output + errors
    return process.returncode, output, errors


def training_flags(source="s3://bucket/videos", **changes):
    settings = {
        "data.source": source,
        "output": "s3://bucket/runs",
        "clips.size": 16,
        "clips.batch_size": 4,
        "clips.workers": 0,  # each would load TensorFlow
        "epochs": 6,
        "optimizer.warmup_epochs": 0,
        "decoupled": False,
        "monitors.every": 0,
        "evaluate.every": 0,
        **changes,
    }
    return [
        "--config=configs/videos.py:small",
        *(f"--config.{key}={value}" for key, value in settings.items()),
    ]


def put_videos(server, folder):
    for index in range(8):
        label = "dark" if index < 4 else "bright"
        clip = make_ramp_clip(12, offset=index + 120 * (index >= 4))
        video = save_video(folder / f"{index}.avi", clip)
        server.put(f"videos/{label}/{index}.avi", Path(video).read_bytes())


def wait_for_checkpoint(server, running):
    while server.get(f"{RUN}/checkpoints/step-00000002.keras") is None:
        assert running.poll() is None, running.communicate()[1]
        time.sleep(0.1)


@pytest.fixture(scope="module")
def stored(s3_server, tmp_path_factory):
    """The server, with a run that was stopped after its first epochs and then resumed: both outputs."""
    put_videos(s3_server, tmp_path_factory.mktemp("videos"))
    running = start("train.py", training_flags(), s3_server.environment)
    wait_for_checkpoint(s3_server, running)
    running.send_signal(signal.SIGTERM)
    stopped = finish(running)
    unfinished = s3_server.get(f"{RUN}/model.keras") is None
    resumed = finish(start("train.py", training_flags(), s3_server.environment))
    return s3_server, stopped, unfinished, resumed


def test_a_stopped_run_is_stored_and_resumes_from_there(stored):
    server, (code, output, _), unfinished, (resumed, again, errors) = stored
    assert code == 128 + signal.SIGTERM and "The same command resumes here" in output
    assert unfinished
    assert resumed == 0, errors
    assert "s3://bucket/runs/videos-seed0: 8 videos" in again and "resumed at step" in again
    assert "Finished: s3://bucket/runs/videos-seed0/encoder.keras" in again
    rows = server.get(f"{RUN}/history.csv").decode().splitlines()[1:]
    steps = [int(row.split(",")[1]) for row in rows]
    assert steps == sorted(set(steps)) and steps[-1] == 12
    report = json.loads(server.get(f"{RUN}/report.json"))
    assert report["training"]["steps"] == 12 and report["history"]["loss"]["last"] > 0
    for name in ("encoder.keras", "model.keras", "losses.png", "spectrum.png"):
        assert len(server.get(f"{RUN}/{name}")) > 1000, name
    for step in range(2, 14, 2):
        assert server.get(f"{RUN}/checkpoints/step-{step:08d}.keras") is None


def test_a_finished_run_is_evaluated_and_not_repeated(stored):
    server = stored[0]
    flags = [
        f"--model=s3://bucket/{RUN}",
        "--protocol=knn",
        "--probe_train=s3://bucket/videos",
        "--probe_test=s3://bucket/videos",
        "--allow_overlap",  # the same few videos
        "--output=s3://bucket/tables",
    ]
    evaluating = start("evaluate.py", flags, server.environment)
    repeated = start("train.py", training_flags(), server.environment)
    code, output, errors = finish(evaluating)
    assert code == 0, errors
    table = server.get("tables/table.txt").decode().strip()
    assert len(table.splitlines()) > 1 and table in output
    report = json.loads(server.get(f"{RUN}/report.json"))
    assert report["evaluation_knn"]["videos"] == [8, 8]
    code, output, errors = finish(repeated)
    assert code == 0 and f"s3://bucket/{RUN} is finished" in output, errors


def test_storage_that_does_not_answer_fails_in_time_and_tells_no_secret(s3_server):
    """A port that refuses and one that never answers, with everything that TensorFlow and AWS can log."""
    talkative = {"TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_MAX_VLOG_LEVEL": "2", "AWS_LOG_LEVEL": "6"}
    with silent_port() as silent:
        ports = (silent, closed_port())
        running = []
        for port in ports:
            limits = {"BOD_KERAS_REMOTE_TIMEOUT": "2"}
            environment = {**s3_environment(port), **talkative, **limits}
            running.append(start("train.py", training_flags(), environment))
        for port, process in zip(ports, running):
            code, _, errors = finish(process)
            assert code == 1, errors
            assert "Stat on path: s3://bucket" in errors  # it is TensorFlow's debug output
            assert (
                f"train.py: s3://bucket/{RUN}: no answer from http://127.0.0.1:{port} (S3_ENDPOINT) within 2 s"
                in errors.splitlines()[-1]
            )


def test_storage_that_goes_away_loses_nothing(s3_server, tmp_path):
    server = S3Server()
    put_videos(server, tmp_path)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    limits = {"BOD_KERAS_REMOTE_TIMEOUT": "2", "TMPDIR": str(temporary)}
    flags = training_flags(epochs=100_000)
    running = start("train.py", flags, {**server.environment, **limits})
    wait_for_checkpoint(server, running)
    server.stop()
    for line in running.stdout:  # training continues
        if line.startswith("Not stored, to be tried again after the next epoch: s3://bucket/runs"):
            break
    running.send_signal(signal.SIGTERM)
    code, _, errors = finish(running)
    assert code == 1, errors
    (folder,) = temporary.glob("bod_keras-*/videos-seed0")
    assert f"What the run left lies in {folder}: copy it to s3://bucket/{RUN}" in errors
    assert list(folder.glob("checkpoints/step-*.keras"))


def test_a_run_cannot_be_kept_at_http():
    with pytest.raises(
        ValueError, match="http can only be read; a run cannot be kept at http://h/r"
    ):
        RunFolder("http://h/r")
