"""python -m bod_keras.compare: what differs, what was measured, and what a wrong input gets."""

import csv
import re

import pytest

from bod_keras import compare
from bod_keras.evaluation import compare_runs, read_reports, write_report

CONFIG = {"name": "a", "seed": 0, "decoupled": True, "clips": {"frames": 8, "weights": []}}


def evaluation(accuracy, files="f" * 64, views=1, model="0" * 64, version=1):
    return {
        "protocol": "linear",
        "version": version,
        "fold": None,
        "seed": 0,
        "views": views,
        "skipped": {},
        "label": {"pooled": accuracy, "best": "pooled"},
        "provenance": {
            "protocol": {"name": "linear", "version": version},
            "data": {"test": {"files_sha256": files}},
            "model": {"sha256": model},
            "seed": 0,
            "seconds": 100 * accuracy,
            "environment": {"keras": "3.15.1", "time_utc": str(accuracy)},
        },
    }


def run(folder, name, evaluations=None, **changes):
    sections = {f"evaluation_{k}": v for k, v in (evaluations or {}).items()}
    config = {**CONFIG, "name": name, **changes}
    environment = {"keras": "3.15.1", "time_utc": name}
    write_report(folder / name / "report.json", config=config, environment=environment, **sections)
    return str(folder / name)


def printed(capsys, *arguments):
    compare.main(arguments)
    return capsys.readouterr().out


def test_two_runs_beside_each_other(tmp_path, capsys):
    runs = [
        run(tmp_path, "plain", {"linear": evaluation(0.25)}, decoupled=False),
        run(tmp_path, "bod", {"linear": evaluation(0.75)}),
    ]
    (tmp_path / "other").mkdir()
    (tmp_path / "notes.txt").write_text("of runs/*")
    others = [str(tmp_path / "other"), str(tmp_path / "notes.txt")]
    output = printed(capsys, *runs, runs[0] + "/", *others)
    lines = [re.split(r"\s{2,}", line) for line in output.splitlines()]
    assert lines[0] == [f"Left out, because they have no report.json: {', '.join(others)}"]
    assert ["2 runs."] in lines and ["", "plain", "bod"] in lines
    assert [line for line in lines if line[0] == "decoupled"] == [["decoupled", "false", "true"]]
    assert lines[-1] == ["linear: label.pooled", "0.250", "0.750"]
    for same in (
        "linear: version",
        "linear: seed",
        "clips",
        "seconds",
        "time_utc",
        "name",
        "not comparable",
    ):
        assert same not in output


@pytest.mark.parametrize(
    "change, named",
    [
        ({"files": "e" * 64}, "data.test.files_sha256"),
        ({"views": 10}, "views"),
        ({"version": 2}, "protocol.version"),
    ],
)
def test_numbers_that_are_not_comparable_are_named(tmp_path, capsys, change, named):
    other = evaluation(0.75, **change)
    runs = [
        run(tmp_path, "a", {"linear": evaluation(0.25), "knn": evaluation(0.25)}),
        run(tmp_path, "b", {"linear": other, "knn": other}),
        run(tmp_path, "c"),
    ]
    output = printed(capsys, *runs)
    for protocol in ("linear", "knn"):
        said = f"The numbers of {protocol} are not comparable between all runs: they differ in {named}."
        assert said in output
    rows = [line.split()[:2] for line in output.splitlines() if named in line]
    assert ["linear:", named] in rows and ["knn:", named] not in rows  # the table says it once


def test_another_model_is_a_difference_and_no_warning():
    reports = {name: {"evaluation_linear": evaluation(0.5, model=name * 64)} for name in ("a", "b")}
    settings, results, warnings = compare_runs(reports)
    assert [row["linear: model.sha256"] for row in settings] == ["a" * 64, "b" * 64]
    assert results[1] == {"run": "b", "linear: label.pooled": 0.5} and warnings == []


def test_a_csv_file_has_a_row_a_run_and_everything_in_full(tmp_path, capsys):
    runs = [
        run(tmp_path, "a", {"linear": evaluation(0.25, model="a" * 64)}),
        run(tmp_path, "b", {"linear": evaluation(0.75, model="b" * 64), "knn": evaluation(1.0)}),
    ]
    assert "Written" in printed(capsys, *runs, f"--csv={tmp_path / 'new' / 'runs.csv'}")
    with open(tmp_path / "new" / "runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == ["a", "b"]
    assert rows[1]["linear: model.sha256"] == "b" * 64
    assert [row["knn: label.pooled"] for row in rows] == ["", "1.0"]


def test_a_small_number_among_the_settings_keeps_its_digits(tmp_path, capsys):
    runs = [run(tmp_path, name, learning_rate=rate) for name, rate in (("a", 1e-4), ("b", 3e-4))]
    lines = [line.split() for line in printed(capsys, *runs).splitlines()]
    assert ["learning_rate", "0.0001", "0.0003"] in lines


def test_only_some_results(tmp_path, capsys):
    folder = run(tmp_path, "a", {"linear": evaluation(0.25), "knn": evaluation(0.5)})
    output = printed(capsys, folder, "--only=knn*")
    assert "knn: label.pooled" in output and "linear" not in output
    with pytest.raises(SystemExit, match=r"--only=x matches no result. There are: linear: label"):
        compare.main([folder, "--only=x"])


def test_many_runs_are_wrapped_to_the_width_of_the_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    names = [f"a-run-with-a-long-name-{i}" for i in range(5)]
    output = printed(capsys, *(run(tmp_path, name, seed=i) for i, name in enumerate(names)))
    assert max(map(len, output.splitlines())) <= 60
    assert all(name in output for name in names) and output.count("seed") == 3
    assert "No evaluation yet" in output


def test_runs_of_one_name_are_called_by_their_paths(tmp_path, capsys):
    runs = [run(tmp_path / "x", "a"), run(tmp_path / "y", "a")]
    output = printed(capsys, *runs)
    assert "They do not differ in any setting." in output
    assert read_reports(runs)[0].keys() == set(runs)


@pytest.mark.parametrize(
    "content, expected",
    [
        ("{oops", "report.json must hold JSON. .* Restore it from a copy"),
        ("[1]", "must hold a JSON object. Received: a list"),
        (None, "none of .* is a run: a run's folder holds report.json"),
    ],
)
def test_what_is_no_run(tmp_path, content, expected):
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    with pytest.raises(SystemExit, match=f"python -m bod_keras.compare: .*{expected}"):
        compare.main([str(tmp_path)])
