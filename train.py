"""Pre-train a video encoder: config -> objects -> fit -> runs/<name>-seed<seed>/.

python train.py --config=configs/demo.py:bod
python train.py --config=configs/videos.py --config.data.source=/path/to/videos --config.clips.batch_size=32
torchrun --nproc-per-node=8 train.py ...  (PyTorch; several GPUs and machines: docs/distribution.md)

The run's folder gets encoder.keras, model.keras, history.csv, TensorBoard logs, report.json and plots. A run
that was stopped (Ctrl-C, SIGTERM, a crash) resumes when the same command is given again; what no result depends
on, such as paths, workers or a longer --config.epochs, may differ then, and a finished run with a larger
--config.epochs is trained on. --init_from=RUN begins a new run with the weights of another one. Videos and the
run's folder may lie on remote storage (docs/remote.md).
"""

import contextlib
import os
import sys
from pathlib import Path

# The start-up chatter of TensorFlow, and OpenCV's line for each file that it cannot open.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

from absl import app, flags
from ml_collections import config_flags

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "A file of configs/, with its argument after a colon."
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
_TRACEBACK = flags.DEFINE_bool("traceback", False, "Show the Python traceback of every error.")


def main(_):
    from bod_keras.commands.run_command import run_command

    received = run_command("train.py", _train_from_flags, _TRACEBACK.value)
    if received is not None:
        sys.exit(128 + received)


def _train_from_flags():
    from bod_keras import training

    # Before anything else is made on a device.
    distribution = training.choose_distribution(_DISTRIBUTION.value, _DEVICES.value, _TIMEOUT.value)
    with _chief_tells(distribution):
        received = train(_CONFIG.value.to_dict(), distribution, _INIT.value)
    distribution.close()
    return received


@contextlib.contextmanager
def _chief_tells(distribution):
    """What is printed, once; errors are told by every process."""
    if distribution.is_chief:
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def train(config, distribution=None, init_from=""):
    """Run, or continue, one experiment. Returns the signal that stopped it early, or None."""
    from bod_keras.commands.pretrain import pretrain

    return pretrain(config, distribution, init_from)


def parse_flags(argv):
    """absl's parser, with one line about a wrong flag, config file or key instead of a traceback."""
    from bod_keras.commands.parse_flags import check_config_file, parse_flags
    from bod_keras.commands.retired_keys import translate_retired

    argv[:], told = translate_retired(argv)  # in place: ml_collections looks there for changes
    for line in told:
        print(f"train.py: {line}", file=sys.stderr)
    check_config_file("train.py", argv, Path(__file__).resolve().parent / "configs")
    rest = parse_flags("train.py", argv)
    if _CONFIG.value is None:
        sys.exit("train.py: --config is missing, such as --config=configs/demo.py:bod. See --help.")
    return rest


def show_help():
    """Print the flags and the config's keys, without Keras, and end with code 0."""
    os.environ["BOD_KERAS_READER"] = "1"  # `bod_keras` then imports no layers
    from bod_keras.commands.command_help import command_help, describe_keys
    from configs import base

    keys = describe_keys(base.shared().to_dict(), Path(base.__file__).read_text(encoding="utf-8"))
    title = (
        "Keys of the config, with the defaults of configs/base.py. --config.framework.* are the arguments of\n"
        "the class of the config's framework.\n\n"
    )
    print(command_help(__doc__, _CONFIG, title + keys))
    sys.exit(0)


if __name__ == "__main__":
    if {"--help", "-h", "--helpshort", "--helpfull"} & set(sys.argv[1:]):
        show_help()
    try:
        from bod_keras.storage.clean_exit import clean_exit
    except ImportError as error:
        if error.name:  # no word of ours about what to install
            raise
        sys.exit(f"train.py: {error}")

    with clean_exit():
        app.run(main, flags_parser=parse_flags)
