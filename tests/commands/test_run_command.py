"""What the user can mend is one line; a fault of the program keeps its traceback."""

import os
import subprocess
import sys

import pytest

from bod_keras.commands.run_command import run_command
from bod_keras.data import VideoError
from bod_keras.errors import UserError
from bod_keras.storage.remote_error import RemoteError
from bod_keras.training import NotFiniteError
from tests.typed_commands import ROOT, run_here


def fail(error):
    raise error


@pytest.mark.parametrize(
    "error",
    [
        UserError("frames must be at least 2"),
        FileNotFoundError("There is no folder"),
        RemoteError("s3://bucket/a", "no answer"),
        VideoError("a.mp4", "empty"),
        NotFiniteError("Not finite at step 3"),
        ImportError("pip install onnx"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_can_be_mended_is_one_line(error):
    with pytest.raises(SystemExit) as stopped:
        run_command("train.py", lambda: fail(error))
    assert stopped.value.code == f"train.py: {error}"
    with pytest.raises(type(error)):
        run_command("train.py", lambda: fail(error), traceback=True)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("shapes do not match"),
        FloatingPointError("underflow"),
        KeyError("x"),
        ModuleNotFoundError("No module named 'x'", name="x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_fault_of_the_program_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        run_command("train.py", lambda: fail(error))


def test_a_result_is_returned():
    assert run_command("train.py", lambda: 15) == 15


HELP = """
import runpy, sys
sys.argv = ["train.py", "--help"]
runpy.run_path("train.py", run_name="__main__")
print("loaded", sorted({"keras", "tensorflow", "torch", "jax", "cv2", "matplotlib"} & set(sys.modules)))
"""


def test_help_lists_flags_and_keys_and_imports_no_keras():
    environment = {name: value for name, value in os.environ.items() if name != "BOD_KERAS_READER"}
    done = subprocess.run(
        [sys.executable, "-c", HELP],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[-1] == "loaded []", done.stderr
    assert any(line.startswith("  --init_from: ") for line in lines)
    assert "  --config.seed=0" in lines
    assert "  --config.optimizer.name=adamw  or sgd, lars" in lines
    assert "  --config.decoupling.ridge=0.1" in lines
    above = lines.index("  --config.optimizer.reference_batch=None")
    assert lines[above - 2].startswith("  The batch size that learning_rate was published for")


@pytest.mark.parametrize(
    ("flag", "meant"),
    [
        ("--confg.seed=1", "--config.seed"),
        ("--conifg.clips.frames=8", "--config.clips.frames"),
        ("--config_.epochs=1", "--config.epochs"),
        ("--init_form=runs/a", "--init_from"),
    ],
)
def test_a_wrong_flag_of_a_key_is_told_with_its_key(flag, meant, capsys):
    done = run_here(capsys, "train.py", "--config=configs/demo.py", flag)
    assert done.returncode == 1 and f"Did you mean {meant}?" in done.stderr


def test_every_key_is_listed_once():
    from bod_keras.commands.command_help import describe_keys
    from bod_keras.configs import base
    from bod_keras.flatten import flatten

    values = base.shared().to_dict()
    text = describe_keys(values, "")
    keys = [line.split("=")[0].removeprefix("  --config.") for line in text.splitlines()]
    assert sorted(keys) == sorted(flatten(values))


@pytest.mark.parametrize("module", ["compare", "weights", "data", "data verify", "data serve"])
def test_help_of_every_module_is_quick(module):
    """Without Keras, whose import takes seconds."""
    name, *subcommand = module.split()
    environment = {name: value for name, value in os.environ.items() if name != "BOD_KERAS_READER"}
    command = [sys.executable, "-X", "importtime", "-m", f"bod_keras.{name}", *subcommand, "--help"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and f"bod_keras.{name}" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {"keras", "tensorflow", "torch", "jax", "matplotlib"} & imported
