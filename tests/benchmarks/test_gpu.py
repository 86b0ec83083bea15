"""benchmarks/gpu.py: its tiny form on a CPU, its tables by known numbers, and what a short time leaves out."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from benchmarks import gpu
from tests.tiers import slow

ROOT = Path(__file__).parents[2]


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=600,
    )


@slow
def test_the_tiny_form_reaches_every_row_and_measures_none_twice(tmp_path):
    output = tmp_path / "gpu.json"
    backend = keras.backend.backend()
    arguments = ("--device=cpu", "--tiny", f"--backends={backend}", f"--output={output}")
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert "Failed" not in done.stdout and "Not reached" not in done.stdout, done.stdout
    rows = json.loads(output.read_text())["rows"]
    steps = [f"VideoViT float32 {backend} {step}" for step in (*gpu.STEPS, "all")]
    assert {"card", "work", *steps} < rows.keys()
    assert all(rows[name]["ms"] > 0 and rows[name]["first_s"] > 0 for name in steps)
    # Two views a video and the motion view; the lower level on all weights encodes four times.
    assert [rows[name]["encoded"] for name in steps] == [8, 3 * 8, 3 * 12, 4 * 3 * 12]
    off = [value for name, value in rows[f"check {backend}"].items()]
    assert len(off) == 4 and max(off) < 1e-2
    assert rows[f"resume {backend}"]["steps before the kill"] == 6
    assert rows[f"resume {backend}"]["weights off by"] < 1e-5
    assert rows[f"loader {backend}"]["clips/s"] > 0
    again = run(*arguments)
    assert again.returncode == 0 and not again.stderr
    assert again.stdout == done.stdout == run(f"--table={output}").stdout
    kept = json.loads(output.read_text())
    del kept["rows"][steps[1]]  # as if the time had been too short for it
    output.write_text(json.dumps(kept))
    rest = run(*arguments)
    assert [line.partition(":")[0] for line in rest.stderr.splitlines()] == [steps[1]]


def content():
    row = {"clips": 32, "encoded": 96, "first_s": 7.0, "gib": 3.5, "again": 0}
    return {
        "settings": {"device": "gpu", "tiny": False, "batch": 16},
        "rows": {
            "card": {"name": "NVIDIA H200", "versions": "Keras", "matmul bfloat16": 790.0},
            "work": {"R3D18": 1e12},
            "R3D18 bfloat16 jax recommended": {**row, "ms": 600.0, "split_ms": 6.0, "encoded": 144},
            "R3D18 bfloat16 jax plain": {**row, "ms": 400.0},
            "R3D18 bfloat16 PyTorch compiled plain": {**row, "ms": 380.0},
            "check jax": {"plain: loss off by": 1.5e-7},
        },
        "failed": {"loader jax": "No module named 'av'"},
    }


def test_tables_of_known_numbers(tmp_path, capsys):
    gpu.print_tables(content())
    printed = capsys.readouterr().out
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()]
    rows = {tuple(line[2:4]): line[4:] for line in lines if line[:1] == ["R3D18"]}
    # 96 encodings of 10^12 in 0.4 s are 240 TFLOP/s of 989.
    plain = ["400", "80", "3.5", "7", "0", "", "240", "24.3%", "", "0.95"]
    assert rows["jax", "plain"] == plain
    assert rows["jax", "recommended"][5:] == ["1.0%", "240", "24.3%", "1.50", ""]
    assert rows["PyTorch compiled", "plain"][-1] == "1.00"
    assert "plain: loss off by 1.5e-07" in printed
    assert "Failed:\n  loader jax: No module named 'av'" in printed
    (tmp_path / "gpu.json").write_text(json.dumps(content()))
    assert run(f"--table={tmp_path / 'gpu.json'}").stdout == printed


@pytest.mark.parametrize(
    "name, expected",
    [("NVIDIA H100 PCIe", 756), ("NVIDIA L40S", 362), ("NVIDIA L4", 121), ("?", 5.0)],
)
def test_the_peak_of_a_card(name, expected):
    assert gpu.peak({"name": name, "matmul bfloat16": 5.0}, "bfloat16") == expected


def test_a_short_time_names_what_was_not_reached(tmp_path):
    done = run("--device=cpu", "--tiny", "--minutes=0.05", f"--output={tmp_path / 'gpu.json'}")
    assert done.returncode == 1 and "Nothing could be measured" in done.stderr
    assert "Not reached in 0.05 minutes" in done.stdout and "  check " in done.stdout


def test_rows_of_other_settings_are_not_mixed(tmp_path):
    (tmp_path / "gpu.json").write_text(json.dumps(content()))
    done = run("--device=cpu", "--tiny", f"--output={tmp_path / 'gpu.json'}")
    assert done.returncode == 1 and "holds rows of other settings" in done.stderr


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--networks=R3D", "--networks: expected some of R3D18,SlowOnlyR50,VideoViT; received R3D"),
        ("--precisions=half", "--precisions: expected some of bfloat16,float32; received half"),
        ("--batch=1", "--batch must be at least 2"),
    ],
)
def test_wrong_arguments(argument, message):
    done = run(argument)
    assert done.returncode == 2 and message in done.stderr


def test_the_rival_computes_the_same_network():
    torch = pytest.importorskip("torch", reason="the rival is PyTorch's")
    from tests.torch_networks import randomize, vit

    clips = torch.rand(2, 3, 4, 32, 32)
    networks = [
        randomize(kind(width=24, depth=2, heads=2)).eval()
        for kind in (vit.VideoMAE, vit.FusedVideoMAE)
    ]
    with torch.no_grad():
        expected, found = (network(clips) for network in networks)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
