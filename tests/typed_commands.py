"""train.py and evaluate.py as they are typed; in this process it saves the seconds of their imports."""

import importlib
import subprocess
import sys
from pathlib import Path
from unittest import mock

from absl import flags
from absl.testing import flagsaver

ROOT = Path(__file__).parent.parent


def run_here(capsys, script, *arguments):
    """What `run` returns, without a process: all but the start and the end of the interpreter."""
    module = _load(script.removesuffix(".py"))
    argv, code = [script, *arguments], 0
    capsys.readouterr()
    before = flagsaver.save_flag_values()
    try:
        with mock.patch.object(sys, "argv", argv):  # there ml_collections looks for changes
            module.main(getattr(module, "parse_flags", flags.FLAGS)(argv))
    except SystemExit as stopped:
        code = stopped.code
    finally:
        flagsaver.restore_flag_values(before)
    output, errors = capsys.readouterr()
    if isinstance(code, str):
        code, errors = 1, f"{errors}{code}\n"
    return subprocess.CompletedProcess(argv, code or 0, output, errors)


_TRACEBACK = {}


def _load(name):
    """A script, with its own flag ``--traceback``, which every script defines."""
    if "traceback" in flags.FLAGS:
        owner = flags.FLAGS.find_module_defining_flag("traceback")
        if owner == name:
            return sys.modules[name]
        _TRACEBACK[owner] = flags.FLAGS["traceback"]
        delattr(flags.FLAGS, "traceback")
    module = importlib.import_module(name)
    if "traceback" not in flags.FLAGS:
        flags.FLAGS["traceback"] = _TRACEBACK[name]
        flags.FLAGS.register_flag_by_module(name, _TRACEBACK[name])
    return module


def run(script, *arguments, **options):
    """As a user does, in a process of its own."""
    command = [sys.executable, str(ROOT / script), *arguments]
    options = {"cwd": ROOT, "timeout": 300, **options}
    return subprocess.run(command, capture_output=True, text=True, **options)
