"""Evaluate trained encoders by named protocols: features, numbers with their provenance, tables and pictures.

bod-keras evaluate --model=runs/demo-plain-seed0 --model=runs/demo-bod-seed0 --protocol=factors
bod-keras evaluate --model=runs/videos-seed0 --protocol=linear --probe_train=train.csv --probe_test=test.csv
bod-keras evaluate --model=RUN --dataset=ucf101 --root=UCF-101 --annotations=ucfTrainTestlist \
  --split=1,2,3 --protocol=linear --protocol=retrieval

A protocol is a file of configs/protocols, whose docstring says every choice, or a file of yours;
docs/evaluation.md lists them. --model and --protocol may be given several times; runs of one name are averaged,
and so are several splits and seeds: mean and standard deviation.

Numbers and where they come from go to each run's report.json, tables and pictures to RUN/evaluation/PROTOCOL,
the joint table also to --output, if given. Features are extracted once and kept in RUN/features.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from absl import app, flags

from bod_keras.commands.config_folder import CONFIGS
from bod_keras.commands.console.traceback_flag import TRACEBACK

_FOLDER = CONFIGS / "protocols"

_MODELS = flags.DEFINE_multi_string(
    "model", [], "A run's folder, as train.py leaves it; repeatable."
)
_PROTOCOL = flags.DEFINE_multi_string(
    "protocol",
    ["factors"],
    "A protocol of configs/protocols, or the path of one; repeatable, or with commas between.",
)
_SET = flags.DEFINE_multi_string(
    "set", [], "KEY=VALUE: another choice than the protocol's, which is then reported as modified."
)
_DATASET = flags.DEFINE_string("dataset", None, "A data set of docs/data.md, if not the run's own.")
_ROOT = flags.DEFINE_string("root", None, "Folder of its videos.")
_ANNOTATIONS = flags.DEFINE_string("annotations", None, "Folder of its annotation files.")
_SPLIT = flags.DEFINE_list("split", None, "Which of its official splits, such as 1, or 1,2,3.")
_TRAIN = flags.DEFINE_string("probe_train", None, "Labeled videos to fit on, if not the run's own.")
_TEST = flags.DEFINE_string("probe_test", None, "Labeled videos to test on, if not the run's own.")
_PER_CLASS = flags.DEFINE_integer(
    "per_class", None, "Low-shot: learn from this many videos a class."
)
_SHARE = flags.DEFINE_float("share", None, "Low-shot: learn from this share of each class.")
_SEEDS = flags.DEFINE_list("seeds", None, "Seeds, such as 0,1,2; by default the run's.")
_OVERLAP = flags.DEFINE_bool(
    "allow_overlap", False, "Continue if a test video is in the training list."
)
_BAD_SHARE = flags.DEFINE_float(
    "max_bad_share",
    None,
    "Continue while at most this share of the videos is broken; the run's if not given.",
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the joint table and plot.")
flags.declare_key_flag("traceback")

_HELP = {"--help", "-h", "--helpshort", "--helpfull"}


def main(argv: Sequence[str], name: str = "bod-keras evaluate") -> None:
    """Run the command.

    Args:
        argv: its flags.
        name: what messages call it.
    """
    if _HELP & set(argv):
        print(_help())
        return
    app.run(_main, [name, *argv], flags_parser=parse_flags)


def _main(argv):
    name = argv[0]
    if not _MODELS.value:
        sys.exit(f"{name}: --model is missing, such as --model=runs/demo-bod-seed0. See --help.")
    from bod_keras.commands.run_command import run_command

    code = run_command(name, _evaluate_from_flags, TRACEBACK.value)
    if code:
        sys.exit(code)


def _evaluate_from_flags():
    from bod_keras.commands.evaluate import evaluate_runs
    from bod_keras.commands.probed_videos import Options
    from bod_keras.evaluation.finetuning import TrainingStoppedError

    options = Options(**{f.name: flags.FLAGS[f.name].value for f in dataclasses.fields(Options)})
    try:
        evaluate_runs(_MODELS.value, options, _FOLDER)
    except TrainingStoppedError as stopped:
        print(stopped, file=sys.stderr)
        return 128 + stopped.number
    return 0


def parse_flags(argv: list[str]) -> list[str]:
    """absl's parser, with one line about a wrong flag."""
    from bod_keras.commands import parse_flags as parsing

    return parsing.parse_flags(argv[0], argv, __name__)


def _help() -> str:
    """The flags, the protocols and their keys."""
    from bod_keras.commands.command_help import command_help
    from bod_keras.commands.describe_protocols import describe_protocols

    return command_help(__doc__, _PROTOCOL, describe_protocols(_FOLDER))
