"""train.py and evaluate.py as they are typed; in this process it saves the seconds of their imports."""

import importlib
import subprocess
import sys
from pathlib import Path
from unittest import mock

from absl.testing import flagsaver

ROOT = Path(__file__).parent.parent


def run_here(capsys, script, *arguments):
    """What `run` returns, without a process: all but the start and the end of the interpreter."""
    module = importlib.import_module(f"bod_keras.commands.console.{script.removesuffix('.py')}")
    argv, code = [script, *arguments], 0
    capsys.readouterr()
    before = flagsaver.save_flag_values()
    try:
        with mock.patch.object(sys, "argv", argv):  # there ml_collections looks for changes
            module.main(arguments, script)
    except SystemExit as stopped:
        code = stopped.code
    finally:
        flagsaver.restore_flag_values(before)
    output, errors = capsys.readouterr()
    if isinstance(code, str):
        code, errors = 1, f"{errors}{code}\n"
    return subprocess.CompletedProcess(argv, code or 0, output, errors)


def run(script, *arguments, **options):
    """As a user does, in a process of its own."""
    command = [sys.executable, str(ROOT / script), *arguments]
    options = {"cwd": ROOT, "timeout": 300, **options}
    return subprocess.run(command, capture_output=True, text=True, **options)
