"""Pre-train a video encoder: config -> objects -> fit -> runs/<name>-seed<seed>/.

python train.py --config=configs/demo.py:bod
python train.py --config=configs/videos.py --config.data.source=/path/to/videos --config.clips.batch_size=32

The run's folder gets encoder.keras, model.keras, history.csv, TensorBoard logs, report.json and plots. A run
that was stopped (Ctrl-C, SIGTERM, a crash) resumes when the same command is given again. Videos and the run's
folder may lie on remote storage (docs/remote.md).
"""

import contextlib
import gc
import importlib.util
import json
import os
import shutil
import sys

# The start-up chatter of TensorFlow, and OpenCV's line for each file that it cannot open.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

import keras
from absl import app, flags
from ml_collections import config_flags

from bod_keras import evaluation, experiment, training
from bod_keras.clean_exit import clean_exit
from bod_keras.data.remote_error import RemoteError
from bod_keras.koopman.layer import USUAL_THRESHOLD

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "A file of configs/, with its argument after a colon."
)
_TRACEBACK = flags.DEFINE_bool("traceback", False, "Show the Python traceback of an error.")


def parse_flags(argv):
    """absl's parser, with a short message for a wrong flag, config file or key instead of a traceback."""
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        # What is wrong stands in the last line, below the traceback of a config file.
        sys.exit(f"train.py: {str(error).strip().splitlines()[-1].strip()}\nSee --help.")
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        reason = error
        while reason.args and isinstance(reason.args[0], Exception):
            reason = reason.args[0]
        text = str(reason.args[0] if isinstance(reason, (AttributeError, KeyError)) else reason)
        if isinstance(reason, KeyError):
            text = f"there is no key {text}."
        sys.exit(f"train.py: bad --config: {text}\nconfigs/base.py lists every key.")
    if rest[1:]:
        sys.exit(f"train.py: unexpected arguments: {' '.join(rest[1:])}. Flags begin with --.")
    if _CONFIG.value is None:
        sys.exit("train.py: --config is missing, such as --config=configs/demo.py:bod. See --help.")
    return rest


def main(_):
    received, failure = None, None
    try:
        received = train(_CONFIG.value.to_dict())
    except (ImportError, ValueError, OSError, FloatingPointError) as error:
        if _TRACEBACK.value:
            raise
        failure = f"train.py: {error}"
    # The error is let go of first: a stream that it still held would abort the interpreter at exit.
    gc.collect()
    if failure is not None:
        sys.exit(failure)
    if received is not None:
        sys.exit(128 + received)


def train(config):
    """Run, or resume, one experiment. Returns the signal that stopped it early, or None."""
    folder = experiment.run_folder(config)
    with training.run_lock(folder):
        return _train_alone(config, folder)


def _train_alone(config, folder):
    try:
        received, message = _train(config, folder)
    except Exception:
        with contextlib.suppress(RemoteError):  # what stopped the run is what to tell
            folder.push()
            folder.close()
        raise
    try:
        folder.push()
    except RemoteError as error:
        raise OSError(
            f"{error}. What the run left lies in {folder.path}: copy it to {folder}, or repeat the command, "
            "which resumes from what is stored there."
        ) from error
    folder.close()
    print(message)
    return received


def _train(config, folder):
    """The run itself: the signal that stopped it or None, and the last line to print."""
    if _is_finished(folder, config):
        return None, (
            f"{folder} is finished. Choose another --config.name or --config.seed for a new run."
        )
    keras.utils.set_random_seed(config["seed"])
    keras.config.set_dtype_policy(config["precision"])

    catalog = experiment.training_catalog(config)
    data = experiment.training_data(config, catalog)
    steps = data.steps_per_epoch
    total = config["epochs"] * steps
    folder.pull("history.csv", "checkpoints/*")
    model, damaged = training.load_checkpoint(folder.path / "checkpoints")
    for path in damaged:
        print(f"{path} is damaged and was passed over.")
    if model is None:
        if damaged:
            raise ValueError(
                f"No checkpoint in {folder}/checkpoints is complete. Restore one, or delete {folder} to "
                "start afresh."
            )
        shutil.rmtree(folder.path, ignore_errors=True)
        model = experiment.build_model(config, steps, data.augmenter())
        chunks = config["optimizer"]["chunks"]
        model.compile(experiment.build_optimizer(config, steps), chunks=chunks)
    done = training.steps_taken(model)
    report = folder.path / "report.json"
    evaluation.write_report(report, config=config, environment=evaluation.environment())
    folder.push()  # storage that cannot be written is found out now, not after an epoch
    print(
        f"{folder}: {len(data)} videos, {steps} steps an epoch, {config['epochs']} epochs, "
        f"{model.encoder.count_params():,} encoder parameters, Keras on {keras.backend.backend()}"
        + (f", resumed at step {done}" if done else ""),
        flush=True,
    )

    progress = training.Progress(total, done)
    checkpoint = training.Checkpoint(folder.path / "checkpoints", **config["checkpoint"])
    stop = training.StopOnSignal()
    callbacks = [
        stop,
        training.StopOnNonFinite(data.files),
        progress,
        *_monitors(data, config, model),
        training.HistoryFile(folder.path / "history.csv"),
        *_tensorboard(folder.path / "tensorboard"),
        checkpoint,
        training.PushRunFolder(folder),
    ]
    on_tensorflow = keras.backend.backend() == "tensorflow"
    stream = data.training if on_tensorflow else data.training_numpy
    try:
        with data.clear_errors():
            training.fit_rest(model, stream, steps, config["epochs"], callbacks)
    finally:
        evaluation.write_report(
            report,
            training={
                "steps": training.steps_taken(model),
                "of": total,
                "seconds_per_step": progress.seconds_per_step,
                "videos": len(data),
                "missing": catalog.missing,
                "blocked": catalog.blocked,
                "skipped": data.skipped,
                "shorter_than_a_clip": sorted(data.looped),
            },
        )
        _tell_skipped(data)
    if stop.received is not None:
        checkpoint.save()
        steps = training.steps_taken(model)
        return stop.received, f"Saved step {steps}. The same command resumes here."
    _finish(model, data, config, folder.path)
    return (
        None,
        f"Finished: {folder}/encoder.keras is the encoder, {folder}/report.json the record.",
    )


def _tensorboard(folder):
    """The callback that writes TensorBoard's logs, which only TensorFlow can."""
    if importlib.util.find_spec("tensorflow") is None:
        print("Without TensorFlow there are no TensorBoard logs; history.csv has the same numbers.")
        return []
    return [keras.callbacks.TensorBoard(folder, write_graph=False)]


def _monitors(data, config, model):
    """The callback on the first training batch, which a resumed run finds again; none if it is turned off."""
    if not config["monitors"]["every"]:
        return []
    with data.clear_errors():
        ((batch,),) = data.training_numpy(steps=1)
    views = batch["views"][: config["monitors"]["videos"]]
    if model.augmenter is not None:
        views = keras.ops.convert_to_numpy(model.augmenter(views))  # centred squares
    return [training.Monitors(views, config["monitors"]["every"])]


def _finish(model, data, config, folder):
    threshold = config["koopman"]["threshold"] or USUAL_THRESHOLD
    with data.clear_errors():
        eigenvalues = evaluation.operator_eigenvalues(model, data.evaluation_numpy())
    evaluation.plot_spectrum(eigenvalues, threshold, folder / "spectrum.png")
    evaluation.plot_history(folder / "history.csv", folder / "losses.png")
    if config["monitors"]["every"]:
        evaluation.plot_monitors(folder / "history.csv", folder / "monitors.png")
    evaluation.write_report(
        folder / "report.json", history=training.HistoryFile.summary(folder / "history.csv")
    )
    training.save_model(model.encoder, folder / "encoder.keras")
    training.save_model(model, folder / "model.keras")
    shutil.rmtree(folder / "checkpoints")  # model.keras holds the same state


def _is_finished(folder, config):
    """Whether the run is complete; a folder that belongs to another config is an error."""
    folder.pull("report.json")
    names = folder.names()
    if "report.json" not in names:
        if names:
            raise ValueError(
                f"{folder} holds files, but no run of train.py. Choose another --config.name or "
                "--config.output."
            )
        return False
    before = _flat(json.loads((folder.path / "report.json").read_text())["config"])
    now = _flat(json.loads(json.dumps(config)))
    differing = [k for k in sorted(before | now) if before.get(k) != now.get(k)]
    if differing:
        lines = "\n".join(f"  {k}: {before.get(k)} there, {now.get(k)} now" for k in differing)
        raise ValueError(
            f"{folder} belongs to a run with other settings:\n{lines}\n"
            "Choose another --config.name, or delete the folder to start afresh."
        )
    return folder.last in names


def _flat(tree, prefix=""):
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {
        k: v
        for name, sub in tree.items()
        for k, v in _flat(sub, f"{prefix}.{name}".lstrip(".")).items()
    }


def _tell_skipped(data):
    if data.skipped:
        print(f"{len(data.skipped)} of {len(data)} videos were skipped (all in report.json):")
        for path, reason in list(data.skipped.items())[:5]:
            print(f"  {path}: {reason}")


if __name__ == "__main__":
    with clean_exit():
        app.run(main, flags_parser=parse_flags)
