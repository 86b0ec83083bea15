"""Pre-train a video encoder: config -> objects -> fit -> runs/<name>-seed<seed>/.

python train.py --config=configs/demo.py:bod
python train.py --config=configs/videos.py --config.data.source=/path/to/videos --config.clips.batch_size=32
torchrun --nproc-per-node=8 train.py ...  (PyTorch; several GPUs and machines: docs/distribution.md)

The run's folder gets encoder.keras, model.keras, history.csv, TensorBoard logs, report.json and plots. A run
that was stopped (Ctrl-C, SIGTERM, a crash) resumes when the same command is given again. Videos and the run's
folder may lie on remote storage (docs/remote.md).
"""

import contextlib
import functools
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
from bod_keras.koopman.layer import USUAL_THRESHOLD
from bod_keras.storage.clean_exit import clean_exit
from bod_keras.storage.lock import lock
from bod_keras.storage.remote_error import RemoteError

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "A file of configs/, with its argument after a colon."
)
_DISTRIBUTION = flags.DEFINE_enum(
    "distribution",
    "auto",
    training.DISTRIBUTIONS,
    "Over which devices and processes; auto: as the environment says, or all GPUs of this machine.",
)
_DEVICES = flags.DEFINE_integer(
    "devices", None, "Virtual CPU devices of this process, to try a distribution.", lower_bound=1
)
_TIMEOUT = flags.DEFINE_integer(
    "timeout", 120, "Seconds after which a process that does not answer is lost.", lower_bound=1
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
        # Before anything else is made on a device.
        distribution = training.choose_distribution(
            _DISTRIBUTION.value, _DEVICES.value, _TIMEOUT.value
        )
        with _chief_tells(distribution):
            received = train(_CONFIG.value.to_dict(), distribution)
        distribution.close()
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


@contextlib.contextmanager
def _chief_tells(distribution):
    """What is printed, once; errors are told by every process."""
    if distribution.is_chief:
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def train(config, distribution=None):
    """Run, or resume, one experiment. Returns the signal that stopped it early, or None."""
    distribution = distribution or training.choose_distribution("none")
    folder = experiment.run_folder(config, stores=distribution.is_chief)
    advice = "Wait until it has ended, stop it, or choose another --config.name or --config.output."
    with lock(str(folder), advice) if distribution.is_chief else contextlib.nullcontext():
        return _train_alone(config, folder, distribution)


def _train_alone(config, folder, distribution):
    try:
        received, message = _train(config, folder, distribution)
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


def _train(config, folder, distribution):
    """The run itself: the signal that stopped it or None, and the last line to print."""
    if _is_finished(folder, config):
        return None, (
            f"{folder} is finished. Choose another --config.name or --config.seed for a new run."
        )
    keras.utils.set_random_seed(config["seed"])
    keras.config.set_dtype_policy(config["precision"])

    catalog = experiment.training_catalog(config)
    data = experiment.training_data(config, catalog, distribution)
    steps = data.steps_per_epoch
    total = config["epochs"] * steps
    folder.pull("history.csv", "checkpoints/*")
    with distribution.scope():
        model, damaged = training.load_checkpoint(folder.path / "checkpoints")
        for path in damaged:
            print(f"{path} is damaged and was passed over.")
        if model is None and damaged:
            raise ValueError(
                f"No checkpoint in {folder}/checkpoints is complete. Restore one, or delete {folder} to "
                "start afresh."
            )
        fresh = model is None
        if fresh:
            model = experiment.build_model(config, steps, data.augmenter())
            chunks = config["optimizer"]["chunks"]
            model.compile(experiment.build_optimizer(config, steps), chunks=chunks)
    done = training.steps_taken(model)
    distribution.check_same(done, "checkpoint")  # all have read it, so that the chief may write now
    if fresh:
        shutil.rmtree(folder.path, ignore_errors=True)
    report = folder.path / "report.json"
    evaluation.write_report(report, config=config, environment=evaluation.environment())
    folder.push()  # storage that cannot be written is found out now, not after an epoch
    print(
        f"{folder}: {len(data)} videos, {steps} steps an epoch, {config['epochs']} epochs, "
        f"{model.encoder.count_params():,} encoder parameters, Keras on {keras.backend.backend()}"
        + (f", {distribution.replicas} replicas" if distribution.replicas > 1 else "")
        + (f", resumed at step {done}" if done else ""),
        flush=True,
    )

    # Each process measures on the whole first batch, not on its block of it.
    whole = data if distribution.processes == 1 else experiment.training_data(config, catalog)
    progress = training.Progress(total, done, show=distribution.is_chief)
    checkpoint = training.Checkpoint(folder.path / "checkpoints", **config["checkpoint"])
    stop = training.StopOnSignal(distribution.largest if distribution.processes > 1 else None)
    callbacks = [
        stop,
        training.StopOnNonFinite(data.files),
        progress,
        *_monitors(whole, config, model),
        training.HistoryFile(folder.path / "history.csv"),
        *_tensorboard(folder.path / "tensorboard"),
        checkpoint,
        training.PushRunFolder(folder),
    ]
    found = None
    try:
        with data.clear_errors(), distribution.clear_errors():
            stream = functools.partial(distribution.stream, data)
            training.fit_rest(model, stream, steps, config["epochs"], callbacks)
            found = distribution.gather_objects([data.skipped, sorted(data.looped)])
    finally:
        skipped, looped = _joined(found or [[data.skipped, data.looped]])
        evaluation.write_report(
            report,
            training={
                "steps": training.steps_taken(model),
                "of": total,
                "seconds_per_step": progress.seconds_per_step,
                "videos": len(data),
                "missing": catalog.missing,
                "blocked": catalog.blocked,
                "skipped": skipped,
                "shorter_than_a_clip": looped,
            },
        )
        _tell_skipped(skipped, len(data))
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


def _joined(found):
    """Of all processes: the skipped files with their reasons, and the videos shorter than a clip."""
    skipped = {path: reason for files, _ in found for path, reason in files.items()}
    return skipped, sorted({path for _, looped in found for path in looped})


def _tell_skipped(skipped, total):
    if skipped:
        print(f"{len(skipped)} of {total} videos were skipped (all in report.json):")
        for path, reason in list(skipped.items())[:5]:
            print(f"  {path}: {reason}")


if __name__ == "__main__":
    with clean_exit():
        app.run(main, flags_parser=parse_flags)
