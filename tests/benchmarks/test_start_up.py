"""benchmarks/start_up.py: the stages of a small run up to its first step."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiers import slow

ROOT = Path(__file__).parents[2]


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "start_up.py"), "--runs=1", *arguments],
        capture_output=True,
        text=True,
        timeout=600,
    )


@slow
def test_stages_add_up():
    done = run("--config=configs/demo.py:plain,smoke")
    assert done.returncode == 0, done.stderr
    lines = dict(re.findall(r"(packages|set-up|first step|together) +([\d.]+) s", done.stdout))
    *stages, together = map(float, lines.values())
    assert len(stages) == 3 and min(stages) > 0
    assert together == pytest.approx(sum(stages), abs=0.2)


@slow
def test_a_run_that_takes_no_step_is_told():
    done = run("--config=configs/nowhere.py")
    assert done.returncode == 1 and "train.py took no step" in done.stderr
