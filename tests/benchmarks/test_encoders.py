"""benchmarks/encoders.py: its smoke form, in this process, twice, and what becomes of a process that fails."""

import csv
import re
import sys

import numpy as np
import pytest

pytest.importorskip("torch", reason="the benchmark's other side is PyTorch")

from tqdm import tqdm

from benchmarks import encoders as benchmark


def test_the_smoke_form_fills_every_cell_and_measures_only_once(tmp_path, monkeypatch, capsys):
    arguments = ["encoders.py", "--smoke", "--encoders=R3D18", "--remat", f"--output={tmp_path}"]
    monkeypatch.setattr(sys, "argv", arguments)
    stop_at, done = 5, []

    def run_child(case, threads, progress):
        if len(done) == stop_at:
            raise KeyboardInterrupt
        done.append(case)
        return benchmark.measure(benchmark.parse_arguments(), **case)

    monkeypatch.setattr(benchmark, "run_child", run_child)
    with pytest.raises(KeyboardInterrupt):
        benchmark.main()
    stop_at = 100
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            benchmark.main()
        assert not ended.value.code
    # Speed, and the memory of each side in each call; PyTorch's is the same for both rows.
    assert len(done) == 1 + 4 + 1 + 2
    backend = benchmark.backend()
    with open(tmp_path / f"encoders-{backend}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["encoder"] for row in rows] == ["R3D18", "R3D18 remat"]
    for row in rows:
        assert row["parameters"] == "131,772"
        assert float(row["error"]) < 1e-3
        for call in benchmark.CALLS:
            assert float(row[f"{call}: ratio"]) > 0
            # In this process, which has more to give back than so small a network takes.
            assert all(np.isfinite(float(peak)) for peak in row[f"{call}: MiB"].split(" / "))
    table = (tmp_path / f"encoders-{backend}.md").read_text()
    assert table in capsys.readouterr().out
    assert len({line.count("|") for line in table.splitlines()}) == 1


def test_a_process_that_fails_is_told_and_leaves_a_row(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["encoders.py"])
    case = {"encoder": "NoSuchNetwork", "size": "4x32x32", "remat": False, "what": "speed"}
    assert benchmark.run_child(case, 1, tqdm(disable=True)) is None
    assert "KeyError: 'NoSuchNetwork'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--encoders=R3D", "expected some of R3D18, .*received R3D"),
        ("--sizes=16x112", "expected TxHxW such as 16x112x112, received '16x112'"),
        ("--calls=backward", "expected some of forward, forward.backward, received .*backward"),
        ("--batch=0", "must be at least 1"),
    ],
)
def test_wrong_arguments(argument, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["encoders.py", argument])
    with pytest.raises(SystemExit):
        benchmark.parse_arguments()
    assert re.search(message, capsys.readouterr().err)
