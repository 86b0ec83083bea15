"""Trackers of experiments, the real packages without network or account: what they hold of a run at the end."""

import contextlib
import importlib.util
import json
import os
import sqlite3
import subprocess
import sys

import keras
import numpy as np
import pytest

from bod_keras.commands.console import train
from bod_keras.commands.tracking import make_tracker
from bod_keras.configs import demo
from bod_keras.errors import UserError
from bod_keras.trackers import Tracker
from tests.tiers import slow
from tests.typed_commands import ROOT, run_here
from tests.video_files import make_ramp_clip, save_video

PACKAGES = {"wandb": "wandb", "mlflow": "sqlalchemy", "trackio": "trackio"}


def fitted(tracker, epochs=2):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=keras.backend.backend() == "tensorflow")
    model.fit(
        np.ones((4, 2)),
        np.zeros((4, 1)),
        epochs=epochs,
        callbacks=[tracker],
        verbose=0,
        batch_size=2,
    )


class Told(Tracker):
    """Keeps what it is told; `fails` names what raises an error."""

    fails = ""

    def __init__(self, *given):
        super().__init__(*given)
        self.told = []

    def _keep(self, what, *values):
        self.told.append((what, *values))
        if what == self.fails:
            raise OSError("the tracker does not answer")

    def open(self):
        self._keep("open")

    def log(self, numbers, step):
        self._keep("log", numbers)

    def add(self, files):
        self._keep("add", files)

    def close(self):
        self._keep("close")


def test_a_tracker_gets_finite_numbers_between_its_beginning_and_its_end():
    tracker = Told("a", "1", {})
    fitted(tracker)
    tracker.tell({"a": float("nan"), "b": np.float32(1)}, 4, ["x.png"])
    tracker.end()
    tracker.end()
    kinds = [what for what, *_ in tracker.told]
    assert kinds == ["open", "log", "log", "log", "add", "close"]
    assert [told[1].keys() for told in tracker.told[1:3]] == [{"epoch", "loss"}] * 2
    assert tracker.told[2][1]["epoch"] == 2 and tracker.told[3][1] == {"b": 1.0}


def test_a_tracker_that_fails_does_not_stop_the_run(capsys):
    tracker = Told("a", "1", {})
    tracker.fails = "log"
    fitted(tracker)
    tracker.end()
    assert [what for what, *_ in tracker.told] == ["open", "log"]
    assert "The tracker is left out from here on: OSError: the tracker" in capsys.readouterr().out


def test_a_tracker_that_cannot_begin_is_one_line():
    tracker = Told("a", "1", {})
    tracker.fails = "open"
    with pytest.raises(UserError, match="The tracker cannot begin: OSError: .* or leave it out"):
        fitted(tracker)


def test_one_of_several_processes_tells_and_all_read_the_same_variables():
    config = {"tracker": f"{__name__}:Told"}
    told, kept = make_tracker(config, "runs/a", {})
    silent, nothing = make_tracker(config, "runs/a", kept, tells=False)
    assert type(silent) is Tracker and nothing == {}
    again, _ = make_tracker(config, "moved/b", kept)
    assert told.identity == again.identity == kept["id"] and again.name == "b"
    fitted(silent)  # it reads the steps that were taken
    config["tracker"] = f"{__name__}:Counter"
    assert type(make_tracker(config, "runs/a", {})[0]) is Counter
    assert make_tracker(config, "runs/a", {}, tells=False)[0] is None


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_names_the_extra(name, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    config = demo.get_config("bod,smoke")
    config.update({"tracker": name, "output": str(tmp_path)})
    with pytest.raises(UserError, match=rf"not installed here: pip install 'bod-keras\[{name}\]'"):
        train.train(config.to_dict())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name, message",
    [
        ("wanb", "config.tracker must be one of .* Did you mean wandb?"),
        (
            "os:getcwd",
            "module:Class of a subclass of keras.callbacks.Callback. Received: os:getcwd",
        ),
        ("nowhere:Class", "'nowhere:Class' cannot be imported"),
        ("keras.callbacks:ModelCheckpoint", "is made without arguments, but: missing a .*filepath"),
    ],
)
def test_a_wrong_tracker_is_told_before_anything_is_written(name, message, tmp_path):
    config = demo.get_config("bod,smoke")
    config.update({"tracker": name, "output": str(tmp_path)})
    with pytest.raises(UserError, match=message):
        train.train(config.to_dict())
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def ramps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ramps")
    for label in range(2):
        for index in range(2):
            path = folder / str(label) / f"{index}.avi"
            path.parent.mkdir(exist_ok=True)
            save_video(path, make_ramp_clip(10, offset=100 * label + index))
    return folder


PROCESS = """
import json, sys
from pathlib import Path
import keras, numpy as np
from bod_keras.trackers import TRACKERS

name, epochs = sys.argv[1], int(sys.argv[2])
config = {"epochs": epochs, "data": {"source": "a 'b'\\n<script>"}}
tracker = TRACKERS[name]('a "b"-seed0', "1f2e", config)
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
x, y = np.ones((4, 2)), np.zeros((4, 1))
first = epochs - 1
history = model.fit(x, y, epochs=epochs, initial_epoch=first, callbacks=[tracker], verbose=0)
tracker.tell({"knn/label.pooled": 0.5}, epochs, sorted(Path().glob("files/*")))
tracker.end()
if name == "wandb":
    import wandb

    wandb.teardown()
print(json.dumps(history.history["loss"][0]))
"""


def run_process(name, folder, epochs):
    """In a process of its own, which the package's threads and processes end with."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "MLFLOW_"))}
    places = {"PYTHONPATH": str(ROOT), "TRACKIO_DIR": str(folder / "trackio")}
    # Whoever asks for another host than this one gets none.
    proxy = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, name, str(epochs)],
        cwd=folder,
        env={**kept, **places, **proxy},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "tracker is left out" not in done.stdout, done.stdout
    return float(done.stdout.splitlines()[-1])


def records(file):
    """The records of wandb's file: blocks of 32 kB, each record with a head of 7 bytes, in several parts."""
    data, at, record = file.read_bytes(), 7, b""  # behind the file's own head
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield record
            record = b""


def of_wandb(folder):
    """From the binary log of each offline run: losses, the config, names of the run and of what was logged."""
    from wandb.proto import wandb_internal_pb2 as pb

    losses, configs, names, keys = [], [], set(), set()
    for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        for record in map(pb.Record.FromString, records(file)):
            if record.HasField("run"):
                names.add((record.run.run_id, record.run.display_name))
                values = {u.key: json.loads(u.value_json) for u in record.run.config.update}
                configs += [values] if values else []
            row = {i.key or ".".join(i.nested_key): i.value_json for i in record.history.item}
            losses += [json.loads(row["loss"])] if "loss" in row else []
            keys |= row.keys() | {key.partition(".")[0] for key in row}
    assert names == {("1f2e", 'a "b"-seed0')}
    return losses, configs[-1]["epochs"], configs[-1]["data"]["source"], keys


def of_mlflow(folder):
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database:

        def rows(query):
            return database.execute(query).fetchall()

        ((number, name, status),) = rows("select run_uuid, name, status from runs")
        losses = [x for (x,) in rows("select value from metrics where key = 'loss' order by step")]
        keys = {key for (key,) in rows("select key from metrics")}
        ((source,),) = rows("select value from params where key = 'data.source'")
    assert (name, status) == ('a "b"-seed0', "FINISHED")
    (place,) = folder.glob(f"mlruns/**/{number}/artifacts")
    config = json.loads((place / "config.json").read_text())
    return losses, config["epochs"], source, keys | {path.stem for path in place.iterdir()}


def of_trackio(folder):
    (file,) = (folder / "trackio").glob("*.db")
    with contextlib.closing(sqlite3.connect(file)) as database:
        rows = database.execute("select run_name, metrics from metrics order by step").fetchall()
        configs = database.execute("select config from configs").fetchall()
    assert {name for name, _ in rows} == {'a "b"-seed0-1f2e'}
    logged = [json.loads(metrics) for _, metrics in rows]
    config = json.loads(configs[-1][0])
    keys = {name for row in logged for name in row}
    blobs = [path for path in (folder / "trackio/artifacts").rglob("*") if path.is_file()]
    if any(path.read_text() == "<p>a page</p>" for path in blobs):
        keys.add("diagnose")
    losses = [row["loss"] for row in logged if "loss" in row]
    return losses, int(config["epochs"]), config["data.source"], keys


READ = {"wandb": of_wandb, "mlflow": of_mlflow, "trackio": of_trackio}


@slow
@pytest.mark.parametrize("name", PACKAGES)
def test_the_real_package_holds_a_run_that_went_on(name, tmp_path):
    if importlib.util.find_spec(PACKAGES[name]) is None:
        pytest.skip(f"{name} is not installed here: make test-extras has it")
    (tmp_path / "files").mkdir()
    save_image(tmp_path / "files" / "losses.png")
    (tmp_path / "files" / "diagnose.html").write_text("<p>a page</p>")
    trained = [run_process(name, tmp_path, epochs) for epochs in (1, 2)]
    losses, epochs, source, keys = READ[name](tmp_path)
    np.testing.assert_allclose(losses, trained, rtol=1e-6)
    assert {"losses", "diagnose", "knn/label.pooled"} <= keys, keys
    assert source == "a 'b'\n<script>" and epochs in (1, 2)


def save_image(path):
    import cv2

    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))


class Lines(Told):
    """A tracker that anyone can write: each line of ``told.txt`` is what it was told."""

    def _keep(self, what, *values):
        values = [v if isinstance(v, dict) else [p.name for p in v] for v in values]
        with open("told.txt", "a") as file:
            file.write(json.dumps([self.identity, self.name, what, *values]) + "\n")


class Counter(keras.callbacks.Callback):
    ended = 0

    def on_train_end(self, logs=None):
        type(self).ended += 1


@slow
def test_a_run_tells_its_tracker_of_epochs_pictures_and_evaluations(
    ramps, tmp_path, capsys, eagerly, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    flags = {
        "data.source": ramps,
        "name": 'a "b"',
        "clips.size": 16,
        "clips.frames": 4,
        "clips.batch_size": 2,
        "clips.workers": 0,
        "optimizer.warmup_epochs": 0.0,
        "evaluate.every": 0,
        "decoupled": False,
        "epochs": 1,
        "tracker": f"{__name__}:Lines",
    }
    config = f"--config={ROOT / 'configs' / 'videos.py'}:small"
    done = run_here(capsys, "train.py", config, *(f"--config.{k}={v}" for k, v in flags.items()))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / 'a "b"-seed0'
    page = folder / "evaluation" / "diagnose" / "diagnose.html"
    page.parent.mkdir(parents=True)
    page.write_text("<p>a page</p>")
    done = run_here(capsys, "train.py", f"--resume={folder}", "--config.epochs=2")
    assert done.returncode == 0, done.stderr
    parts = [f"--probe_{part}={ramps}" for part in ("train", "test")]
    parts += ["--protocol=knn", "--allow_overlap"]
    done = run_here(capsys, "evaluate.py", f"--model={folder}", *parts)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in (tmp_path / "told.txt").read_text().splitlines()]
    assert {(len(identity), name) for identity, name, *_ in told} == {(8, 'a "b"-seed0')}
    assert len({identity for identity, *_ in told}) == 1
    epoch, picture, evaluation = ["open", "log"], ["log", "add", "close"], ["open", "log", "add"]
    kinds = [what for _, _, what, *_ in told]
    assert kinds == 2 * (epoch + picture) + [*evaluation, "close"]
    logged = [values[0] for _, _, what, *values in told if what == "log"]
    assert [numbers.get("epoch") for numbers in logged] == [1, None, 2, None, None]
    assert logged[4]["knn/factors.label.pooled.knn"] == 1.0
    added = [values[0] for _, _, what, *values in told if what == "add"]
    assert added[0] == ["losses.png", "monitors.png", "spectrum.png"]
    assert added[1] == [*added[0], "diagnose.html"] and added[2] == ["diagnose.html"]
    change = [f"--config.tracker={__name__}:Counter", "--config.epochs=3"]
    done = run_here(capsys, "train.py", f"--resume={folder}", *change)  # any callback of Keras
    assert done.returncode == 0 and Counter.ended == 1, done.stderr
