"""Runs whose folder is damaged, deleted, killed or shared: what is there is never overwritten by less."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import pytest

from bod_keras.commands.console import train
from bod_keras.errors import UserError
from bod_keras.training import HistoryFile, load_model, saved_settings
from tests.test_commands import short_run
from tests.tiers import first_of, slow
from tests.typed_commands import ROOT
from tests.video_files import make_ramp_clip, save_video

# One process: they share a run.
pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.usefixtures("eagerly")]


@pytest.fixture(scope="module")
def folder_of_videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ramps")
    for index in range(8):
        save_video(folder / f"v{index}.avi", make_ramp_clip(10, offset=20 * index))
    return folder


@pytest.fixture(scope="module")
def begun(folder_of_videos, tmp_path_factory):
    """A run of two epochs of three, without its end: the folder that holds it."""
    output = tmp_path_factory.mktemp("begun")
    config = short_run(folder_of_videos, output, epochs=3)
    _stop_after(2)
    try:
        train.train({**config, "callbacks": (f"{__name__}:Stop",)})
    finally:
        _stop_after(None)
    return output


class Stop(keras.callbacks.Callback):
    """A signal in the last step of an epoch."""

    after = None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_begin(self, batch, logs=None):
        if self.epoch == self.after and batch == 1:
            signal.raise_signal(signal.SIGTERM)


def _stop_after(epoch):
    Stop.after = epoch


@pytest.fixture
def run(begun, tmp_path):
    shutil.copytree(begun, tmp_path / "runs")
    return tmp_path / "runs" / "videos-seed0"


def go_on(run, folder_of_videos, **changes):
    return train.train(short_run(folder_of_videos, run.parent, **{"epochs": 3, **changes}))


def report_of(run):
    return json.loads((run / "report.json").read_text())


def steps_of(run):
    return [int(line.split(",")[1]) for line in (run / "history.csv").read_text().split("\n")[1:-1]]


@pytest.mark.parametrize(
    "text",
    first_of(["{", None, "{}", "[1]", '{"config": 5}', "", "\0\0"], 2),
)
def test_a_damaged_report_is_set_aside_and_the_run_goes_on(text, run, folder_of_videos, capsys):
    """Its config is in the checkpoints; also if the report is gone."""
    if text is None:
        (run / "report.json").unlink()
    else:
        (run / "report.json").write_text(text)
    assert go_on(run, folder_of_videos) is None
    told = capsys.readouterr().out
    assert "resumed at step 4" in told and "report.json is " in told
    report = report_of(run)
    assert report["training"]["steps"] == 6 and report["config"]["epochs"] == 3
    assert steps_of(run) == [2, 4, 6]
    if text is not None:
        assert (run / "aside-report.json").read_text() == text
    (run / "report.json").unlink()  # of a run that is finished, too
    assert go_on(run, folder_of_videos) is None
    assert report_of(run)["config"]["epochs"] == 3


def test_pipes_in_a_run_are_passed_over_and_stay(run, folder_of_videos, capsys):
    for name in ("report.json", "history.csv", "checkpoints/step-00000004.keras"):
        (run / name).unlink()
        os.mkfifo(run / name)
    assert go_on(run, folder_of_videos) is None
    told = capsys.readouterr().out
    assert "step-00000004.keras is damaged and was passed over" in told and "a pipe" in told
    assert "resumed at step 2" in told
    asides = ("aside-report.json", "aside-history.csv", "checkpoints/aside-step-00000004.keras")
    assert all((run / name).is_fifo() for name in asides)
    assert report_of(run)["training"]["steps"] == 6


def test_what_stands_where_the_run_writes_is_set_aside(run, folder_of_videos, capsys):
    for name in ("model.keras", "encoder.keras", "losses.png"):
        (run / name).mkdir()
        (run / name / "mine.txt").write_text("mine")
    shutil.rmtree(run / "tensorboard")
    (run / "tensorboard").write_text("mine")
    assert go_on(run, folder_of_videos) is None
    told = capsys.readouterr().out
    for name in ("model.keras", "encoder.keras", "losses.png"):
        assert f"{name} is no file: it is now aside-{name}" in told
        assert (run / f"aside-{name}" / "mine.txt").read_text() == "mine"
        assert (run / name).is_file()
    assert (run / "aside-tensorboard").read_text() == "mine" and steps_of(run) == [2, 4, 6]


@pytest.mark.parametrize(
    "make",
    [lambda p: p.write_text("mine"), lambda p: p.symlink_to(p), os.mkfifo],
    ids=["file", "link to itself", "pipe"],
)
def test_a_run_needs_a_folder(make, folder_of_videos, tmp_path):
    make(tmp_path / "videos-seed0")
    with pytest.raises(UserError, match="videos-seed0 is no folder, which a run needs"):
        train.train(short_run(folder_of_videos, tmp_path))
    assert os.listdir(tmp_path) == ["videos-seed0"]


@pytest.mark.parametrize("second", ["1,2,1,0.1,1", "0,-4,1,0.1,1", "2,4,nan,0.1,1", "2,4,-1,0.1,1"])
def test_rows_of_a_history_that_cannot_be_are_damage(second, run):
    first = "1,2,1.0,0.1,1"
    text = f"epoch,step,seconds,learning_rate,loss\n{first}\n{second}\n3,6,2.0,0.1,1\n"
    (run / "history.csv").write_text(text)
    assert [row["step"] for row in HistoryFile.rows(run / "history.csv")] == ["2"]


def test_with_a_damaged_report_other_settings_are_refused_too(run, folder_of_videos):
    (run / "report.json").write_text("{")
    with pytest.raises(UserError, match="head.width: 32 there, 5 now"):
        go_on(run, folder_of_videos, head__width=5)


def test_without_any_config_the_damage_is_named(run, folder_of_videos):
    (run / "report.json").write_text("{")
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UserError, match=r"report\.json must hold JSON"):
        go_on(run, folder_of_videos)
    assert (run / "report.json").read_text() == "{"


@pytest.mark.parametrize(
    "changes",
    [
        {"framework__temperature": 0.3},
        *(pytest.param(c, marks=slow) for c in ({"head__width": 8}, {"seed": 1})),
    ],
    ids=str,
)
def test_a_checkpoint_of_another_config_is_passed_over(changes, run, folder_of_videos, capsys):
    other = run.parent.parent / "other"
    train.train(short_run(folder_of_videos, other, epochs=1, **changes))
    model = next(other.glob("*/model.keras"))
    foreign = model.read_bytes()
    newest = run / "checkpoints" / "step-00000004.keras"
    newest.write_bytes(foreign)
    assert go_on(run, folder_of_videos) is None
    told = capsys.readouterr().out
    assert f"{newest} was passed over: it is of a run with other settings" in told
    assert "resumed at step 2" in told
    assert (run / "checkpoints" / "aside-step-00000004.keras").read_bytes() == foreign
    assert saved_settings(run / "model.keras")["head"]["width"] == 32
    assert steps_of(run) == [2, 4, 6]


def test_only_foreign_checkpoints_are_an_error_that_changes_nothing(run, folder_of_videos):
    for path in (run / "checkpoints").glob("step-*.keras"):
        settings = {**saved_settings(path), "seed": 7}
        keras.saving.save_model(load_model(path), path)
        import zipfile

        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("bod_keras.json", json.dumps(settings))
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    with pytest.raises(UserError, match="No checkpoint in"):
        go_on(run, folder_of_videos)
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


@pytest.fixture
def finished(run, folder_of_videos):
    go_on(run, folder_of_videos)
    (run / "evaluation" / "linear").mkdir(parents=True)
    (run / "evaluation" / "linear" / "per_class.csv").write_text("results of hours")
    (run / "NOTES.txt").write_text("mine")
    return run


def content(run):
    return {p.relative_to(run): p.read_bytes() for p in run.rglob("*") if p.is_file()}


@pytest.mark.parametrize("lost", [["model.keras"], ["model.keras", "encoder.keras"]], ids=len)
def test_a_finished_run_without_its_model_loses_nothing(lost, finished, folder_of_videos, capsys):
    for name in lost:
        (finished / name).unlink()
    before = content(finished)
    if len(lost) == 1:
        assert go_on(finished, folder_of_videos) is None
        assert "is finished, but its model.keras is gone" in capsys.readouterr().out
        assert content(finished) == before
    with pytest.raises(UserError, match="neither its checkpoints nor its model.keras"):
        go_on(finished, folder_of_videos, epochs=5)
    assert content(finished) == before


def test_a_run_that_lost_its_checkpoints_does_not_overwrite_its_history(run, folder_of_videos):
    shutil.rmtree(run / "checkpoints")
    before = content(run)
    with pytest.raises(UserError, match=r"history\.csv of 2 epochs"):
        go_on(run, folder_of_videos)
    assert content(run) == before


def test_a_damaged_model_of_a_finished_run_is_named(finished, folder_of_videos):
    data = bytearray((finished / "model.keras").read_bytes())
    data[len(data) // 2] ^= 1
    (finished / "model.keras").write_bytes(bytes(data))
    with pytest.raises(UserError, match=r"model\.keras is no complete .keras file"):
        go_on(finished, folder_of_videos, epochs=4)
    assert (finished / "encoder.keras").exists()


class DeleteFolder(keras.callbacks.Callback):
    run = None

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            shutil.rmtree(self.run)


def test_a_folder_that_is_deleted_in_mid_run_is_written_again(folder_of_videos, tmp_path, capsys):
    config = short_run(folder_of_videos, tmp_path, epochs=4)
    DeleteFolder.run = tmp_path / "videos-seed0"
    train.train({**config, "callbacks": (f"{__name__}:DeleteFolder",)})
    assert "report.json was deleted while the run went on" in capsys.readouterr().out
    report = report_of(DeleteFolder.run)
    assert {"config", "environment", "videos", "training", "history"} <= report.keys()
    assert steps_of(DeleteFolder.run)[-1] == 8
    assert load_model(DeleteFolder.run / "model.keras").count_params()


def test_what_earlier_processes_skipped_and_measured_stays(run, folder_of_videos):
    """A run that was killed while it finished has no step left to meet a broken file, or to be timed."""
    report = report_of(run)
    report["training"] |= {"skipped": {"a.avi": "broken"}, "seconds_per_step": 0.25}
    report["training"]["shorter_than_a_clip"] = ["b.avi"]
    (run / "report.json").write_text(json.dumps(report))
    for name in (".part-1-report.json", "checkpoints/.part-1-step-00000006.keras"):
        (run / name).write_text("half")
    go_on(run, folder_of_videos)
    training = report_of(run)["training"]
    assert training["skipped"] == {"a.avi": "broken"}
    assert training["shorter_than_a_clip"] == ["b.avi"]
    assert training["seconds_per_step"] == 0.25
    assert not list(run.rglob(".part-*")) and not (run / "checkpoints").exists()


@slow
@pytest.mark.parametrize(
    "moment", [".part-*report.json", "checkpoints/.part-*", ".part-*model.keras"]
)
def test_a_process_that_is_killed_while_it_writes_leaves_no_part(
    moment, folder_of_videos, tmp_path
):
    config = short_run(folder_of_videos, tmp_path, epochs=3)
    code = "import json, sys, train; train.train(json.loads(sys.argv[1]))"
    command = [sys.executable, "-c", code, json.dumps(config)]
    run = tmp_path / "videos-seed0"
    running = subprocess.Popen(command, cwd=ROOT)
    while running.poll() is None and not list(run.glob(moment)):
        time.sleep(0.0002)
    running.kill()
    running.wait()
    subprocess.run(command, cwd=ROOT, check=True)
    assert not list(run.rglob(".part-*"))
    assert steps_of(run) == [2, 4, 6]
