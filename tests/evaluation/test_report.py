"""Reports and tables: content, merging, atomic writes, git state, layout."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.evaluation import environment, format_table, summarize, write_report
from bod_keras.evaluation import report as report_module
from tests.tiers import slow

ROOT = Path(__file__).parents[2]


def test_sections_merge_and_are_replaced_whole(tmp_path):
    path = write_report(tmp_path / "runs" / "report.json", config={"a": 1, "b": 2}, seed=3)
    assert write_report(str(path), config={"a": 5}, metrics={"accuracy": 0.5}) == path
    report = json.loads(path.read_text())
    assert report == {"config": {"a": 5}, "seed": 3, "metrics": {"accuracy": 0.5}}


def test_numpy_paths_and_non_finite_numbers(tmp_path):
    path = write_report(
        tmp_path / "r.json",
        values={"a": np.float32(0.5), "b": np.arange(3), "c": math.nan, "d": np.array([np.inf, 1])},
        files=(Path("x") / "y.png",),
        flag=np.bool_(True),
    )
    report = json.loads(path.read_text())
    assert report["values"] == {"a": 0.5, "b": [0, 1, 2], "c": None, "d": [None, 1.0]}
    assert report["files"] == [os.path.join("x", "y.png")] and report["flag"] is True


def test_an_unknown_kind_names_its_place_and_changes_nothing(tmp_path):
    path = write_report(tmp_path / "r.json", old=1)
    with pytest.raises(TypeError, match=r"metrics\.a\[1\] must be a number.*Received: a object"):
        write_report(path, metrics={"a": [1, object()]})
    assert json.loads(path.read_text()) == {"old": 1}


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_report(tmp_path, monkeypatch, failing):
    path = write_report(tmp_path / "r.json", old=1)

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report_module.os, failing, full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_report(path, new=2)
    monkeypatch.undo()
    assert json.loads(path.read_text()) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["r.json"]


@pytest.mark.parametrize(
    "text, message", [("{oops", "does not parse"), ("[1]", "Received: a list")]
)
def test_a_file_that_is_no_report_is_kept(tmp_path, text, message):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        write_report(path, new=2)
    assert path.read_text() == text


@slow
def test_processes_that_write_at_the_same_time_lose_nothing(tmp_path):
    path = write_report(tmp_path / "report.json", config={})
    script = (
        "import sys\nfrom bod_keras.evaluation import write_report\n"
        "for number in range(20):\n"
        "    write_report(sys.argv[1], **{f'{sys.argv[2]}{number}': list(range(3000))})\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    running = [subprocess.Popen([*command, name], cwd=ROOT) for name in "abc"]
    assert [process.wait(timeout=300) for process in running] == [0, 0, 0]
    assert len(json.loads(path.read_text())) == 1 + 3 * 20
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_environment_goes_into_a_report(tmp_path):
    found = environment()
    assert found["keras"] == keras.__version__ and found["backend"] == keras.backend.backend()
    assert found["backend_version"] and found["numpy"] == np.__version__ and found["opencv"]
    assert found["bod_keras"] == bod_keras.__version__ and found["scikit_learn"]
    assert found["processor"] and found["device"] and isinstance(found["gpus"], list)
    assert found["cpu_count"] >= 1 and found["time_utc"].endswith("Z")
    path = write_report(tmp_path / "r.json", environment=found)
    assert json.loads(path.read_text())["environment"] == found


def test_git_state_of_a_tracked_file(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True
        )

    file = tmp_path / "code.py"
    file.write_text("x = 1\n")
    assert report_module.git_state(file) is None  # outside any repository
    git("init", "-q")
    assert report_module.git_state(file) is None  # inside one, but not its file
    git("add", "code.py")
    git("commit", "-q", "-m", "first")
    state = report_module.git_state(file)
    assert len(state["revision"]) == 40 and state["dirty"] is False
    file.write_text("x = 2\n")
    assert report_module.git_state(file) == {**state, "dirty": True}


def test_git_state_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert report_module.git_state(Path(report_module.__file__)) is None


def test_format_table():
    rows = [
        {"run": "plain", "count": 3, "accuracy": 0.25, "hidden": 1},
        {"run": "decoupled", "count": 12, "accuracy": (0.9, 0.0213)},
        {"run": "x", "accuracy": (0.5, None), "count": math.nan},
    ]
    table = format_table(rows, {"run": "run", "count": "n", "accuracy": "motion"})
    assert table.split("\n") == [
        "run         n         motion",
        "---------  --  -------------",
        "plain       3          0.250",
        "decoupled  12  0.900 ± 0.021",
        "x           -          0.500",
    ]
    assert format_table([], ["run", "n"]) == "run  n\n---  -"


@pytest.mark.parametrize("columns", [[], ["run", "acuracy"]])
def test_format_table_wrong_columns(columns):
    with pytest.raises(ValueError, match=r"columns must name entries .* rows have \['accuracy'"):
        format_table([{"run": "a", "accuracy": 1.0}], columns)


def test_summarize():
    runs = [
        {"name": "b", "seed": 0, "x": 1.0, "probes": {"motion": {"chance": 0.5, "part": "static"}}},
        {"name": "a", "seed": 0, "y": np.float32(4.0), "done": True},
        {"name": "b", "seed": 1, "x": 4, "probes": {"motion": {"chance": 0.5, "part": "dynamic"}}},
    ]
    first, second = summarize(runs)
    assert first == {
        "name": "b",
        "runs": 2,
        "x": (2.5, pytest.approx(np.std([1, 4], ddof=1))),
        "probes.motion.chance": (0.5, 0.0),
    }
    assert second == {"name": "a", "runs": 1, "y": (4.0, None)}
    assert "2.500 ± 2.121" in format_table([first, second], ["name", "x"])


def test_summarize_errors():
    with pytest.raises(ValueError, match=r'must have a "name". Received: \[.x.\] in run 0'):
        summarize([{"x": 1.0}])
    with pytest.raises(ValueError, match="Received: 'x' in 1 of the 2 runs named 'a'"):
        summarize([{"name": "a", "x": 1.0}, {"name": "a"}])
