"""The campaign of faults: a short one finds nothing wrong, and what is wrong is counted as such."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.tiers import slow

ROOT = Path(__file__).parents[1]


def campaign(*flags, code="faults.main()"):
    return subprocess.run(
        [sys.executable, "-c", f"import sys; from benchmarks import faults; {code}", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "BOD_KERAS_READER": "1"},
    )


@slow
def test_a_short_campaign_finds_nothing_wrong():
    kinds = ("video", "shard", "list", "pickle", "name", "hostile")
    done = campaign(f"--only={','.join(kinds)}", "--times=0.03", "--workers=1")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert [row[0].strip("| ") for row in rows] == list(kinds)
    assert all(int(row[1]) > 0 and row[4].strip(" |") == "0" for row in rows)


@pytest.mark.parametrize(
    "fault, said",
    [
        ("return 'WRONG: other frames'", "other frames"),
        ("raise KeyError('raw')", "KeyError: 'raw'"),
        ("raise ValueError('two\\nlines')", "two"),
        ("raise faults.UserError('two\\nlines')", "two"),
        ("os.abort()", "died twice (SIGABRT)"),
    ],
)
def test_what_goes_wrong_is_counted_and_named(tmp_path, fault, said):
    (tmp_path / "bad_faults.py").write_text(
        "import os\nfrom benchmarks import faults\n\n"
        f"def bad(base, own, rng):\n    {fault}\n\n"
        "def run(trial):\n    faults.KINDS['video'] = (bad, 1, 60.0)\n    return trial()\n"
    )
    code = (
        f"sys.path.insert(0, {str(tmp_path)!r}); import bad_faults; faults.run = bad_faults.run; "
        "faults.KINDS['video'] = (None, 2, 60.0); faults.prepare = lambda *_: None; faults.main()"
    )
    done = campaign("--only=video", "--workers=1", code=code)
    assert done.returncode == 1 and "| video | 2 | 0 | 0 | 2 |" in done.stdout, done.stderr
    assert "--only=video --seed=1: " in done.stdout and said in done.stdout


@pytest.mark.parametrize("seed", range(5))
def test_damage_is_a_function_of_the_seed(seed):
    from benchmarks.faults import damaged

    data = bytes(range(256)) * 4
    found = [damaged(data, np.random.default_rng(seed)) for _ in range(2)]
    assert found[0] == found[1] != data
