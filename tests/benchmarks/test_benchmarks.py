"""Benchmarks are run seldom: what they import must be there, and the one of the input runs."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiers import slow
from tests.video_files import make_ramp_clip, save_video

ROOT = Path(__file__).parents[2]
FOLDERS = ("benchmarks", "tools", "examples", "configs")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_script_imports_of_the_package_is_there(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bod_keras"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


@slow
def test_the_benchmark_of_the_input_runs(tmp_path):
    for name in ("a.avi", "b.avi"):
        save_video(tmp_path / name, make_ramp_clip(40))
    done = subprocess.run(
        [sys.executable, "benchmarks/input.py", f"--videos={tmp_path}", "--rounds=1", "--opens=5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr
    assert "2 videos, 2 clips of each, 1 rounds" in done.stdout
    assert done.stdout.count("feeds a step of 128 clips") == 2
