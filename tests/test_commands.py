"""train.py and evaluate.py from end to end: artifacts, resuming, and what a wrong input gets."""

import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from bod_keras import training
from bod_keras.commands.console import train
from bod_keras.configs import demo, videos
from bod_keras.errors import UserError
from bod_keras.storage.lock import lock
from bod_keras.training import NotFiniteError
from tests.outputs import read_picture
from tests.tiers import slow
from tests.tiny_models import run_steps_eagerly
from tests.typed_commands import ROOT, run_here
from tests.typed_commands import run as command
from tests.video_files import make_ramp_clip, save_video, write_broken

pytestmark = pytest.mark.xdist_group("commands")  # one process: they share runs
TINY = {
    "built_in.train": 32,
    "built_in.probe_train": 80,
    "built_in.probe_test": 80,
    "built_in.frames": 12,
    "clips.batch_size": 8,
    "clips.frames": 6,
    "evaluate.every": 0,
    "epochs": 2,
}
EPOCHS = {"plain": 8, "bod": 2}  # of four steps


@pytest.fixture(scope="session")
def workspace(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


def settings_of(workspace, changes):
    """Of a tiny run; dots of a key are written as double underscores."""
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    places = {"output": str(workspace), "built_in.folder": str(workspace / "data")}
    return {**places, **TINY, **changes}


def config_of(workspace, kind="bod", **changes):
    config = demo.get_config(f"{kind},smoke")
    config.update_from_flattened_dict(settings_of(workspace, changes))
    return config


def flags_of(workspace, kind="bod", **changes):
    return [
        f"--config={ROOT / 'configs' / 'demo.py'}:{kind},smoke",
        *(f"--config.{key}={value}" for key, value in settings_of(workspace, changes).items()),
    ]


@pytest.fixture(scope="session")
def runs(workspace):
    """A finished plain run, compiled, and a finished decoupled one: folders that tests read or add to."""
    for kind, epochs in EPOCHS.items():
        with pytest.MonkeyPatch.context() as patch:
            if kind == "bod":
                run_steps_eagerly(patch)
            train.train(config_of(workspace, kind, epochs=epochs).to_dict())
    return [workspace / f"demo-{kind}-smoke-seed0" for kind in EPOCHS]


@pytest.fixture(scope="session")
def long_run(workspace):
    """A finished decoupled run of eight epochs."""
    train.train(config_of(workspace, epochs=8, name="long").to_dict())
    return workspace / "long-seed0"


def test_a_run_leaves_its_artifacts(runs):
    for folder, epochs in zip(runs, EPOCHS.values(), strict=True):
        for name in ("losses.png", "spectrum.png"):
            read_picture(folder / name)
        for name in ("encoder.keras", "model.keras"):
            assert keras.models.load_model(folder / name).count_params() > 0
        assert list((folder / "tensorboard").rglob("events.*"))
        lines = (folder / "history.csv").read_text().splitlines()
        assert len(lines) == 1 + epochs and lines[0].startswith("epoch,step,seconds,learning_rate,")
        report = json.loads((folder / "report.json").read_text())
        assert report["config"]["clips"]["frames"] == 6
        assert report["training"]["steps"] == report["training"]["of"] == 4 * epochs
        assert report["environment"]["keras"] == keras.__version__
        losses = report["history"]["loss"]
        assert epochs < 8 or losses["last"] < losses["first"]


@slow
@pytest.mark.parametrize("kind", ["plain", "bod"])
def test_a_run_is_evaluated_while_it_trains(kind, workspace, tmp_path, eagerly, capsys):
    changes = {"output": str(tmp_path), "evaluate__every": 1, "evaluate__most": 1.0}
    changes |= {"evaluate__best": "linear_digit_static", "evaluate__videos": 24, "epochs": 2}
    train.train(config_of(workspace, kind, **changes).to_dict())
    folder = tmp_path / f"demo-{kind}-smoke-seed0"
    assert "Online evaluation on 24 + 24 videos of the probe." in capsys.readouterr().out
    rows = training.HistoryFile.rows(folder / "history.csv")
    for part in ("pooled", "static", "dynamic"):
        for factor in ("digit", "direction"):
            assert all(0 <= float(row[f"linear_{factor}_{part}"]) <= 1 for row in rows)
        assert all(float(row[f"rankme_{part}"]) >= 1 for row in rows)
    held_out = "val_loss" if kind == "plain" else "val_static_loss"
    assert all(float(row[held_out]) > 0 for row in rows)
    read_picture(folder / "online.png")
    values = [float(row["linear_digit_static"]) for row in rows]
    best = training.load_model(folder / "best.keras")
    assert training.steps_taken(best) == 4 * (1 + values.index(max(values)))


@pytest.mark.parametrize(
    ("best", "every", "message"),
    [
        ("linear_digit_statik", 1, "config.evaluate.best must be one of linear_digit_pooled, "),
        ("linear_digit_static", 0, "needs the online evaluation, which this run has not"),
    ],
)
def test_a_wrong_name_of_the_best_is_told_before_an_epoch(
    workspace, tmp_path, best, every, message
):
    changes = {"output": str(tmp_path), "evaluate__every": every, "evaluate__best": best}
    with pytest.raises(UserError, match=message):
        train.train(config_of(workspace, **changes).to_dict())
    assert not list(tmp_path.glob("*/history.csv"))


def test_without_a_probe_the_training_list_is_measured(tmp_path, eagerly, capsys):
    """Folders of classes; one broken video is left out, and no video is held out for a loss."""
    for index in range(12):
        (tmp_path / "videos" / str(index % 2)).mkdir(parents=True, exist_ok=True)
        clip = make_ramp_clip(8, offset=index + 120 * (index % 2))
        save_video(tmp_path / "videos" / str(index % 2) / f"{index}.avi", clip)
    (tmp_path / "videos" / "0" / "broken.avi").write_bytes(b"no video")
    flags = [*small_run(tmp_path / "videos", tmp_path, 0.5), "--config.evaluate.every=1"]
    done = run_here(capsys, *flags)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Online evaluation on \d \+ \d videos of the training list", done.stdout)
    assert "1 videos of the online evaluation cannot be read" in done.stdout
    (row, *_) = training.HistoryFile.rows(tmp_path / "videos-seed0" / "history.csv")
    assert 0 <= float(row["knn_pooled"]) <= 1 and "val_loss" not in row


def test_static_eigenvalues_are_in_the_report(runs):
    counts = json.loads((runs[1] / "report.json").read_text())["history"]["static_eigenvalues"]
    assert 0 < counts["smallest"] <= counts["largest"] < 5  # T - 1


def test_the_saved_encoder_loads_and_runs(runs):
    import bod_keras

    encoder = keras.models.load_model(runs[1] / "encoder.keras")
    features = encoder(np.zeros((2, 6, 32, 32, 3), "float32"))
    assert bod_keras.__version__ and tuple(features.shape) == (2, 6, 128)


def test_evaluation_prints_one_table_and_extends_the_reports(runs, tmp_path, capsys):
    flags = [*(f"--model={run}" for run in runs), f"--output={tmp_path}"]
    done = run_here(capsys, "evaluate.py", *flags)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("demo-")]
    assert [(row[0], row[2]) for row in rows] == [
        ("demo-plain-smoke", "digit"),
        ("demo-bod-smoke", "digit"),
        ("demo-plain-smoke", "direction"),
        ("demo-bod-smoke", "direction"),
    ]
    assert all(0 <= float(cell) <= 1 for row in rows for cell in row[3:])
    table = (tmp_path / "table.txt").read_text().strip()
    assert "direction" in table and table in done.stdout
    read_picture(tmp_path / "factors.png")
    report = json.loads((runs[1] / "report.json").read_text())
    assert report["evaluation_factors"]["videos"] == [80, 80]
    assert float(rows[3][6]) == pytest.approx(
        report["evaluation_factors"]["factors"]["direction"]["dynamic"]["linear"], abs=1e-3
    )


def test_a_finished_run_is_not_repeated(runs, workspace, capsys):
    before = (runs[0] / "model.keras").stat().st_mtime_ns
    done = run_here(capsys, "train.py", *flags_of(workspace, "plain", epochs=8))
    assert done.returncode == 0 and "is finished" in done.stdout
    assert (runs[0] / "model.keras").stat().st_mtime_ns == before


def test_other_settings_in_the_same_folder_are_refused(runs, workspace, capsys):
    flags = flags_of(workspace, "plain", epochs=8, clips__recipe="none")
    done = run_here(capsys, "train.py", *flags)
    assert done.returncode == 1
    assert "clips.recipe: motion there, none now" in done.stderr


def start(flags):
    return subprocess.Popen(
        [sys.executable, "train.py", *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(happened, process):
    while not happened():
        assert process.poll() is None
        time.sleep(0.02)


def assert_same_run(folder, whole):
    one, other = [keras.models.load_model(f / "model.keras") for f in (whole, folder)]
    for v, w in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(v, w, err_msg=v.path)
    rows = [line.split(",") for line in (folder / "history.csv").read_text().splitlines()[1:]]
    steps = [int(row[1]) for row in rows]
    assert steps == sorted(set(steps)) and steps[-1] == 32


@slow
@pytest.mark.parametrize(("stop", "kind"), [(signal.SIGTERM, "plain"), (signal.SIGINT, "bod")])
def test_a_stopped_run_resumes_to_the_same_weights(workspace, request, stop, kind, capsys):
    whole = (
        request.getfixturevalue("runs")[0]
        if kind == "plain"
        else request.getfixturevalue("long_run")
    )
    flags = flags_of(workspace, kind, epochs=8, name=f"stopped{int(stop)}")
    folder = workspace / f"stopped{int(stop)}-seed0"
    running = start(flags)
    wait_for((folder / "history.csv").exists, running)
    running.send_signal(stop)
    output, errors = running.communicate(timeout=120)
    assert running.returncode == 128 + stop and "resumes here" in output, errors
    assert re.search(r"\b\d+/32 ", errors)  # the progress bar
    assert not (folder / "model.keras").exists()
    # Moved, renamed and read otherwise: what no result depends on.
    (workspace / "moved").mkdir(exist_ok=True)
    folder = folder.rename(workspace / "moved" / f"renamed{int(stop)}-seed0")
    resumed = run_here(
        capsys,
        "train.py",
        *flags,
        f"--config.output={folder.parent}",
        f"--config.name=renamed{int(stop)}",
        "--config.clips.workers=0",
        "--config.clips.timeout=50",
        "--config.clips.max_bad_share=0.2",
    )
    assert resumed.returncode == 0 and "resumed at step" in resumed.stdout, resumed.stderr
    assert_same_run(folder, whole)


@slow
def test_a_run_that_is_killed_again_and_again_reaches_the_same_weights(workspace, long_run):
    """SIGKILL in the first epoch, then at random moments, of steps as of saving."""
    flags = flags_of(workspace, epochs=8, name="killed")
    folder = workspace / "killed-seed0"
    rng = np.random.default_rng(0)

    def saved():
        return set((folder / "checkpoints").glob("step-*.keras"))

    for kill in range(3):
        before, running = saved(), start(flags)
        wait_for(lambda: saved() - before if kill else (folder / "report.json").exists(), running)  # noqa: B023
        time.sleep(rng.uniform(0, 1.0))
        running.kill()
        running.communicate(timeout=60)
        assert running.returncode == -signal.SIGKILL
    resumed = command("train.py", *flags)
    assert resumed.returncode == 0 and "resumed at step" in resumed.stdout, resumed.stderr
    assert_same_run(folder, long_run)


@slow
def test_a_truncated_checkpoint_is_named_and_the_one_before_it_is_used(workspace, long_run):
    flags = flags_of(workspace, epochs=8, name="truncated")
    folder = workspace / "truncated-seed0"
    running = start(flags)
    wait_for((folder / "checkpoints" / "step-00000008.keras").exists, running)
    running.kill()
    running.communicate(timeout=60)
    newest = max((folder / "checkpoints").glob("step-*.keras"))
    newest.write_bytes(newest.read_bytes()[:-1000])
    resumed = command("train.py", *flags)
    assert resumed.returncode == 0, resumed.stderr
    assert f"{newest} is damaged and was passed over" in resumed.stdout
    assert f"resumed at step {int(newest.stem[5:]) - 4}" in resumed.stdout
    assert_same_run(folder, long_run)


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"data.source": "no-such-folder"}, "no-such-folder"),
        ({"data.source": "configs"}, "no video"),
        ({"data.source": ""}, "--config.data.source=PATH"),
        ({"clips.frames": 1}, "at least 2"),
        ({"clips.batch_size": 64}, "between 1 and the number of videos"),
        ({"encoder.name": "frame_cn"}, "Did you mean frame_cnn?"),
        (
            {"decoupling.threshold": -1.0},
            "config.decoupling.threshold must be more than 0. Received: -1.0",
        ),
        ({"optimizer.chunks": 3}, "must divide clips.batch_size. Received: chunks=3, batch_size=8"),
        ({"decoupling.bilevel.scope": "body"}, "scope must be one of head, all. Received: 'body'"),
    ],
)
def test_a_wrong_setting_gets_one_clear_message(tmp_path, workspace, changes, expected):
    config = config_of(workspace, **{"output": str(tmp_path), **changes})
    with pytest.raises((ValueError, OSError), match=re.escape(expected)):
        train.train(config.to_dict())


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"encoder.name": "frame_cn"}, "Did you mean frame_cnn?"),
        ({"encoder.weights": "no-such-file.pth"}, "There is no file of weights 'no-such-file.pth'"),
        ({"encoder.arguments": {"widths": ()}}, "at least one stage"),
        ({"decoupling.heads": 3}, "heads must be 1 or 2. Received: 3"),
        ({"optimizer.name": "adm"}, "Received: 'adm'"),
        ({"optimizer.final_learning_rate": 9.0}, "optimizer.final_learning_rate must lie between"),
    ],
)
def test_what_needs_no_videos_is_told_before_they_are_read(
    tmp_path, changes, expected, monkeypatch
):
    read = []
    monkeypatch.setattr("bod_keras.experiment.training_catalog", read.append)
    with pytest.raises((ValueError, OSError), match=re.escape(expected)):
        train.train(config_of(tmp_path, **{"output": str(tmp_path), **changes}).to_dict())
    assert not read


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    folder = tmp_path / "demo-bod-smoke-seed0"
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    config = demo.get_config("bod,smoke")
    config.output = str(tmp_path)
    with pytest.raises(ValueError, match="holds files, but no run"):
        train.train(config.to_dict())
    assert (folder / "thesis.txt").exists()


@pytest.fixture(scope="session")
def videos_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ramps")
    for index in range(8):
        save_video(folder / f"v{index}.avi", make_ramp_clip(10, offset=20 * index))
    return folder


def short_run(folder, output, **changes):
    """The config of a plain run: two steps an epoch."""
    config = videos.get_config("small")
    settings = {
        "data.source": str(folder),
        "output": str(output),
        "epochs": 1,
        "clips.size": 16,
        "clips.batch_size": 4,
        "clips.workers": 0,
        "optimizer.warmup_epochs": 0.0,
        "decoupled": False,
        "monitors.every": 0,
        **{key.replace("__", "."): value for key, value in changes.items()},
    }
    config.update_from_flattened_dict(settings)
    return config.to_dict()


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


class Spoil(keras.callbacks.Callback):
    """A weight is no number before the second step."""

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 1:
            weight = self.model.trainable_variables[0]
            weight.assign(np.full(weight.shape, np.nan))


SPOIL = f"{__name__}:Spoil"


def test_a_finished_run_is_trained_on_with_more_epochs(videos_folder, tmp_path, capsys, eagerly):
    """Also if the videos have moved, if it is stopped on the way, and with what the error advises."""
    folder = tmp_path / "runs" / "videos-seed0"
    train.train(short_run(videos_folder, tmp_path / "runs"))
    first = keras.models.load_model(folder / "model.keras")
    assert int(first.steps_taken) == 2
    capsys.readouterr()

    moved = shutil.copytree(videos_folder, tmp_path / "moved")
    wild = {"epochs": 3, "callbacks": (SPOIL,)}
    with pytest.raises(NotFiniteError, match="clipnorm=1.0.*continues from there"):
        train.train(short_run(moved, tmp_path / "runs", **wild))
    told = capsys.readouterr().out
    assert f"  data.source: {moved}, {videos_folder} before" in told
    assert "  epochs: 3, 1 before" in told and "resumed at step 2" in told
    assert (folder / "model.keras").exists()  # no result is lost

    tame = {"epochs": 3, "optimizer__clipnorm": 1.0, "clips__max_bad_share": 0.3}
    train.train(short_run(moved, tmp_path / "runs", **tame))
    told = capsys.readouterr().out
    assert "  optimizer.clipnorm: 1.0, None before" in told and "resumed at step 2" in told
    last = keras.models.load_model(folder / "model.keras")
    assert int(last.steps_taken) == 6 and int(last.next_position) == 24
    assert last.optimizer.clipnorm == 1.0
    assert not (folder / "checkpoints").exists()
    rows = [line.split(",") for line in (folder / "history.csv").read_text().splitlines()[1:]]
    assert [int(row[1]) for row in rows] == [2, 4, 6]
    changes = report_of(folder)["changes"]
    assert [change["step"] for change in changes] == [2, 2]
    assert changes[1]["optimizer.clipnorm"] == [None, 1.0]
    train.train(short_run(moved, tmp_path / "runs", **tame))
    assert "is finished" in capsys.readouterr().out


def test_a_run_is_not_continued_on_other_videos(videos_folder, tmp_path, eagerly):
    config = short_run(videos_folder, tmp_path / "runs")
    train.train(config)
    other = shutil.copytree(videos_folder, tmp_path / "other")
    (other / "v3.avi").rename(other / "z3.avi")
    with pytest.raises(UserError, match="trained on other videos: 8 then, 8 now, with other names"):
        train.train(short_run(other, tmp_path / "runs", epochs=2))


def test_a_run_without_a_checkpoint_finishes(videos_folder, tmp_path, eagerly):
    assert train.train(short_run(videos_folder, tmp_path, checkpoint__every=5)) is None
    assert (tmp_path / "videos-seed0" / "model.keras").exists()


def test_a_new_run_begins_with_the_weights_of_another_one(videos_folder, tmp_path, capsys, eagerly):
    train.train(short_run(videos_folder, tmp_path))
    old = keras.models.load_model(tmp_path / "videos-seed0" / "model.keras")
    # No step changes a weight: the encoder must be the old one.
    still = {"optimizer__learning_rate": 1e-30, "optimizer__weight_decay": 0.0, "seed": 1}
    config = short_run(videos_folder, tmp_path, name="second", **still, head__width=5)
    train.train(config, init_from=str(tmp_path / "videos-seed0"))
    told = capsys.readouterr().out
    report = report_of(tmp_path / "second-seed1")["init_from"]
    assert report["run"] == str(tmp_path / "videos-seed0")
    assert list(report["not_taken"].values()) == ["shape (128, 32) there, (128, 5) here"]
    assert f"Weights of {tmp_path / 'videos-seed0'}: {report['of'] - 1} of {report['of']}" in told
    new = keras.models.load_model(tmp_path / "second-seed1" / "model.keras")
    for one, other in zip(old.encoder.trainable_weights, new.encoder.trainable_weights):
        np.testing.assert_array_equal(one, other, err_msg=one.path)
    assert int(new.steps_taken) == 2

    train.train(config, init_from=str(tmp_path / "videos-seed0"))  # the same command again
    assert "is finished" in capsys.readouterr().out
    with pytest.raises(UserError, match="began with the weights of .*videos-seed0. Received"):
        train.train(config, init_from=str(tmp_path / "another"))
    with pytest.raises(UserError, match="videos-seed0 holds a run that began afresh"):
        train.train(short_run(videos_folder, tmp_path), init_from=str(tmp_path / "second-seed1"))


def test_a_run_to_begin_with_must_have_weights(videos_folder, tmp_path):
    with pytest.raises(UserError, match="init_from=.*nothing is no run of train.py with weights"):
        train.train(short_run(videos_folder, tmp_path), init_from=str(tmp_path / "nothing"))


def test_a_second_run_in_the_same_folder_is_refused(tmp_path, workspace, capsys):
    with lock(tmp_path / "demo-bod-smoke-seed0", ""):
        done = run_here(capsys, "train.py", *flags_of(workspace, output=tmp_path))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"demo-bod-smoke-seed0 is in use: process {os.getpid()} on" in done.stderr
    assert not list(tmp_path.iterdir())


@slow
def test_a_kill_during_the_first_report_does_not_block_the_run(tmp_path, workspace):
    (tmp_path / "demo-bod-smoke-seed0").mkdir()
    (tmp_path / "demo-bod-smoke-seed0" / ".part-1-report.json").write_text("{")
    done = command("train.py", *flags_of(workspace, output=tmp_path, epochs=1))
    assert done.returncode == 0, done.stderr


def test_damaged_checkpoints_are_not_thrown_away(tmp_path, workspace):
    config = config_of(workspace, output=str(tmp_path))
    folder = tmp_path / "demo-bod-smoke-seed0"
    part = folder / "checkpoints" / "step-00000004.keras"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half of a checkpoint")
    (folder / "report.json").write_text(json.dumps({"config": config.to_dict()}))
    with pytest.raises(ValueError, match="No checkpoint in .* is complete"):
        train.train(config.to_dict())
    assert part.exists()


@pytest.mark.parametrize(
    "flags, expected",
    [
        ([], "--config is missing"),
        (["--config=configs/demo.py:bod", "extra"], "arguments: extra"),
        (["--config=configs/demo.py:bod", "--config.no_such_key=3"], "no_such_key"),
        (
            ["--config=configs/demo.py", "--config.epocs=3"],
            "no key 'epocs'. Did you mean 'epochs'?",
        ),
        (["--confg=configs/demo.py"], "there is no flag --confg. Did you mean --config?"),
        (["--config=configs/video.py"], "Did you mean configs/videos.py? There are: configs/"),
        (["--config", "demo:bod"], "there is no config file demo. Did you mean configs/demo.py?"),
        (["--config=nowhere/x.py"], "configs/vmoco_ucf101.py, "),
        (["--config=configs/demo.py:bpd"], "paper or reference-code, "),
        (["--config=configs/demo.py", "--devices=two"], "--devices=two"),
        (
            ["--config=configs/demo.py:bod", "--config.clips.batchsize=3"],
            "Did you mean 'batch_size'?",
        ),
    ],
)
def test_wrong_flags_get_one_clear_message(flags, expected, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    done = run_here(capsys, "train.py", *flags)
    assert done.returncode == 1 and expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--protcol=linear"], "there is no flag --protcol. Did you mean --protocol? See --help."),
        (["--per_class=few"], "--per_class=few"),
        (["--model=runs/a", "linear"], "unexpected arguments: linear"),
        ([], "--model is missing"),
    ],
)
def test_wrong_flags_of_an_evaluation(flags, expected, capsys):
    done = run_here(capsys, "evaluate.py", *flags)
    assert done.returncode == 1 and expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [["train.py", "--config=configs/demo.py"], ["evaluate.py"], ["-m", "bod_keras.compare", "a"]],
    ids=" ".join,
)
def test_a_backend_that_is_not_installed_is_one_line(arguments, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['torch'] = None\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "torch, which is not installed: pip install torch" in done.stderr


@slow
def test_wrong_flags_of_a_process():
    done = command("train.py", "--config=configs/demo.py:bod", "--config.clips.batchsize=3")
    assert done.returncode == 1
    assert "Did you mean 'batch_size'?" in done.stderr and "Traceback" not in done.stderr


def test_a_loss_that_is_not_finite_stops_with_step_and_files(tmp_path, workspace, capsys, eagerly):
    flags = flags_of(workspace, "plain", output=tmp_path)
    done = run_here(capsys, "train.py", *flags, f"--config.callbacks=('{SPOIL}',)")
    assert done.returncode == 1
    assert "Not finite at step" in done.stderr
    assert done.stderr.count(".avi") == TINY["clips.batch_size"]


@pytest.fixture
def mixed_folder(tmp_path):
    """Sixteen whole videos, three of them shorter than a clip, and five broken ones."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for index in range(16):
        frames = 4 if index < 3 else 20
        save_video(folder / f"v{index:02d}.avi", make_ramp_clip(frames, offset=index))
    return folder, write_broken(folder)


def small_run(folder, output, share):
    return (
        "train.py",
        f"--config={ROOT / 'configs' / 'videos.py'}:small",
        f"--config.data.source={folder}",
        f"--config.output={output}",
        f"--config.clips.max_bad_share={share}",
        "--config.clips.size=16",
        "--config.clips.batch_size=4",
        "--config.epochs=2",
        "--config.optimizer.warmup_epochs=0.5",
        "--config.decoupled=False",  # what it trains makes no difference here
        "--config.monitors.every=0",
        "--config.evaluate.every=0",
    )


def test_broken_videos_are_skipped_counted_and_named(mixed_folder, tmp_path, capsys, eagerly):
    folder, broken = mixed_folder
    done = run_here(capsys, *small_run(folder, tmp_path, 0.5))
    assert done.returncode == 0, done.stderr
    assert f"{len(broken)} of 21 videos were skipped" in done.stdout
    training = json.loads((tmp_path / "videos-seed0" / "report.json").read_text())["training"]
    assert set(training["skipped"]) == {path for path, _ in broken.values()}
    for path, reason in broken.values():
        assert reason in training["skipped"][path]
    assert [Path(path).name for path in training["shorter_than_a_clip"]] == [
        "v00.avi",
        "v01.avi",
        "v02.avi",
    ]


@pytest.mark.parametrize("process", [False, pytest.param(True, marks=slow)])
def test_too_many_broken_videos_stop_the_run(process, mixed_folder, tmp_path, capsys, eagerly):
    """Also in a process, which ends while the stream of videos is open."""
    arguments = small_run(mixed_folder[0], tmp_path, 0.1)
    done = command(*arguments) if process else run_here(capsys, *arguments)
    assert done.returncode == 1
    assert "video files cannot be read (max_bad_share=0.1)" in done.stderr
    assert "Traceback" not in done.stderr


@slow
def test_a_full_disk_while_saving_is_a_clear_error(tmp_path, workspace):
    def limit():  # a real refusal to write: no file may grow beyond 300 kB
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    # The memory that workers share would be refused, too.
    flags = [*flags_of(workspace, output=tmp_path), "--config.clips.workers=0"]
    done = command("train.py", *flags, preexec_fn=limit)
    assert done.returncode == 1
    assert "Could not save" in done.stderr and os.strerror(errno.EFBIG) in done.stderr
    assert not list(tmp_path.rglob("*.keras"))


def test_evaluation_on_labeled_folders(runs, tmp_path, capsys):
    for part, first in (("train", 0), ("test", 4)):
        for label, level in enumerate((0, 120)):  # dark and bright: a label that is easy to read
            folder = tmp_path / part / f"class{label}"
            folder.mkdir(parents=True)
            for index in range(first, first + 4):
                save_video(folder / f"{index}.avi", make_ramp_clip(8, offset=level + index))
    broken = tmp_path / "test" / "class0" / "broken.avi"
    broken.write_bytes(b"no video")
    flags = [f"--model={runs[1]}", "--protocol=linear,knn"]
    flags += [f"--probe_{part}={tmp_path / part}" for part in ("train", "test")]
    done = run_here(capsys, "evaluate.py", *flags)
    assert done.returncode == 1 and "allow more with max_bad_share" in done.stderr
    done = run_here(capsys, "evaluate.py", *flags, "--max_bad_share=0.2")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    for protocol in ("linear", "knn"):
        start = next(i for i, line in enumerate(lines) if line[4:6] == ["part", protocol])
        rows = lines[start + 2 : start + 5]
        assert [row[:4] for row in rows] == [["demo-bod-smoke", "1", "label", "0.500"]] * 3
        assert [row[4] for row in rows] == ["pooled", "static", "dynamic"]
        assert max(float(row[5]) for row in rows) == 1.0


def test_evaluation_refuses_what_is_no_run(tmp_path, capsys):
    done = run_here(capsys, "evaluate.py", f"--model={tmp_path}")
    assert done.returncode == 1 and "is not the folder of a finished run" in done.stderr


@pytest.mark.parametrize("config", [demo, videos])
def test_a_config_refuses_an_unknown_argument(config):
    with pytest.raises(ValueError, match="Received: 'smal'"):
        config.get_config("smal")
