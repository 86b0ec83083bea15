"""Every script of examples/ runs on this backend, and what it prints shows that it learned something."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
NUMBER = r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"


def numbers(pattern, text):
    """The numbers at every `#` of the pattern, a tuple of floats a match."""
    found = re.findall(re.escape(pattern).replace(r"\#", NUMBER), text)
    return [tuple(map(float, f if isinstance(f, tuple) else (f,))) for f in found]


@pytest.mark.parametrize("name", SCRIPTS)
def test_example_runs_and_learns(name):
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    accuracies = numbers("accuracy # on new clips, chance #", done.stdout)
    losses = numbers("\nloss on new videos: # before, # after", done.stdout)
    assert accuracies or losses, "an example prints an accuracy and its chance, or a loss that fell"
    assert all(accuracy > 2 * chance for accuracy, chance in accuracies), done.stdout
    assert all(after < before for before, after in losses), done.stdout
    for (apart,) in numbers("differ by at most #", done.stdout):  # saved and loaded
        assert apart < 1e-5
