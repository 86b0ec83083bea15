"""Pre-train a video encoder: config -> objects -> fit -> runs/<name>-seed<seed>/.

bod-keras train --config=configs/demo.py:bod
bod-keras train --config=configs/videos.py --config.data.source=/path/to/videos --config.clips.batch_size=32
bod-keras train --resume runs/demo-bod-seed0 --config.epochs=50
bod-keras train --config=configs/demo.py:bod --sweep decoupling.ridge=0.03,0.1,0.3 --sweep seed=0,1
torchrun --nproc-per-node=8 train.py ...  (PyTorch; several GPUs and machines: docs/distribution.md)

The run's folder gets encoder.keras, model.keras, history.csv, TensorBoard logs, report.json and plots. A run
that was stopped (Ctrl-C, SIGTERM, a crash) resumes when the same command is given again, or --resume RUN, which
finds the config in the run's folder. What no result depends on, such as paths, workers or a longer
--config.epochs, may differ then, and a finished run with a larger --config.epochs is trained on.
--init_from=RUN begins a new run with the weights of another one. --sweep trains a run for each combination of
values, and compares them (docs/howto_resume.md). Videos and runs may lie on remote storage (docs/remote.md).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import app, flags
from ml_collections import config_flags

from bod_keras.commands import run_config
from bod_keras.commands.console.traceback_flag import TRACEBACK

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "A file of configs/, with its argument after a colon."
)
_RESUME = flags.DEFINE_string(
    "resume", "", "Folder of a run, wherever it is now: it goes on, with the config that it holds."
)
_SWEEP = flags.DEFINE_multi_string(
    "sweep", [], "KEY=VALUE,VALUE: a run for each value of a key; repeatable, for all combinations."
)
_INIT = flags.DEFINE_string(
    "init_from", "", "Folder of a run: a new run begins with its weights, as far as they fit."
)
_DISTRIBUTION = flags.DEFINE_string(
    "distribution",
    "auto",
    "Over which devices and processes: none, mirrored, multiworker, jax, torch (docs/distribution.md), or "
    "auto: as the environment says, otherwise all GPUs of this machine.",
)
_DEVICES = flags.DEFINE_integer(
    "devices", None, "Virtual CPU devices of this process, to try a distribution.", lower_bound=1
)
_TIMEOUT = flags.DEFINE_integer(
    "timeout", 120, "Seconds after which a process that does not answer is lost.", lower_bound=1
)
flags.declare_key_flag("traceback")
_HELP = {"--help", "-h", "--helpshort", "--helpfull"}


def main(argv: Sequence[str], name: str = "bod-keras train") -> None:
    """Run the command.

    Args:
        argv: its flags.
        name: what messages call it.
    """
    if _HELP & set(argv):
        print(_help())
        return
    sys.argv = [name, *argv]  # there ml_collections looks for changes of the config
    app.run(_main, flags_parser=parse_flags)


def _main(argv):
    from bod_keras.commands.run_command import run_command

    received = run_command(argv[0], _train_from_flags, TRACEBACK.value)
    if received is not None:
        sys.exit(128 + received)


def _train_from_flags():
    from bod_keras import training

    # Before anything else is made on a device.
    distribution = training.choose_distribution(_DISTRIBUTION.value, _DEVICES.value, _TIMEOUT.value)
    with _chief_tells(distribution):
        if _SWEEP.value:
            from bod_keras.commands.sweep import sweep

            received = sweep(_CONFIG.value, _SWEEP.value, distribution, _INIT.value)
        else:
            config = _CONFIG.value.to_dict()
            received = train(config, distribution, _INIT.value, _RESUME.value)
    distribution.close()
    return received


@contextlib.contextmanager
def _chief_tells(distribution):
    """What is printed, once; every process prints errors."""
    if distribution.is_chief:
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def train(
    config: Mapping[str, Any],
    distribution: Any | None = None,
    init_from: str = "",
    run: str = "",
) -> int | None:
    """Run, or continue, one experiment. Returns the signal that stopped it early, or None."""
    from bod_keras.commands.pretrain import pretrain

    return pretrain(config, distribution, init_from, run)


def parse_flags(argv: list[str]) -> list[str]:
    """absl's parser, with one line about a wrong flag, config file or key instead of a traceback."""
    from bod_keras.commands import parse_flags as parsing
    from bod_keras.commands.retired_keys import translate_retired

    name = argv[0]
    kept, told = translate_retired(argv)
    kept = _with_config_of_run(name, kept)
    argv[:] = parsing.with_config_file(name, kept)  # in place: ml_collections looks there
    for line in told:
        print(f"{name}: {line}", file=sys.stderr)
    rest = parsing.parse_flags(name, argv, __name__)
    if _CONFIG.value is None:
        sys.exit(f"{name}: --config is missing, such as --config=configs/demo.py:bod. See --help.")
    return rest


def _with_config_of_run(name: str, argv: list[str]) -> list[str]:
    """The arguments with ``--resume RUN`` and, before it, the config that this run was begun with."""
    for at, argument in enumerate(argv):
        flag, equals, run = argument.partition("=")
        if flag.lstrip("-") != "resume" or not argument.startswith("-"):
            continue
        run = run if equals else "".join(argv[at + 1 : at + 2])
        if not run or run.startswith("-"):
            sys.exit(f"{name}: --resume needs the folder of a run, such as runs/demo-bod-seed0.")
        for other in argv:
            given = other.lstrip("-").partition("=")[0]
            if given in ("config", "sweep", "config.name", "config.output"):
                sys.exit(
                    f"{name}: --resume {run} says which run it is. Leave --{given} out, or --resume."
                )
        file = Path(run_config.__file__)
        return [*argv[:at], f"--config={file}:{run}", *argv[at:]]
    return argv


def _help() -> str:
    """The flags and the config's keys."""
    from bod_keras.commands.command_help import command_help, describe_keys
    from bod_keras.configs import base

    with open(base.__file__, encoding="utf-8") as file:
        keys = describe_keys(base.shared().to_dict(), file.read())
    title = (
        "Keys of the config, with the defaults of configs/base.py. --config.framework.* are the arguments of\n"
        "the class of the config's framework.\n\n"
    )
    return command_help(__doc__, _CONFIG, title + keys)
