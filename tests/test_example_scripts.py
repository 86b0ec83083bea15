"""Every script of examples/ runs on this backend, and what it prints shows that it learned something."""

import re
import runpy
import tempfile
from pathlib import Path

import pytest

from tests.tiers import slow

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
NUMBER = r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"


def numbers(pattern, text):
    """The numbers at every `#` of the pattern, a tuple of floats a match."""
    found = re.findall(re.escape(pattern).replace(r"\#", NUMBER), text)
    return [tuple(map(float, f if isinstance(f, tuple) else (f,))) for f in found]


@slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_example_runs_and_learns(name, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    runpy.run_module(f"examples.{name}", run_name="__main__")
    output = capsys.readouterr().out
    accuracies = numbers("accuracy # on new clips, chance #", output)
    losses = numbers("\nloss on new videos: # before, # after", output)
    assert accuracies or losses, "an example prints an accuracy and its chance, or a loss that fell"
    assert all(accuracy > 2 * chance for accuracy, chance in accuracies), output
    assert all(after < before for before, after in losses), output
    for (apart,) in numbers("differ by at most #", output):  # saved and loaded
        assert apart < 1e-5
