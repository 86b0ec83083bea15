"""A sweep's runs: their values, names and folders, which of them are trained, and the table at the end."""

import json
import os
import signal
import subprocess

import keras
import numpy as np
import pytest

from bod_keras import experiment, training
from bod_keras.commands import run_config
from bod_keras.commands import sweep as sweeping
from bod_keras.commands.sweep import sweep, sweep_runs
from bod_keras.configs import demo, videos
from bod_keras.errors import UserError
from bod_keras.evaluation import write_report
from bod_keras.storage.lock import lock
from bod_keras.training import NotFiniteError
from tests.tiers import slow
from tests.typed_commands import ROOT, run, run_here
from tests.video_files import make_ramp_clip, save_video


def test_several_sweeps_give_the_product_with_the_types_of_the_keys():
    config = demo.get_config("bod,smoke")
    sweeps = ["decoupling.ridge=0.03, 1", "seed=0,1,2", "decoupling.bilevel.scope=head,all"]
    runs = sweep_runs(config, sweeps)
    assert len(runs) == 12
    last = list(runs.values())[-1]
    assert (last["decoupling"]["ridge"], last["seed"]) == (1.0, 2)
    assert last["decoupling"]["bilevel"]["scope"] == "all"
    assert list(runs)[-1] == "decoupling.ridge=1.0, seed=2, decoupling.bilevel.scope=all"
    names = {run["name"] for run in runs.values()}
    assert len(names) == 4  # runs that differ in the seed alone share a name
    assert len({(run["name"], run["seed"]) for run in runs.values()}) == 12
    assert config.name == "demo-bod-smoke" and config.decoupling.ridge == 0.1
    again = sweep_runs(config, sweeps[1:] + sweeps[:1])  # in another order
    assert {run["name"] for run in again.values()} == names


@pytest.mark.parametrize(
    "text, values",
    [
        ("decoupled=true,False", [True, False]),
        ("decoupling.threshold=none,0.1", [None, 0.1]),
        ("clips.shard=(0,1),(0,2)", [(0, 1), (0, 2)]),
        ("optimizer.name=adamw,sgd", ["adamw", "sgd"]),
        ("config.epochs=3", [3]),
    ],
)
def test_values(text, values):
    (key, *_) = text.removeprefix("config.").partition("=")
    found = [run for run in sweep_runs(demo.get_config(), [text]).values()]
    for name in key.split("."):
        found = [run[name] for run in found]
    assert found == values


@pytest.mark.parametrize(
    "sweeps, message",
    [
        (["koopman.ridge=1,2"], "no key koopman.ridge. Did you mean decoupling.ridge?"),
        (["decoupling.ridge"], "--sweep takes KEY=VALUE,VALUE"),
        (["decoupling.ridge="], "--sweep takes KEY=VALUE,VALUE"),
        (["decoupling.ridge=0.1,much"], "'much' is of another type than the key"),
        (["epochs=1.5"], "'1.5' is of another type"),
        (["seed=1,01,1"], "names a value twice|of another type"),
        (["decoupling.ridge=none,0.1"], "must have a value. Leave 'none' out"),
        (["epochs=True,2"], "'True' is of another type than the key. It is no number"),
        (["seed=1", "seed=2"], "it is there twice"),
        (["name=a,b"], "names of runs are given by the sweep"),
    ],
)
def test_wrong_sweeps(sweeps, message):
    with pytest.raises(UserError, match=message):
        sweep_runs(demo.get_config(), sweeps)


@pytest.fixture
def trained(monkeypatch):
    """Stands for the training, which other tests do: what it is asked for; it writes a report."""
    asked = []

    def pretrain(config, distribution, init_from):
        folder = experiment.run_folder(config)
        with lock(str(folder), "Wait."):
            asked.append((config["decoupling"]["ridge"], init_from))
            if config["decoupling"]["ridge"] == 9.0:
                raise NotFiniteError("Not finite at step 3.")
            history = {"loss": {"last": config["decoupling"]["ridge"]}}
            history["linear_digit_static"] = {"last": 0.25}
            write_report(folder.path / "report.json", config=config, history=history)
        return signal.SIGTERM if config["decoupling"]["ridge"] == 5.0 else None

    monkeypatch.setattr(sweeping, "pretrain", pretrain)
    return asked


def config_in(folder):
    config = demo.get_config("bod,smoke")
    config.output = str(folder)
    return config


PATH = {**os.environ, "PYTHONPATH": str(ROOT)}
NONE = training.choose_distribution("none")


def test_a_table_at_the_end(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # a narrower table is parted
    assert sweep(config_in(tmp_path), ["decoupling.ridge=0.5,0.25"], NONE, "runs/first") is None
    assert trained == [(0.5, "runs/first"), (0.25, "runs/first")]
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["decoupling.ridge", "0.5", "0.25"] in rows
    assert ["training:", "loss", "0.500", "0.250"] in rows
    assert ["training:", "linear_digit_static", "0.250", "0.250"] in rows


def test_a_loss_that_is_not_finite_ends_its_run_only(trained, tmp_path, capsys):
    with pytest.raises(UserError, match="1 of 3 runs ended with .*: decoupling.ridge=9.0. The oth"):
        sweep(config_in(tmp_path), ["decoupling.ridge=0.5,9,0.25"], NONE)
    assert [ridge for ridge, _ in trained] == [0.5, 9.0, 0.25]
    out = capsys.readouterr().out
    assert "Not finite at step 3." in out and "2 runs." in out


def test_what_another_process_trains_is_left_to_it(trained, tmp_path, capsys):
    config = config_in(tmp_path)
    (first, _) = sweep_runs(config, ["decoupling.ridge=0.5,0.25"]).values()
    with lock(str(experiment.run_folder(first)), "Wait."):
        assert sweep(config, ["decoupling.ridge=0.5,0.25"], NONE) is None
    assert [ridge for ridge, _ in trained] == [0.25]
    out = capsys.readouterr().out
    assert "Other processes train 1 of 2: decoupling.ridge=0.5." in out


def test_a_signal_ends_the_sweep(trained, tmp_path):
    received = sweep(config_in(tmp_path), ["decoupling.ridge=0.5,5,0.25"], NONE)
    assert received == signal.SIGTERM and [ridge for ridge, _ in trained] == [0.5, 5.0]


def test_every_config_is_checked_before_the_first_run(trained, tmp_path):
    with pytest.raises(UserError, match="config.epochs must be at least 1"):
        sweep(config_in(tmp_path), ["epochs=2,0"], NONE)
    assert not trained


@pytest.fixture(scope="module")
def ramps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ramps")
    for index in range(4):
        save_video(folder / f"{index}.avi", make_ramp_clip(10, offset=40 * index))
    return folder


def flags_of(ramps, output):
    settings = {
        "data.source": ramps,
        "output": output,
        "name": "a b",
        "epochs": 1,
        "clips.size": 16,
        "clips.frames": 4,
        "clips.batch_size": 2,
        "clips.workers": 0,
        "optimizer.warmup_epochs": 0.0,
        "monitors.every": 0,
        "evaluate.every": 0,
        "decoupled": False,
    }
    config = f"--config={ROOT / 'configs' / 'videos.py'}:small"
    return [config, *(f"--config.{key}={value}" for key, value in settings.items())]


def test_resuming_takes_config_and_folder_of_the_run(tmp_path, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr("bod_keras.commands.pretrain.pretrain", lambda *given: asked.append(given))
    folder = tmp_path / "best: of 'all'"
    write_report(folder / "report.json", config=demo.get_config("bod,smoke").to_dict())
    change = "--config.optimizer.clipnorm=1"
    done = run_here(capsys, "train.py", "--resume", str(folder), change)
    assert done.returncode == 0, done.stderr
    ((config, _, init_from, where),) = asked
    assert (init_from, where) == ("", str(folder)) and config["optimizer"]["clipnorm"] == 1.0
    assert config["built_in"]["train"] == 128  # of smoke


@slow
def test_a_run_goes_on_from_its_folder_alone(ramps, tmp_path, capsys, eagerly):
    done = run_here(capsys, "train.py", *flags_of(ramps, tmp_path))
    assert done.returncode == 0, done.stderr
    moved = (tmp_path / "a b-seed0").rename(tmp_path / "best: of 'all'")
    done = run_here(capsys, "train.py", "--resume", str(moved))
    assert done.returncode == 0 and f"{moved} is finished" in done.stdout, done.stderr
    changes = ["--config.epochs=2", "--config.optimizer.clipnorm=1.0"]
    done = run_here(capsys, "train.py", f"--resume={moved}", *changes)
    assert done.returncode == 0 and "resumed at step 2" in done.stdout, done.stderr
    assert "  epochs: 2, 1 before" in done.stdout
    report = json.loads((moved / "report.json").read_text())
    assert report["training"]["steps"] == report["training"]["of"] == 4
    assert report["config"]["optimizer"]["clipnorm"] == 1.0
    (moved / "report.json").write_text("damaged")
    done = run_here(capsys, "train.py", f"--resume={moved}")
    assert done.returncode == 0 and f"{moved} is finished" in done.stdout, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [moved.name]
    done = run_here(capsys, "train.py", f"--resume={moved}", "--config.clips.frames=6")
    assert done.returncode == 1 and "clips.frames: 4 there, 6 now" in done.stderr


def test_the_config_of_a_run_is_what_it_was_begun_with(tmp_path):
    begun = demo.get_config("bod,vmoco,smoke")
    begun.clips.shard = (0, 1)
    begun.callbacks = ("a:B",)
    with begun.unlocked():
        begun.mine = {"deep": [1, 2]}
    write_report(tmp_path / "report.json", config=begun.to_dict())
    found = run_config.get_config(str(tmp_path))
    before = begun.to_dict()
    assert found.to_dict() == before
    found.optimizer.clipnorm = 1  # a placeholder knows its type
    assert isinstance(found.optimizer.clipnorm, float)


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--resume", "nowhere"], "nowhere is no run of bod-keras train: it holds neither"),
        (["--resume"], "--resume needs the folder of a run"),
        (["--resume=a", "--config=configs/demo.py"], "Leave --config out, or --resume"),
        (["--resume=a", "--config.name=b"], "Leave --config.name out, or --resume"),
        (["--resume=a", "--sweep=seed=1,2"], "Leave --sweep out, or --resume"),
    ],
)
def test_wrong_ways_to_resume(flags, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run_here(capsys, "train.py", *flags)
    assert done.returncode == 1 and message in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not list(tmp_path.iterdir())


@slow
def test_runs_of_a_sweep_are_what_they_are_alone(ramps, tmp_path):
    """And a second time they are passed over."""
    flags = [*flags_of(ramps, tmp_path), "--sweep=optimizer.weight_decay=0.1,0.2"]
    for _ in range(2):
        done = run("train.py", *flags)
        assert done.returncode == 0 and "2 runs." in done.stdout, done.stderr
    assert done.stdout.count("is finished") == 2
    config = videos.get_config("small")
    runs = sweep_runs(config, ["optimizer.weight_decay=0.1,0.2"]).values()
    hashed = [one["name"].rpartition("-")[2] for one in runs]
    for name, decay in zip(hashed, (0.1, 0.2)):
        changes = ["--config.name=alone", f"--config.optimizer.weight_decay={decay}"]
        done = run("train.py", *flags_of(ramps, tmp_path / name), *changes)
        assert done.returncode == 0, done.stderr
        one, other = (
            keras.models.load_model(folder / "model.keras")
            for folder in (tmp_path / f"a b-{name}-seed0", tmp_path / name / "alone-seed0")
        )
        for v, w in zip(one.weights, other.weights, strict=True):
            np.testing.assert_array_equal(v, w, err_msg=v.path)


@slow
def test_a_sweep_that_was_stopped_goes_on(ramps, tmp_path):
    flags = [*flags_of(ramps, tmp_path), "--sweep=seed=0,1", "--sweep=head.width=8,4"]
    stop = "--config.callbacks=('tests.commands.test_sweep:Stop',)"
    done = run("train.py", *flags, "--config.epochs=2", stop, env=PATH)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert len(list(tmp_path.glob("a b-*-seed*"))) == 1
    done = run("train.py", *flags, "--config.epochs=2", env=PATH)
    assert done.returncode == 0 and done.stdout.count("resumed at step") == 1, done.stderr
    assert "4 runs." in done.stdout


class Stop(keras.callbacks.Callback):
    """The first epoch ends with a SIGTERM to this process."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("code, requeued", [(0, ""), (1, ""), (143, "requeue 7_2\n")])
def test_the_slurm_script_asks_for_more_time_only_where_a_run_was_stopped(code, requeued, tmp_path):
    """With stand-ins for Slurm's commands: what they were called with."""
    for name, exits in {"srun": code, "scontrol": 0}.items():
        script = f'#!/bin/sh\nprintf "%s\\n" "$*" > {name}.txt\nexit {exits}\n'
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "scontrol.txt").touch()
    slurm = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"}
    done = subprocess.run(
        ["bash", ROOT / "examples" / "slurm_sweep.sh", "configs/demo.py:bod"],
        cwd=tmp_path,
        env={**os.environ, **slurm, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert done.returncode == code and (tmp_path / "scontrol.txt").read_text() == requeued
    command = (tmp_path / "srun.txt").read_text().split()
    assert command[:3] == ["bod-keras", "train", "--config=configs/demo.py:bod"]
    sweeps = [command[i + 1] for i, word in enumerate(command) if word == "--sweep"]
    assert len(sweep_runs(demo.get_config(), sweeps)) == 9
